// SPDX-License-Identifier: GPL-2.0-only
// All that this host does, role by role, and why something of it is not usable.
#include <algorithm>
#include <cerrno>
#include <future>
#include <map>
#include <set>

#include "wlb/control_name.h"
#include "wlb/fields.h"
#include "wlb/standings.h"
#include "wlb/toml_reader.h"
#include "wlbctl/disk.h"
#include "wlbctl/doctor.h"
#include "wlbctl/json_text.h"
#include "wlbctl/options.h"
#include "wlbctl/status_wccp.h"

namespace wlb::cli {

namespace {

// What a SYN that asks for clones may become instead.
constexpr const char *refusals[] = {"syn_no_cookie",    "syn_bad_cookie",  "syn_prefix_limit",
                                    "syn_origin_limit", "syn_clone_limit", "syn_payload",
                                    "syn_extension"};

// What the daemons show, by name; null if there is no answer.
struct Told {
    std::map<std::string, Json> by_name;
    Json daemons = Json::array(); // those that run, or should

    [[nodiscard]] const Json &of(const char *daemon) const { return by_name.at(daemon); }
};

// All at once: one that hangs delays none of the others.
Told ask_daemons(const Context &context, const std::set<std::string> &wanted)
{
    std::map<std::string, std::future<Result<Json>>> answers;
    for (const auto *name :
         {routerd_name, cached_name, processd_name, gatewayd_name, replicad_name})
        answers[name] = std::async(std::launch::async, context.glance, name, context.netns,
                                   Json{{"command", "show"}});
    Told told;
    for (auto &[name, answer] : answers) {
        const auto result = answer.get();
        told.by_name[name] = result ? *result : Json();
        if (result)
            told.daemons.push_back({{"name", name}, {"answers", true}, {"why", nullptr}});
        else if (result.error().code != ECONNREFUSED || wanted.contains(name))
            told.daemons.push_back(
                {{"name", name}, {"answers", false}, {"why", result.error().message}});
    }
    return told;
}

// What the roles' configuration in the kernel is kept by, and what the file has work for. A host's
// file says nothing of its other network namespaces.
std::set<std::string> wanted_daemons(const Context &context, const RunningGroups &groups,
                                     const RunningDoors &doors,
                                     const std::vector<RunningProcessRule> &rules,
                                     const std::vector<ReplicaInForce> &replicas)
{
    std::set<std::string> wanted;
    if (!groups.groups.empty())
        wanted.insert(routerd_name);
    if (!doors.cache.doors.empty())
        wanted.insert(cached_name);
    if (!rules.empty())
        wanted.insert(processd_name);
    if (std::any_of(replicas.begin(), replicas.end(),
                    [](const auto &one) { return !one.configured; }))
        wanted.insert(gatewayd_name);
    const auto text = context.netns.empty() ? read_file(config_path) : Error{""};
    if (!text)
        return wanted;
    const auto file = parse_config(*text);
    for (const auto *daemon : daemons_of(file.config))
        wanted.insert(daemon);
    if (!file.config.cache_host.groups.empty())
        wanted.insert(cached_name);
    return wanted;
}

double part(std::uint64_t of, std::uint64_t whole)
{
    return whole == 0 ? 0 : static_cast<double>(of) / static_cast<double>(whole);
}

Json of_client_gateway(const Stats &stats, const Config &config,
                       const std::vector<Standings> &latest)
{
    auto services = Json::array();
    for (const auto &service : config.client_gateway.services)
        services.push_back(to_json(service));
    auto origins = Json::array();
    for (const auto &origin : latest)
        origins.push_back(to_json(origin));
    return {{"flows", stats.flows},
            {"racing", stats.racing},
            {"won_by_replicas", stats.counter("race_won_replica")},
            {"won_by_servers", stats.counter("race_won_server")},
            {"unanswered", stats.counter("race_unanswered")},
            {"services", services},
            {"origins", origins}};
}

// Replicas of an origin that wlb-gatewayd knows of and does not clone to.
void add_absent(Json &array, const std::string &origin, const Json &told)
{
    if (told.is_null())
        return;
    for (const auto &replica : told.at("replicas")) {
        if (replica.at("origin") != origin || replica.at("in-force").get<bool>())
            continue;
        const auto why =
            !replica.at("registered").get<bool>() ? "not registered"
            : replica.at("answers") < replica.at("needed")
                ? text(replica.at("answers")) + " of " + text(replica.at("needed")) + " answers"
                : text(replica.at("state"));
        array.push_back({{"address", replica.at("address")},
                         {"clones", 0},
                         {"configured", replica.at("configured")},
                         {"why", why}});
    }
}

Json of_server_gateway(const Stats &stats, const Config &config,
                       const std::vector<ReplicaInForce> &replicas, const Json &told)
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
                                 {"configured", one.configured},
                                 {"why", nullptr}});
        add_absent(array, origin.name, told);
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

// null: it answers clones, as far as anybody knows.
Json why_silent(const Running &running, const std::string &name, const Json &told)
{
    if (running.busy.contains(name))
        return "busy by order";
    if (told.is_null())
        return {};
    for (const auto &replica : told.at("replicas")) {
        if (replica.at("replica") != name || replica.at("state") == "ready")
            continue;
        const auto why = replica.at("probe").value("why", "");
        return text(replica.at("state")) + (why.empty() ? "" : ": " + why);
    }
    return {};
}

Json of_replica(const Stats &stats, const Running &running, const Json &told)
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
        origins.push_back({{"name", served.name},
                           {"busy", running.busy.contains(served.name)},
                           {"why", why_silent(running, served.name, told)}});
    return {
        {"clones", all},
        {"taken", stats.counter("clone_cracked")},
        {"busy_share", part(stats.counter("clone_busy") + stats.counter("clone_accept_full"), all)},
        {"dropped", dropped},
        {"origins", origins}};
}

Json of_processing(const std::vector<RunningProcessRule> &rules)
{
    auto array = Json::array();
    for (const auto &running : rules) {
        auto rule = to_json(running.rule);
        if (running.copy_group)
            rule["copy"] = "to NFLOG " + std::to_string(*running.copy_group);
        rule["packets"] = running.packets;
        array.push_back(rule);
    }
    return {{"rules", array}};
}

void write_counts(std::ostream &out, const char *title, const Json &counts)
{
    for (const auto &[name, count] : counts.items())
        out << "    " << title << " " << name << " " << count << "\n";
}

void write(std::ostream &out, const Json &status, const Config &config,
           const std::vector<Standings> &latest)
{
    if (status.contains("client_gateway")) {
        const auto &cg = status.at("client_gateway");
        out << "client gateway: " << cg.at("flows") << " flows, " << cg.at("racing")
            << " racing; won by replicas " << cg.at("won_by_replicas") << ", by servers "
            << cg.at("won_by_servers") << ", by nobody " << cg.at("unanswered") << "\n";
        for (const auto &service : config.client_gateway.services)
            out << "  " << describe("service", service.name, fields_of(service)) << "\n";
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
                    << (replica.at("configured").get<bool>() || !replica.at("why").is_null()
                            ? ""
                            : " registered")
                    << (replica.at("why").is_null() ? "" : ", out: " + text(replica.at("why")))
                    << "\n";
    }
    if (status.contains("replica")) {
        const auto &replica = status.at("replica");
        out << "replica: " << replica.at("clones") << " clones, " << replica.at("taken")
            << " taken, busy " << fixed(100 * replica.at("busy_share").get<double>(), 1) << " %\n";
        write_counts(out, "dropped:", replica.at("dropped"));
        for (const auto &origin : replica.at("origins"))
            out << "    " << text(origin.at("name"))
                << (origin.at("why").is_null() ? " takes races"
                                               : " takes no races: " + text(origin.at("why")))
                << "\n";
    }
    if (status.contains("cache_router"))
        write_router_status(out, status.at("cache_router"));
    if (status.contains("cache"))
        write_cache_status(out, status.at("cache"));
    if (status.contains("processing")) {
        out << "processing:\n";
        for (const auto &rule : status.at("processing").at("rules"))
            out << "  " << rule_text(rule) << "; " << rule.at("packets") << " packets\n";
    }
    if (status.size() == 1)
        out << "no role is on\n";
    for (const auto &daemon : status.at("daemons"))
        if (!daemon.at("answers").get<bool>())
            out << "not reachable: " << text(daemon.at("why")) << "\n";
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
    const auto groups = (*kernel)->read_groups();
    if (!groups)
        return refuse(context, groups.error());
    const auto assignments = (*kernel)->read_assignments();
    if (!assignments)
        return refuse(context, assignments.error());
    const auto doors = (*kernel)->read_cache();
    if (!doors)
        return refuse(context, doors.error());
    // Only root may read them: to others the rest is worth having.
    const auto process = (*kernel)->read_process();
    if (!process && process.error().code != EPERM)
        return refuse(context, process.error());
    const auto rules = process ? *process : std::vector<RunningProcessRule>{};
    const auto replicas = (*kernel)->read_replicas();
    if (!replicas)
        return refuse(context, replicas.error());
    const auto told =
        ask_daemons(context, wanted_daemons(context, *groups, *doors, rules, *replicas));
    auto json = Json::object();
    std::vector<Standings> latest;
    if ((running->roles & WLB_ROLE_CLIENT_GATEWAY) != 0) {
        const auto races = (*kernel)->read_races();
        if (!races)
            return refuse(context, races.error());
        latest = standings(*races);
        json["client_gateway"] = of_client_gateway(*stats, running->config, latest);
    }
    if ((running->roles & WLB_ROLE_SERVER_GATEWAY) != 0)
        json["server_gateway"] =
            of_server_gateway(*stats, running->config, *replicas, told.of(gatewayd_name));
    if ((running->roles & WLB_ROLE_REPLICA) != 0)
        json["replica"] = of_replica(*stats, *running, told.of(replicad_name));
    if (!groups->groups.empty())
        json["cache_router"] = status_of_router(*groups, *assignments, told.of(routerd_name));
    // Before a router has answered it, a cache is known to its daemon only.
    const auto &cached = told.of(cached_name);
    if (!doors->cache.doors.empty() || (!cached.is_null() && !cached.at("groups").empty()))
        json["cache"] = status_of_cache(*doors, cached);
    if (!rules.empty())
        json["processing"] = of_processing(rules);
    json["daemons"] = told.daemons;
    if (context.json)
        context.write(json);
    else
        write(context.out, json, running->config, latest);
    return done;
}

} // namespace

const std::vector<Command> &status_commands()
{
    static const std::vector<Command> commands{
        {"status", "", "",
         "Show all that this host does, role by role, and why something of it is not usable.",
         "status", &status},
    };
    return commands;
}

} // namespace wlb::cli
