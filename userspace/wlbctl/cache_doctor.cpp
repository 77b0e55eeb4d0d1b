// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/cache_doctor.h"

#include <algorithm>
#include <set>

#include "wlbctl/cache_setup.h"

namespace wlb::cli {

namespace {

// By which routers are reached, of one family or both.
std::vector<std::string> router_interfaces(const CacheHost &host, const Patient &patient,
                                           bool ipv4_alone = false)
{
    std::set<std::string> interfaces;
    for (const auto &group : host.groups)
        for (const auto &router : group.routers) {
            if (ipv4_alone && router.is_ipv6())
                continue;
            const auto route =
                first_of(parse_output(patient.run({"ip", "-j", "route", "get", router.text()})));
            if (!route.is_null())
                interfaces.insert(word(route, "dev"));
        }
    return {interfaces.begin(), interfaces.end()};
}

constexpr const char *mend_setup = "wlbctl cache setup";

class Examination {
public:
    Examination(const CacheHost &host, const Patient &patient) : host_(host), patient_(patient) {}

    std::vector<Finding> run()
    {
        daemon();
        delivery();
        for (const auto &group : host_.groups)
            if (group.deliver)
                listener(group);
        merges();
        reverse_path();
        return std::move(findings_);
    }

private:
    void say(Finding::Grade grade, const std::string &what, const std::string &consequence = "",
             const std::string &mend = "")
    {
        findings_.push_back({grade, what, consequence, mend});
    }

    void daemon()
    {
        if (!patient_.daemon) {
            say(Finding::fault, patient_.daemon.error().message,
                "routers hear of no cache here and redirect nothing to it",
                "systemctl start wlb-cached");
            return;
        }
        say(Finding::good, "wlb-cached runs");
        for (const auto &group : patient_.daemon->at("groups"))
            membership(group);
    }

    void membership(const Json &group)
    {
        const auto name = "group " + word(group, "group") + " " + word(group, "family");
        const auto &proxy = group.at("proxy");
        if (word(proxy, "state") == "does not work")
            say(Finding::fault, name + ": the proxy does not work: " + word(proxy, "why"),
                "this cache keeps out of the group", "start the proxy, or mend probe");
        if (group.value("drained", false))
            say(Finding::warning, name + ": drained",
                "this cache keeps out of the group until it is resumed",
                "wlbctl cache resume " + word(group, "group"));
        for (const auto &address : group.at("unheard"))
            say(Finding::fault,
                name + ": router " + address.get<std::string>() + " does not answer",
                "it redirects nothing to this cache",
                "look at its group list and password, and at firewalls on UDP port 2048");
        for (const auto &router : group.at("routers")) {
            auto what =
                name + ": router " + word(router, "router-id") + ": " + word(router, "state");
            const auto why = word(router, "why");
            if (word(router, "state") == "ready")
                say(Finding::good, what);
            else
                say(Finding::warning, what.append(why.empty() ? "" : ": ").append(why),
                    "it redirects nothing to this cache yet", "wlbctl cache show detail");
        }
    }

    void delivery()
    {
        const auto delivery = delivery_of(host_);
        if (!delivery.ipv4 && !delivery.ipv6) {
            say(Finding::good,
                "no group has deliver: rules of your own see mark " + std::to_string(host_.mark));
            return;
        }
        const auto table = patient_.run({"nft", "list", "table", "inet", delivery_table});
        if (table)
            say(Finding::good, std::string("nftables has table inet ") + delivery_table);
        else
            say(Finding::fault, std::string("nftables has no table inet ") + delivery_table,
                "what is taken in does not get to the proxy", mend_setup);
        if (!delivery.tproxy)
            return;
        for (const auto &[family, used] :
             {std::pair{"-4", delivery.ipv4}, std::pair{"-6", delivery.ipv6}})
            if (used)
                routing(family);
    }

    void routing(const char *family)
    {
        const auto table = std::to_string(delivery_route_table);
        const std::string name = std::string("IP") + (family[1] == '4' ? "v4" : "v6");
        const auto rules = parse_output(patient_.run({"ip", "-j", family, "rule", "show"}));
        const auto is_ours = [&](const Json &rule) {
            const auto mark = word(rule, "fwmark");
            return word(rule, "table") == table && !mark.empty() &&
                   std::strtoll(mark.c_str(), nullptr, 0) == host_.mark;
        };
        if (!std::any_of(rules.begin(), rules.end(), is_ours))
            say(Finding::fault, name + ": no routing rule for mark " + std::to_string(host_.mark),
                "packets to addresses of others are forwarded instead of taken in", mend_setup);
        const auto routes =
            parse_output(patient_.run({"ip", "-j", family, "route", "show", "table", table}));
        const auto is_local = [](const Json &route) {
            return word(route, "type") == "local" && word(route, "dst") == "default";
        };
        if (!std::any_of(routes.begin(), routes.end(), is_local))
            say(Finding::fault, name + ": routing table " + table + " has no local default",
                "packets to addresses of others are not taken in", mend_setup);
        else
            say(Finding::good, name + ": routing table " + table + " takes everything in");
        if (family[1] == '4' &&
            read_number(patient_, "/proc/sys/net/ipv4/conf/all/src_valid_mark") != 0)
            say(Finding::warning, "net.ipv4.conf.all.src_valid_mark is set",
                "the reverse path filter looks into the table that takes everything in, and drops",
                "sysctl -w net.ipv4.conf.all.src_valid_mark=0");
    }

    void listener(const Membership &group)
    {
        const auto port = std::to_string(group.deliver->port);
        const auto sockets = patient_.run({"ss", "-HltnO", "--inet-sockopt", "sport", "=", port});
        const auto name = "group " + group.name() + ": ";
        if (!sockets || sockets->empty()) {
            say(Finding::fault, name + "nobody listens at TCP port " + port,
                "connections are refused", "start the proxy, or mend deliver");
            return;
        }
        const bool transparent = sockets->find("transparent") != std::string::npos;
        if (group.deliver->by == DeliverBy::tproxy && !transparent)
            say(Finding::fault, name + "who listens at TCP port " + port + " is not transparent",
                "it does not get connections to addresses of others",
                "Squid: http_port " + port +
                    " tproxy; nginx: listen ... transparent; HAProxy: "
                    "bind ... transparent; or deliver = { redirect = " +
                    port + " }");
        else
            say(Finding::good, name + "the proxy listens at TCP port " + port);
    }

    void merges()
    {
        for (const auto &interface : router_interfaces(host_, patient_))
            if (merges_for_good(patient_, interface))
                say(Finding::warning, "LRO is on at " + interface,
                    "segments that it has put together cannot be returned to a router: "
                    "connections that are not the proxy's hang",
                    "ethtool -K " + interface + " lro off");
    }

    void reverse_path()
    {
        for (const auto &interface : strict_interfaces(host_, patient_))
            say(Finding::warning, "net.ipv4.conf." + interface + ".rp_filter is strict",
                "packets of clients whose way back is another one are dropped without a word",
                "sysctl -w net.ipv4.conf." + interface + ".rp_filter=2");
    }

    const CacheHost &host_;
    const Patient &patient_;
    std::vector<Finding> findings_;
};

} // namespace

std::vector<Finding> examine(const CacheHost &host, const Patient &patient)
{
    return Examination(host, patient).run();
}

std::vector<std::string> strict_interfaces(const CacheHost &host, const Patient &patient)
{
    auto interfaces = router_interfaces(host, patient, true);
    std::erase_if(interfaces,
                  [&](const auto &interface) { return !filters_strictly(patient, interface); });
    return interfaces;
}

} // namespace wlb::cli
