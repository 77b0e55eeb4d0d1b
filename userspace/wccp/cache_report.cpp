// SPDX-License-Identifier: GPL-2.0-only
#include "wccp/cache_report.h"

#include "wccp/cache.h"

namespace wlb::wccp {

const char *text(CachePhase phase)
{
    switch (phase) {
    case CachePhase::silent:
        return "silent";
    case CachePhase::present:
        return "present";
    case CachePhase::leaving:
        return "leaving";
    }
    return "?";
}

const char *text(CacheEventKind kind)
{
    switch (kind) {
    case CacheEventKind::router_found:
        return "router found";
    case CacheEventKind::router_lost:
        return "router lost";
    case CacheEventKind::router_refused:
        return "router refused";
    case CacheEventKind::learned:
        return "router learned";
    case CacheEventKind::designated:
        return "designated";
    case CacheEventKind::assigned:
        return "assigned";
    case CacheEventKind::queried:
        return "queried";
    case CacheEventKind::left:
        return "left";
    }
    return "?";
}

RouterReport CacheGroup::report_of(const Address &id, const Router &router) const
{
    RouterReport report;
    report.id = id;
    report.source = router.source;
    report.sent_to = router.sent_to;
    report.multicast = router.multicast;
    const auto target = targets_.find(router.sent_to);
    report.learned = target != targets_.end() && target->second.learned;
    report.listed = router.listed;
    report.minor = router.minor;
    report.forwarding = router.offer.forwarding;
    report.packet_return = router.offer.packet_return;
    report.assignment = router.offer.assignment;
    report.receive_id = router.receive_id;
    report.change_number = router.change_number;
    report.key = router.key;
    report.share = share_of(router, config_.address);
    report.routers.assign(router.routers.begin(), router.routers.end());
    for (const auto &[cache, seen] : router.caches)
        report.caches.push_back(cache);
    if (phase_ == CachePhase::leaving) {
        report.status = CacheStatus::shutting_down;
        report.why = router.released ? "it knows" : "has not answered yet";
    } else if (!router.refused.empty()) {
        report.status = CacheStatus::capability_mismatch;
        report.why = router.refused;
    } else if (!router.listed) {
        report.why = "does not count this cache yet";
    } else if (report.share == 0) {
        report.status = CacheStatus::negotiating_assignment;
        report.why = router.key.number == 0 ? "no cache has assigned anything"
                                            : "the designated cache has given this one nothing";
    } else {
        report.status = CacheStatus::ready;
    }
    return report;
}

CacheGroupReport CacheGroup::report(Time now) const
{
    CacheGroupReport report;
    report.address = config_.address;
    report.phase = phase_;
    report.service = config_.service;
    report.agreed = agreed_;
    report.change_number = change_number_;
    const auto since = [&](Time time) { return std::max(now - time, Duration{0}); };
    for (const auto &[id, router] : routers_) {
        auto one = report_of(id, router);
        one.silent = since(router.heard);
        one.known = since(router.since);
        report.routers.push_back(std::move(one));
    }
    for (const auto &[to, target] : targets_) {
        if (routers_at(to).empty())
            report.unheard.push_back(to);
    }
    const auto all = seen_by_all();
    for (const auto &cache : all) {
        PeerReport peer{cache, weight_of(cache), grown(cache), 0};
        for (const auto &[id, router] : routers_)
            peer.share = std::max(peer.share, share_of(router, cache));
        report.caches.push_back(peer);
    }
    report.why_not = ineligible();
    if (report.why_not.empty() && !all.empty())
        report.designated = *all.begin();
    if (report.designated == config_.address && yields()) {
        report.designated = routers_.begin()->second.key.address;
        report.why_not = "it yields to a full assignment of another";
    }
    report.key = key_;
    report.reflected = reflected();
    if (assign_at_)
        report.assign_in = std::max(*assign_at_ - now, Duration{0});
    report.counters = counters_;
    return report;
}

} // namespace wlb::wccp
