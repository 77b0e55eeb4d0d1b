// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/doctor.h"

#include <algorithm>
#include <set>

#include "wlb/control_name.h"
#include "wlb/diff.h"
#include "wlb/redirect.h"
#include "wlbctl/cache_doctor.h"
#include "wlbctl/disk.h"
#include "wlbctl/options.h"
#include "wlbctl/ruleset.h"
#include "wlbctl/taking.h"

namespace wlb::cli {

namespace {

// Above it a table is nearly full.
constexpr double nearly = 0.9;

// The MTU of most hosts: nobody on the Internet says that he takes larger packets.
constexpr long usual_mtu = 1500;

constexpr long ip_headers(bool ipv6)
{
    return ipv6 ? 40 : 20;
}
constexpr long tcp_header = 20;
constexpr long gre_header = 4;

struct Sign {
    const char *counter;
    const char *consequence;
    const char *mend;
};

// Counters that should not grow, where what they count is not sign enough of what to do.
constexpr Sign signs[] = {
    {"syn_table_full", "these clients have the server alone",
     "raise max-flows of [client-gateway]"},
    {"syn_client_quota", "these clients have the server alone",
     "raise client-quota of [client-gateway], or look for a scanner"},
    {"syn_no_memory", "these clients have the server alone", "look for what takes the memory"},
    {"syn_bad_checksum", "these clients have the server alone",
     "look for a device that breaks checksums: ethtool -K DEVICE rx off"},
    {"answer_unlisted", "replicas that are not permitted answer in vain",
     "add their prefix to replicas of the service, or find out who they are"},
    {"reset_failed", "losers keep a half-open connection until it times out",
     "ip route get to the addresses of wlbctl race list"},
    {"translate_failed", "these packets were lost",
     "ip route get to the winners of wlbctl flow "
     "list"},
    {"too_big_out", "clients that do not hear ICMP hang",
     "let ICMP pass to clients, or raise the MTU of the way to the replica"},
    {"clone_failed", "replicas do not take part in these races",
     "ip route get to the addresses of wlbctl gateway list"},
    {"syn_clone_limit", "these clients have the server alone",
     "raise clones-per-second of [server-gateway] if the load is wanted"},
    {"hold_full", "the server's answer was not held: it may win where a replica is nearer",
     "lower max-hold of the origin"},
    {"clone_no_listener", "this replica does not take part in these races",
     "start the server, or stop serving the origin"},
    {"clone_accept_full", "this replica takes itself for busy",
     "raise net.core.somaxconn and the "
     "server's backlog"},
    {"clone_unlisted", "clones of these gateways are not answered",
     "add the gateway to from of [[replica.origin]], if it is one of yours"},
    {"clone_not_offered", "this replica does not take part in these races",
     "permit its return mode at the client's gateway (returns), or choose another one here"},
    {"reply_too_big", "servers that do not hear ICMP hang",
     "lower the MTU of the server's sockets, or raise that of the way to clients"},
    {"spoof_lost", "networks on the way drop the server's source address: tunnels are used instead",
     "ask the network's operator, or set return = \"tunnel\""},
    {"redirect_too_big", "clients that do not hear ICMP hang",
     "raise the MTU of the way to the cache by 28 octets, or redirect by L2"},
    {"redirect_no_route", "these packets went without a cache",
     "ip route get to the caches of "
     "wlbctl wccp show"},
    {"redirect_not_adjacent", "these packets went without a cache",
     "forwarding = \"gre\" for caches behind a router"},
    {"redirect_no_neighbour", "these packets went without a cache",
     "look for the cache with ip neigh"},
    {"return_stranger", "packets in GRE of hosts that are no caches were dropped",
     "find out who sends them: tcpdump ip proto 47"},
    {"lease_ended", "redirection ended while the daemon was silent", "journalctl -u wlb-routerd"},
    {"cache_stranger", "packets of these routers are not taken in",
     "add the router to routers of [[cache.group]], if it is one of yours"},
    {"cache_deserted", "these connections went without this cache",
     "start the proxy; wlbctl cache doctor"},
};

class Examination {
public:
    Examination(const Roles &roles, const Patient &patient) : roles_(roles), patient_(patient) {}

    std::vector<Finding> run()
    {
        const auto &config = roles_.running.config;
        file();
        forwarding();
        if (is(WLB_ROLE_CLIENT_GATEWAY)) {
            for (const auto &interface : config.client_gateway.inside)
                device(interface, "inside of [client-gateway]");
            replicas(config.client_gateway);
            table();
            flowtables();
            untracked();
        }
        if (is(WLB_ROLE_SERVER_GATEWAY))
            for (const auto &origin : config.origins)
                for (const auto &replica : origin.replicas)
                    route(replica.address, "replica of origin " + origin.name);
        if (is(WLB_ROLE_REPLICA))
            for (const auto &served : config.served) {
                serves(served);
                clones(served);
            }
        for (const auto &one : roles_.groups.groups)
            group(one.group);
        passed_by();
        tracking();
        counters();
        return std::move(findings_);
    }

private:
    void say(Finding::Grade grade, const std::string &what, const std::string &consequence = "",
             const std::string &mend = "")
    {
        findings_.push_back({grade, what, consequence, mend});
    }

    [[nodiscard]] bool is(std::uint32_t role) const { return (roles_.running.roles & role) != 0; }

    // What a program says with its -j. Many objects ask the same, and it is run once.
    const Json &ask(const Words &words)
    {
        const auto known = asked_.find(words);
        return known != asked_.end() ? known->second
                                     : asked_[words] = parse_output(patient_.run(words));
    }

    void file()
    {
        if (roles_.running.roles == 0 && roles_.groups.groups.empty() &&
            (!roles_.file || *roles_.file == Config()))
            say(Finding::warning, "no role of wlb is on", "packets pass as without it",
                "write /etc/wlb/wlb.toml and run wlbctl apply");
        if (!roles_.file)
            return;
        if (!diff(roles_.running.config, *roles_.file).empty())
            say(Finding::warning, "what runs is not what the file says",
                "the next start brings the file's", "wlbctl apply --dry-run");
        for (const auto &[daemon, answers] : roles_.daemons) {
            if (answers)
                say(Finding::good, daemon + " runs");
            else
                say(Finding::fault, "the file has a part for " + daemon + ", which does not run",
                    "nothing of that part happens", "systemctl start " + daemon);
        }
    }

    // Families whose packets gateways and cache routers of this host forward.
    [[nodiscard]] std::set<bool> families()
    {
        std::set<bool> ipv6;
        const auto &config = roles_.running.config;
        for (const auto &service : config.client_gateway.services) {
            if (service.any_replica) {
                ipv6.insert(false);
                if (has_default_route6())
                    ipv6.insert(true);
            }
            for (const auto &prefix : service.replicas)
                ipv6.insert(prefix.address.is_ipv6());
        }
        for (const auto &origin : config.origins)
            for (const auto &server : origin.servers)
                if (!is_own(server))
                    ipv6.insert(server.is_ipv6());
        for (const auto &one : roles_.assignments)
            ipv6.insert(one.assignment.ipv6);
        return ipv6;
    }

    [[nodiscard]] bool has_default_route6()
    {
        const auto routes = ask({"ip", "-j", "-6", "route", "show", "default"});
        return routes.is_array() && !routes.empty();
    }

    [[nodiscard]] Json route_to(const Address &address)
    {
        return first_of(ask({"ip", "-j", "route", "get", address.text()}));
    }

    [[nodiscard]] bool is_own(const Address &address)
    {
        return word(route_to(address), "type") == "local";
    }

    void forwarding()
    {
        for (const bool ipv6 : families()) {
            const std::string path = ipv6 ? "net.ipv6.conf.all.forwarding" : "net.ipv4.ip_forward";
            auto file = "/proc/sys/" + path;
            std::replace(file.begin(), file.end(), '.', '/');
            if (read_number(patient_, file) != 0)
                say(Finding::good, path + " is on");
            else
                say(Finding::fault, path + " is off", "this host forwards nothing, and so wlb does",
                    "sysctl -w " + path + "=1");
        }
    }

    void device(const std::string &interface, const std::string &where)
    {
        const auto links = ask({"ip", "-j", "link", "show", "dev", interface});
        if (!links.is_array() || links.empty()) {
            say(Finding::fault, "interface " + interface + " (" + where + ") is not there",
                "what comes by it is not looked at", "ip link; mend the name in the file");
            return;
        }
        merges(interface);
        const auto flags = links.front().value("flags", Json::array());
        if (std::find(flags.begin(), flags.end(), "UP") == flags.end())
            say(Finding::fault, "interface " + interface + " (" + where + ") is down",
                "nothing comes by it", "ip link set " + interface + " up");
    }

    void table()
    {
        const auto limit = roles_.running.config.client_gateway.max_flows;
        if (roles_.stats.flows > nearly * static_cast<double>(limit))
            say(Finding::warning,
                "the table has " + std::to_string(roles_.stats.flows) + " of " +
                    std::to_string(limit) + " flows",
                "new connections will have the server alone",
                "raise max-flows of [client-gateway]");
        else
            say(Finding::good, "the table has " + std::to_string(roles_.stats.flows) + " of " +
                                   std::to_string(limit) + " flows");
    }

    void flowtables()
    {
        const auto tables = ask({"nft", "-j", "list", "flowtables"});
        if (!tables.is_object())
            return;
        for (const auto &entry : tables.value("nftables", Json::array()))
            if (entry.contains("flowtable"))
                say(Finding::warning,
                    "nftables has flowtable " + word(entry.at("flowtable"), "name"),
                    "flows that it takes pass by wlb: a connection that a replica has won breaks",
                    "keep the services' ports out of the rule that says flow add");
    }

    void route(const Address &address, const std::string &who)
    {
        const auto route = route_to(address);
        const auto type = word(route, "type");
        if (!route.is_object() || type == "unreachable" || type == "prohibit" ||
            type == "blackhole")
            say(Finding::fault, "there is no route to " + address.text() + ", " + who,
                "it does not take part in any race", "ip route add " + address.text() + " ...");
    }

    void serves(const Served &served)
    {
        const auto name = "origin " + served.name + ": ";
        auto addresses = served.servers;
        if (served.return_mode == Return::nat)
            addresses.clear();
        if (served.local)
            addresses.push_back(*served.local);
        for (const auto &address : addresses) {
            if (is_own(address))
                continue;
            say(Finding::fault, name + address.text() + " is no address of this host",
                "nobody here can answer under it, and clones are dropped",
                "ip address add " + address.text() + (address.is_ipv6() ? "/128" : "/32") +
                    " dev lo");
        }
        for (const auto port : served.ports) {
            const auto sockets = patient_.run({"ss", "-HltnO", "sport", "=", std::to_string(port)});
            if (!sockets || sockets->empty())
                say(Finding::fault, name + "nobody listens at TCP port " + std::to_string(port),
                    "this replica does not take part in any race", "start the server");
            else
                say(Finding::good, name + "a server listens at TCP port " + std::to_string(port));
        }
    }

    void group(const RedirectGroup &group)
    {
        const auto where = "group " + group.name;
        for (const auto *list : {&group.in, &group.out, &group.exclude})
            for (const auto &interface : *list)
                device(interface, where);
        const bool has_assignment =
            std::any_of(roles_.assignments.begin(), roles_.assignments.end(),
                        [&](const auto &one) { return one.assignment.group == group.name; });
        if (!has_assignment)
            say(Finding::warning, where + ": no cache has any of its packets",
                group.closed ? "they are dropped: the service is closed" : "they go to the servers",
                "wlbctl wccp show " + group.name + " detail");
        else
            say(Finding::good, where + ": caches have its packets");
        for (const auto &one : roles_.assignments)
            if (one.assignment.group == group.name)
                caches(group, one.assignment);
    }

    const Ruleset &rules()
    {
        if (!rules_)
            rules_.emplace(ask({"nft", "-j", "list", "ruleset"}));
        return *rules_;
    }

    void passed_by()
    {
        for (const auto &one : roles_.groups.groups)
            if (one.group.hook == GroupHook::prerouting && rules().forwards(false)) {
                say(Finding::warning,
                    "rules of FORWARD do not see what group " + one.group.name + " redirects",
                    rules().walls().empty()
                        ? "a cache gets what they would drop"
                        : "a cache gets what they would drop, and its answers, if they come by "
                          "here, belong to no connection that they know: they are dropped",
                    "hook = \"forward\" in the group, or drop in prerouting");
                break;
            }
        for (const auto &service : roles_.running.config.client_gateway.services)
            if (service.fastpath != FastPath::off && rules().forwards(true)) {
                say(Finding::warning,
                    "rules of FORWARD that limit or count see one packet a second and direction "
                    "of a flow of service " +
                        service.name,
                    "they limit and count too little", "fastpath = \"off\" in the service");
                break;
            }
    }

    // What rules take for granted of packets that are not tracked.
    void untracked()
    {
        if (roles_.running.config.client_gateway.conntrack != Conntrack::notrack)
            return;
        if (rules().has_source_nat())
            say(Finding::warning, "conntrack is \"notrack\", and nftables hides sources",
                "packets of the services' ports leave with the clients' own addresses",
                "conntrack = \"outside\" in [client-gateway]");
        for (const auto &wall : rules().walls())
            if (!wall.untracked)
                say(Finding::fault,
                    "conntrack is \"notrack\", and no rule lets pass what is untracked: chain " +
                        wall.chain,
                    "packets of the services' ports have no state and are dropped",
                    "nft insert rule " + wall.chain + " ct state untracked accept");
    }

    // Who comes by the way to @address is somebody else, whose way back may be another one.
    void reverse_path(const Address &address, const std::string &consequence)
    {
        const auto defaults = first_of(ask({"ip", "-j", "route", "show", "default"}));
        if (address.is_ipv6() || word(defaults, "dev").empty())
            return;
        const auto interface = word(route_to(address), "dev");
        if (interface != word(defaults, "dev"))
            strict(interface, consequence);
    }

    void strict(const std::string &interface, const std::string &consequence)
    {
        if (interface.empty() || !filters_strictly(patient_, interface) ||
            !strict_.insert(interface).second)
            return;
        say(Finding::warning, "net.ipv4.conf." + interface + ".rp_filter is strict", consequence,
            "sysctl -w net.ipv4.conf." + interface + ".rp_filter=2");
    }

    // Where packets come in that are to be sent on.
    void merges(const std::string &interface)
    {
        if (!interface.empty() && merging_.insert(interface).second &&
            merges_for_good(patient_, interface))
            say(Finding::fault, "LRO is on at " + interface,
                "segments that it has put together cannot be sent on: they are dropped",
                "ethtool -K " + interface + " lro off");
    }

    // 0: not known.
    long mtu_of(const std::string &interface)
    {
        const auto link = first_of(ask({"ip", "-j", "link", "show", "dev", interface}));
        return link.is_object() ? link.value("mtu", 0L) : 0;
    }

    long mtu_of(const Json &route)
    {
        const auto metrics = route.is_object() ? route.value("metrics", Json()) : Json();
        const auto mtu = first_of(metrics).is_object() ? first_of(metrics).value("mtu", 0L) : 0;
        return mtu != 0 ? mtu : mtu_of(word(route, "dev"));
    }

    // The largest that clients at these interfaces send; of those at none in particular, the usual.
    long client_mtu(const std::vector<std::string> &interfaces)
    {
        long largest = 0;
        for (const auto &interface : interfaces)
            largest = std::max(largest, mtu_of(interface));
        return largest != 0 ? largest : usual_mtu;
    }

    /*
     * Clients' packets of up to @largest bytes get @overhead more on the way to @address, whose
     * owner tells the clients what it takes itself less @told, and not what this way does.
     */
    void room(const Address &address, const std::string &who, long largest, long overhead,
              long told)
    {
        const auto route = route_to(address);
        const auto mtu = mtu_of(route);
        const auto mss = mtu - overhead - ip_headers(address.is_ipv6()) - tcp_header;
        if (mtu == 0 || mtu - overhead >= std::min(largest, usual_mtu - told) ||
            rules().mss().value_or(usual_mtu) <= mss)
            return;
        const auto family = std::string(address.is_ipv6() ? "ipv6" : "ipv4");
        say(Finding::warning,
            "the way to " + who + " takes " + std::to_string(mtu) + " bytes, " +
                std::to_string(mtu - overhead) + " of them a client's, which may send " +
                std::to_string(std::min(largest, usual_mtu - told)),
            "clients that do not hear ICMP hang when they send much",
            "nft 'add table inet wlb_mss; add chain inet wlb_mss forward { type filter hook "
            "forward priority mangle; }; add rule inet wlb_mss forward iifname " +
                word(route, "dev") + " meta nfproto " + family +
                " tcp flags syn tcp option maxseg size set " + std::to_string(mss) + "'");
    }

    // Who may answer, by the first address of each prefix.
    void replicas(const ClientGateway &gateway)
    {
        const bool tunnels =
            gateway.returns.contains(Return::tunnel) || gateway.returns.contains(Return::spoof);
        std::set<Address> seen;
        for (const auto &service : gateway.services)
            for (const auto &prefix : service.replicas) {
                const auto &address = prefix.address;
                if (!seen.insert(address).second)
                    continue;
                reverse_path(address, "answers of replicas, which get their server's address, are "
                                      "dropped without a word");
                merges(word(route_to(address), "dev"));
                const auto overhead = tunnels ? ip_headers(address.is_ipv6()) + gre_header : 0;
                room(address, "replicas in " + prefix.text(), client_mtu(gateway.inside), overhead,
                     overhead);
            }
    }

    void clones(const Served &served)
    {
        for (const auto &prefix : served.from)
            reverse_path(prefix.address, "clones, which have a client's address inside, are "
                                         "dropped without a word");
        for (const auto &link : ask({"ip", "-j", "-d", "link", "show"}))
            own_tunnel(served, link);
    }

    // A tunnel device without a key, between the same two hosts?
    void own_tunnel(const Served &served, const Json &link)
    {
        const auto info = link.value("linkinfo", Json::object());
        const auto kind = word(info, "info_kind");
        const auto data = info.value("info_data", Json::object());
        const auto flags = link.value("flags", Json::array());
        const bool gre = kind == "gre" || kind == "ip6gre";
        if ((!gre && kind != "ipip" && kind != "ip6tnl") || data.contains("okey") ||
            std::find(flags.begin(), flags.end(), "UP") == flags.end() ||
            word(data, "local") != served.local->text())
            return;
        const auto remote = Address::parse(word(data, "remote"));
        if (!remote || std::none_of(served.from.begin(), served.from.end(),
                                    [&](const auto &from) { return from.contains(*remote); }))
            return;
        const auto name = word(link, "ifname");
        if (!own_tunnels_.insert(name).second)
            return;
        say(Finding::warning,
            "tunnel " + name + " goes to " + remote->text() +
                ", whose clones "
                "this replica takes",
            "all that comes by it is taken for clones, and dropped",
            gre ? "ip link change " + name + " type " + kind +
                      " key 1, and the same at its other end"
                : "give it another address of this host's, or make it GRE with a key");
    }

    void caches(const RedirectGroup &group, const RedirectAssignment &assignment)
    {
        for (const auto &member : assignment.members) {
            const auto interface = word(route_to(member.address), "dev");
            if (!member.address.is_ipv6() && group.in != std::vector{interface})
                strict(interface, "what caches return, or ask for in clients' names, is dropped "
                                  "without a word");
            merges(interface);
            if (member.forward == Forward::gre)
                room(member.address, "cache " + member.address.text(), client_mtu(group.in),
                     ip_headers(member.address.is_ipv6()) + gre_header + WLB_REDIRECT_LEN, 0);
        }
    }

    void tracking()
    {
        const std::string where = "/proc/sys/net/netfilter/nf_conntrack_";
        const auto most = read_number(patient_, where + "max");
        const auto now = read_number(patient_, where + "count");
        if (most == 0 || static_cast<double>(now) < nearly * static_cast<double>(most))
            return;
        say(Finding::warning,
            "connection tracking has " + std::to_string(now) + " of " + std::to_string(most) +
                " connections",
            "it drops the packets of new ones",
            "sysctl -w net.netfilter.nf_conntrack_max=" + std::to_string(2 * most));
    }

    void counters()
    {
        for (const auto &sign : signs)
            if (const auto count = roles_.stats.counter(sign.counter); count != 0)
                say(Finding::warning,
                    std::string(sign.counter) + " " + std::to_string(count) +
                        " since the namespace began",
                    sign.consequence, sign.mend);
    }

    const Roles &roles_;
    const Patient &patient_;
    std::map<Words, Json> asked_;
    std::optional<Ruleset> rules_;
    std::set<std::string> strict_;      // interfaces that have been told of
    std::set<std::string> merging_;     // that have been asked about
    std::set<std::string> own_tunnels_; // that have been told of
    std::vector<Finding> findings_;
};

Result<Roles> read_roles(Kernel &kernel)
{
    Roles roles;
    const auto taken =
        all_of({take(kernel.read_config(), roles.running), take(kernel.read_stats(), roles.stats),
                take(kernel.read_groups(), roles.groups),
                take(kernel.read_assignments(), roles.assignments)});
    if (!taken)
        return taken.error();
    return roles;
}

int doctor(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("FILE", false);
    if (!options.parse(args))
        return options.status();
    std::optional<Config> file;
    // A host's file says nothing of its other network namespaces.
    if (options.has("FILE") || (context.netns.empty() && read_file(config_path))) {
        file = load_config(context, options.has("FILE") ? options.text("FILE") : config_path);
        if (!file)
            return refused;
    }
    auto kernel = context.connect_inside();
    if (!kernel)
        return refuse(context, kernel.error());
    auto roles = read_roles(**kernel);
    if (!roles)
        return refuse(context, roles.error());
    roles->file = file;
    const Json show{{"command", "show"}};
    if (file)
        for (const auto *daemon : daemons_of(*file))
            roles->daemons[daemon] = static_cast<bool>(context.ask(daemon, "", show));
    auto findings = examine_roles(*roles, {context.run_program, &read_file});
    if (file && !file->cache_host.groups.empty())
        for (auto &finding : examine(file->cache_host, {context.run_program, &read_file,
                                                        context.ask(cached_name, "", show)}))
            findings.push_back(std::move(finding));
    return show_findings(context, findings);
}

} // namespace

const std::vector<Command> &doctor_commands()
{
    static const std::vector<Command> commands{
        {"doctor", "", "[FILE]",
         "Find out why this host does not do what it is to do, and what mends it.", "doctor",
         &doctor},
    };
    return commands;
}

std::vector<const char *> daemons_of(const Config &file)
{
    std::vector<const char *> daemons;
    if (!file.cache_router.groups.empty())
        daemons.push_back(routerd_name);
    if (!file.processing.rules.empty())
        daemons.push_back(processd_name);
    const auto is_registry = [](const Origin &origin) { return origin.registry.has_value(); };
    if (std::any_of(file.origins.begin(), file.origins.end(), is_registry))
        daemons.push_back(gatewayd_name);
    const auto registers = [](const Served &served) { return served.registration.wanted(); };
    if (std::any_of(file.served.begin(), file.served.end(), registers))
        daemons.push_back(replicad_name);
    return daemons;
}

std::vector<Finding> examine_roles(const Roles &roles, const Patient &patient)
{
    return Examination(roles, patient).run();
}

} // namespace wlb::cli
