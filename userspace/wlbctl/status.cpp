// SPDX-License-Identifier: GPL-2.0-only
// How wide-area selection does on this host, role by role.
#include <algorithm>

#include "wlb/standings.h"
#include "wlbctl/json_text.h"
#include "wlbctl/options.h"

namespace wlb::cli {

namespace {

// What a SYN that asks for clones may become instead.
constexpr const char *refusals[] = {"syn_no_cookie",    "syn_bad_cookie",  "syn_prefix_limit",
                                    "syn_origin_limit", "syn_clone_limit", "syn_payload",
                                    "syn_extension"};

double part(std::uint64_t of, std::uint64_t whole)
{
    return whole == 0 ? 0 : static_cast<double>(of) / static_cast<double>(whole);
}

Json of_client_gateway(const Stats &stats, const std::vector<Standings> &latest)
{
    auto origins = Json::array();
    for (const auto &origin : latest)
        origins.push_back(to_json(origin));
    return {{"flows", stats.flows},
            {"racing", stats.racing},
            {"won_by_replicas", stats.counter("race_won_replica")},
            {"won_by_servers", stats.counter("race_won_server")},
            {"unanswered", stats.counter("race_unanswered")},
            {"origins", origins}};
}

Json of_server_gateway(const Stats &stats, const Config &config,
                       const std::vector<ReplicaInForce> &replicas)
{
    const auto cloned = stats.counter("syn_cloned");
    auto asked = cloned;
    auto not_cloned = Json::object();
    for (const auto *name : refusals) {
        asked += stats.counter(name);
        if (stats.counter(name) != 0)
            not_cloned[name] = stats.counter(name);
    }
    auto origins = Json::array();
    for (const auto &origin : config.origins) {
        auto array = Json::array();
        for (const auto &one : replicas)
            if (one.origin == origin.name)
                array.push_back({{"address", one.replica.address.text()},
                                 {"clones", one.clones},
                                 {"configured", one.configured}});
        origins.push_back({{"name", origin.name}, {"replicas", array}});
    }
    const auto clones = stats.counter("clone_sent");
    return {{"tagged", asked},
            {"cloned", cloned},
            {"clones", clones},
            {"answers_per_syn", asked == 0 ? Json(nullptr) : Json(1 + part(clones, asked))},
            {"not_cloned", not_cloned},
            {"origins", origins}};
}

Json of_replica(const Stats &stats, const Running &running)
{
    std::uint64_t all = 0;
    auto dropped = Json::object();
    for (const auto &one : stats.counters) {
        if (one.name.rfind("clone_", 0) != 0 || one.name == "clone_sent" ||
            one.name == "clone_failed")
            continue;
        all += one.value;
        if (one.value != 0 && one.name != "clone_cracked")
            dropped[one.name] = one.value;
    }
    auto origins = Json::array();
    for (const auto &served : running.config.served)
        origins.push_back({{"name", served.name}, {"busy", running.busy.contains(served.name)}});
    return {
        {"clones", all},
        {"taken", stats.counter("clone_cracked")},
        {"busy_share", part(stats.counter("clone_busy") + stats.counter("clone_accept_full"), all)},
        {"dropped", dropped},
        {"origins", origins}};
}

void write_counts(std::ostream &out, const char *title, const Json &counts)
{
    for (const auto &[name, count] : counts.items())
        out << "    " << title << " " << name << " " << count << "\n";
}

void write(std::ostream &out, const Json &status, const std::vector<Standings> &latest)
{
    if (status.contains("client_gateway")) {
        const auto &cg = status.at("client_gateway");
        out << "client gateway: " << cg.at("flows") << " flows, " << cg.at("racing")
            << " racing; won by replicas " << cg.at("won_by_replicas") << ", by servers "
            << cg.at("won_by_servers") << ", by nobody " << cg.at("unanswered") << "\n";
        for (const auto &origin : latest)
            out << "  " << to_text(origin);
    }
    if (status.contains("server_gateway")) {
        const auto &sg = status.at("server_gateway");
        const auto &answers = sg.at("answers_per_syn");
        out << "server gateway: " << sg.at("tagged") << " SYNs to clone, " << sg.at("cloned")
            << " cloned, " << sg.at("clones") << " clones, answers per SYN "
            << (answers.is_null() ? "none" : fixed(answers.get<double>(), 2)) << "\n";
        write_counts(out, "not cloned:", sg.at("not_cloned"));
        for (const auto &origin : sg.at("origins"))
            for (const auto &replica : origin.at("replicas"))
                out << "    " << text(origin.at("name")) << " " << text(replica.at("address"))
                    << " clones " << replica.at("clones")
                    << (replica.at("configured").get<bool>() ? "" : " registered") << "\n";
    }
    if (status.contains("replica")) {
        const auto &replica = status.at("replica");
        out << "replica: " << replica.at("clones") << " clones, " << replica.at("taken")
            << " taken, busy " << fixed(100 * replica.at("busy_share").get<double>(), 1) << " %\n";
        write_counts(out, "dropped:", replica.at("dropped"));
        for (const auto &origin : replica.at("origins"))
            out << "    " << text(origin.at("name"))
                << (origin.at("busy").get<bool>() ? " busy" : " takes races") << "\n";
    }
    if (status.empty())
        out << "none of the roles client gateway, server gateway and replica is on\n";
}

int status(Context &context, const Command &command, const Args &args)
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
    const auto stats = (*kernel)->read_stats();
    if (!stats)
        return refuse(context, stats.error());
    auto json = Json::object();
    std::vector<Standings> latest;
    if ((running->roles & WLB_ROLE_CLIENT_GATEWAY) != 0) {
        const auto races = (*kernel)->read_races();
        if (!races)
            return refuse(context, races.error());
        latest = standings(*races);
        json["client_gateway"] = of_client_gateway(*stats, latest);
    }
    if ((running->roles & WLB_ROLE_SERVER_GATEWAY) != 0) {
        const auto replicas = (*kernel)->read_replicas();
        if (!replicas)
            return refuse(context, replicas.error());
        json["server_gateway"] = of_server_gateway(*stats, running->config, *replicas);
    }
    if ((running->roles & WLB_ROLE_REPLICA) != 0)
        json["replica"] = of_replica(*stats, *running);
    if (context.json)
        context.write(json);
    else
        write(context.out, json, latest);
    return done;
}

} // namespace

const std::vector<Command> &status_commands()
{
    static const std::vector<Command> commands{
        {"status", "", "",
         "Show who answers for which origin, how late and who wins, and what clones cost.",
         "status", &status},
    };
    return commands;
}

} // namespace wlb::cli
