// SPDX-License-Identifier: GPL-2.0-only
#include <linux/wlb.h>

#include "wlb/fields.h"
#include "wlbctl/objects.h"

namespace wlb::cli {

namespace {

int add(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("NAME", true)
        .option("server", "ADDRESS[,ADDRESS]..", "the origin to answer for")
        .option("ports", "P[,P]..", "its ports")
        .option("local", "ADDRESS", "the address of this host to serve from")
        .option("return", "nat|spoof|tunnel", "how packets get back to the client (default nat)")
        .option("via", "gre|ipip", "how spoof and tunnel encapsulate them (default gre)")
        .flag("trust-path", "spoof without a probe of the path to the client")
        .option("from", "PREFIX[,PREFIX]..", "server gateways that clones may come from");
    if (!options.parse(args))
        return options.status();

    Served served;
    served.name = options.text("NAME");
    for (const auto *name : {"server", "ports", "local", "from"})
        options.require(name);
    options.read_list("server", &Address::parse, served.servers);
    options.read_list("ports", &parse_port, served.ports);
    options.read("local", &Address::parse, served.local);
    options.read("return", &parse_return, served.return_mode);
    options.read("via", &parse_via, served.via);
    if (!served.via)
        served.via = default_via(served.return_mode);
    served.trust_path = options.has("trust-path");
    options.read_list("from", &Prefix::parse, served.from);
    if (!options.good())
        return options.status();
    return change_config(context, WLB_ROLE_REPLICA, [&](Config &config) {
        return add_object(config, config.served, served, "replica", "replica.origin");
    });
}

int del(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("NAME", true);
    if (!options.parse(args))
        return options.status();
    return change_config(context, WLB_ROLE_REPLICA, [&](Config &config) {
        return delete_object(config.served, options.text("NAME"), "replica");
    });
}

int list(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    if (!options.parse(args))
        return options.status();
    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    const auto running = (*kernel)->read_config();
    if (!running)
        return refuse(context, running.error());
    auto array = Json::array();
    for (const auto &served : running->config.served) {
        const bool busy = running->busy.count(served.name) != 0;
        if (context.json)
            array.push_back(to_json(served, busy));
        else
            context.out << describe("replica", served.name, fields_of(served))
                        << (busy ? " busy on" : " busy off") << "\n";
    }
    if (context.json)
        context.write(array);
    return done;
}

int set_busy(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("on|off", true).word("NAME", false);
    if (!options.parse(args))
        return options.status();
    const auto word = options.text("on|off");
    if (word != "on" && word != "off")
        return misuse(context, command.object, "busy \"" + word + "\" must be on or off");
    std::optional<std::string> name;
    if (options.has("NAME"))
        name = options.text("NAME");

    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    const auto status = (*kernel)->set_busy(word == "on", name);
    if (!status && status.error().code == ENOENT && name)
        return refuse(context, {"replica \"" + *name + "\" does not exist", ENOENT});
    if (!status)
        return refuse(context, status.error());
    return done;
}

} // namespace

const std::vector<Command> &replica_commands()
{
    static const std::vector<Command> commands{
        {"replica", "add",
         "NAME --server A,.. --ports P,.. --local A --from PREFIX,..\n"
         "       [--return nat|spoof|tunnel] [--via gre|ipip] [--trust-path]",
         "Have this host answer clones for an origin.",
         "replica add www --server 203.0.113.10 --ports 80,443 --local 198.51.100.7 "
         "--from 203.0.113.1",
         &add},
        {"replica", "del", "NAME", "Answer clones for this origin no more.", "replica del www",
         &del},
        {"replica", "list", "", "List the origins that this host answers for.", "replica list",
         &list},
        {"replica", "busy", "on|off [NAME]",
         "Drop clones in silence (on), or answer them again (off); for all or one.",
         "replica busy on www", &set_busy},
    };
    return commands;
}

} // namespace wlb::cli
