// SPDX-License-Identifier: GPL-2.0-only
#include <linux/wlb.h>

#include <charconv>

#include "wlb/fields.h"
#include "wlbctl/objects.h"

namespace wlb::cli {

namespace {

int add(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("NAME", true)
        .option("ports", "P[,P]..|all", "ports, or every port that no other service has")
        .option("replicas", "PREFIX[,PREFIX]..|any", "who may answer")
        .option("never", "PREFIX[,PREFIX]..", "clients and servers never to be redirected")
        .option("sticky", "DURATION", "how long a client stays with its last winner (default 0s)")
        .option("race", "race|direct",
                "who clones: the server's gateway, or this one (default race)")
        .option("fan-out", "N", "direct: to how many known replicas (default 4)")
        .option("explore", "DURATION",
                "direct: how often to let the server's gateway clone (default 10s)")
        .option("fastpath", "auto|on|off",
                "whether packets may pass by the firewall's rules (default auto)");
    if (!options.parse(args))
        return options.status();

    Service service;
    service.name = options.text("NAME");
    options.require("ports");
    options.require("replicas");
    service.all_ports = options.has("ports") && options.text("ports") == "all";
    if (!service.all_ports)
        options.read_list("ports", &parse_port, service.ports);
    service.any_replica = options.has("replicas") && options.text("replicas") == "any";
    if (!service.any_replica)
        options.read_list("replicas", &Prefix::parse, service.replicas);
    options.read_list("never", &Prefix::parse, service.never);
    options.read("sticky", &parse_seconds, service.sticky);
    options.read("race", &parse_service_race, service.race);
    options.read("fan-out", &parse_count, service.fan_out);
    options.read("explore", &parse_seconds, service.explore);
    options.read("fastpath", &parse_fastpath, service.fastpath);
    if (!options.good())
        return options.status();
    return change_config(context, WLB_ROLE_CLIENT_GATEWAY, [&](Config &config) {
        return add_object(config, config.client_gateway.services, service, "service",
                          "client-gateway.service");
    });
}

int del(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("NAME", true);
    if (!options.parse(args))
        return options.status();
    return change_config(context, WLB_ROLE_CLIENT_GATEWAY, [&](Config &config) {
        return delete_object(config.client_gateway.services, options.text("NAME"), "service");
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
    for (const auto &service : running->config.client_gateway.services) {
        if (context.json)
            array.push_back(to_json(service));
        else
            context.out << describe("service", service.name, fields_of(service)) << "\n";
    }
    if (context.json)
        context.write(array);
    return done;
}

} // namespace

const std::vector<Command> &service_commands()
{
    static const std::vector<Command> commands{
        {"service", "add",
         "NAME --ports P,..|all --replicas PREFIX,..|any [--never PREFIX,..] [--sticky S] "
         "[--race race|direct] [--fan-out N] [--explore S] "
         "[--fastpath auto|on|off]",
         "Have the client gateway tag SYNs to these ports.",
         "service add web --ports 80,443 --replicas 198.51.100.0/24", &add},
        {"service", "del", "NAME", "Delete a service; its flows live on.", "service del web", &del},
        {"service", "list", "", "List what the client gateway tags.", "service list", &list},
    };
    return commands;
}

} // namespace wlb::cli
