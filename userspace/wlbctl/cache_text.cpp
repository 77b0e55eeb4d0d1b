// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/cache_text.h"

#include "wlbctl/json_text.h"

namespace wlb::cli {

namespace {

std::string because(const Json &object)
{
    const auto why = object.value("why", "");
    return why.empty() ? "" : ": " + why;
}

std::string milliseconds_text(const Json &seconds)
{
    return seconds.is_null() ? "none" : fixed(seconds.get<double>() * 1000, 1) + " ms";
}

std::string proxy_text(const Json &proxy)
{
    auto result = text(proxy.at("state")) + because(proxy);
    if (proxy.contains("answer-time"))
        result += ", answer after " + milliseconds_text(proxy.at("answer-time"));
    return result;
}

void write_router(std::ostream &out, const Json &router)
{
    out << "  Router " << text(router.at("router-id")) << "\n";
    line(out, 4, "State", text(router.at("state")) + because(router));
    line(out, 4, "Spoken to at",
         text(router.at("sent-to")) + (router.at("learned").get<bool>() ? ", learned" : "") +
             (router.at("multicast").get<bool>() ? ", multicast" : ""));
    line(out, 4, "Answers from", router, "source");
    line(out, 4, "Protocol version", router, "version");
    line(out, 4, "Receive ID", router, "receive-id");
    line(out, 4, "Member change number", router, "change-number");
    const auto &key = router.at("key");
    line(out, 4, "Assignment key", text(key.at("address")) + " " + text(key.at("number")));
    line(out, 4, "Caches that it counts", router, "caches");
    line(out, 4, "Allotment", router, "share");
    line(out, 4, "Silent", fixed(router.at("silent").get<double>(), 1) + " s");
    line(out, 4, "Connect time", clock_text(router.at("known").get<double>()));
    line(out, 4, "Packets returned",
         number(router, "returned-packets") + " (" + number(router, "returned-bytes") + " bytes)");
}

} // namespace

void write_cache_summary(std::ostream &out, const Json &group)
{
    out << title(group) << ": " << text(group.at("address")) << ", "
        << (group.at("drained").get<bool>() ? "drained" : text(group.at("phase"))) << ", proxy "
        << proxy_text(group.at("proxy")) << "; " << text(group.at("assignment")) << ", "
        << text(group.at("forwarding")) << ", return " << text(group.at("return"))
        << ", designated: " << text(group.at("designated")) << "\n";
    for (const auto &router : group.at("routers"))
        out << "  " << text(router.at("router-id")) << "  " << text(router.at("state"))
            << ", share " << text(router.at("share")) << ", returned "
            << number(router, "returned-packets") << because(router) << "\n";
    for (const auto &address : group.at("unheard"))
        out << "  " << text(address) << "  does not answer\n";
}

void write_cache_detail(std::ostream &out, const Json &group)
{
    out << title(group) << "\n";
    line(out, 2, "Address", group, "address");
    line(out, 2, "Phase", group, "phase");
    line(out, 2, "Drained", group, "drained");
    line(out, 2, "Proxy", proxy_text(group.at("proxy")));
    line(out, 2, "Authentication", group, "authentication");
    line(out, 2, "Weight", group, "weight");
    line(out, 2, "Redirection", group, "forwarding");
    line(out, 2, "Packet return", group, "return");
    line(out, 2, "Assignment", group, "assignment");
    line(out, 2, "Message interval", text(group.at("transmit-interval")) + " s");
    line(out, 2, "Change number", group, "change-number");
    line(out, 2, "Designated cache", group, "designated");
    if (!group.at("why-not-designated").get<std::string>().empty())
        line(out, 2, "Why not this one", group, "why-not-designated");
    const auto &key = group.at("key");
    if (key.at("number") != 0)
        line(out, 2, "Assigned last",
             text(key.at("address")) + " " + text(key.at("number")) +
                 (group.at("reflected").get<bool>() ? ", at every router"
                                                    : ", not at every router yet"));
    if (!group.at("assign-in").is_null())
        line(out, 2, "Assigns in", fixed(group.at("assign-in").get<double>(), 1) + " s");
    for (const auto &cache : group.at("caches"))
        line(out, 2, "Cache " + text(cache.at("address")),
             "weight " + text(cache.at("weight")) + ", grown " + text(cache.at("grown")) +
                 "/8, share " + text(cache.at("share")));
    for (const auto &router : group.at("routers"))
        write_router(out, router);
    for (const auto &address : group.at("unheard"))
        out << "  Router " << text(address) << " does not answer\n";
}

void write_cache_counters(std::ostream &out, const Json &group)
{
    out << title(group) << "\n";
    const auto &messages = group.at("messages");
    for (const auto &[name, value] : messages.items())
        if (!value.is_object())
            line(out, 2, "Messages " + name, text(value));
    for (const auto &[reason, value] : messages.at("refused").items())
        if (value != 0)
            out << "  Messages refused, " << reason << ": " << text(value) << "\n";
}

void write_cache_host(std::ostream &out, const Json &host)
{
    out << "New connections returned: " << fixed(host.at("returned-share").get<double>() * 100, 1)
        << " %";
    if (host.contains("connections"))
        out << "; TCP sockets " << text(host.at("connections")) << ", load "
            << fixed(host.at("load").get<double>(), 2) << ", answer after "
            << milliseconds_text(host.at("answer-time"));
    out << "\n";
}

void write_cache_event(std::ostream &out, const Json &event)
{
    const auto reason = event.at("reason").get<std::string>();
    out << title(event) << ": " << text(event.at("event"))
        << (event.contains("router") ? ": " + text(event.at("router")) : "")
        << (reason.empty() ? "" : ": " + reason) << "\n";
}

} // namespace wlb::cli
