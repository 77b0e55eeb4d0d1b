// SPDX-License-Identifier: GPL-2.0-only
#include "wccp/report.h"

#include <algorithm>
#include <set>

#include "wccp/router.h"

namespace wlb::wccp {
namespace {

constexpr unsigned answers_enough = 2; // one may have got lost

} // namespace

const char *text(CacheStatus status)
{
    switch (status) {
    case CacheStatus::negotiating_membership:
        return "negotiating membership";
    case CacheStatus::negotiating_assignment:
        return "negotiating assignment";
    case CacheStatus::ready:
        return "ready";
    case CacheStatus::capability_mismatch:
        return "capability mismatch";
    case CacheStatus::assignment_mismatch:
        return "assignment mismatch";
    case CacheStatus::bad_router_id:
        return "bad router id";
    case CacheStatus::bad_router_view:
        return "bad router view";
    case CacheStatus::not_on_link:
        return "not on link";
    case CacheStatus::group_full:
        return "group full";
    case CacheStatus::shutting_down:
        return "shutting down";
    }
    return "?";
}

const char *text(Refusal refusal)
{
    switch (refusal) {
    case Refusal::header:
        return "no header of WCCP version 2";
    case Refusal::not_for_router:
        return "not for a router";
    case Refusal::other_service:
        return "of another service";
    case Refusal::family:
        return "of another address family";
    case Refusal::destination:
        return "to an address that is not ours";
    case Refusal::group_list:
        return "not in the group list";
    case Refusal::authentication:
        return "not authentic";
    case Refusal::malformed:
        return "malformed";
    case Refusal::component_missing:
        return "without a component that it must have";
    case Refusal::identity:
        return "identity is no host's address";
    case Refusal::strict_source:
        return "identity is not its source";
    case Refusal::identity_taken:
        return "identity of a member elsewhere";
    case Refusal::service_mismatch:
        return "describes the service in another way";
    case Refusal::receive_id:
        return "without the last receive ID";
    case Refusal::capabilities:
        return "capabilities that are not offered";
    case Refusal::group_full:
        return "group full";
    case Refusal::rate:
        return "more often than is answered";
    case Refusal::assignment_sender:
        return "assignment by no member";
    case Refusal::assignment_method:
        return "assignment of another method";
    case Refusal::assignment_unlisted:
        return "assignment without this router";
    case Refusal::assignment_receive_id:
        return "assignment without the last receive ID";
    case Refusal::assignment_change_number:
        return "assignment for another membership";
    }
    return "?";
}

const char *text(EventKind kind)
{
    switch (kind) {
    case EventKind::service_found:
        return "service found";
    case EventKind::service_lost:
        return "service lost";
    case EventKind::cache_refused:
        return "cache not usable";
    case EventKind::service_mismatch:
        return "service mismatch";
    case EventKind::view_changed:
        return "view changed";
    case EventKind::assigned:
        return "assigned";
    case EventKind::assignment_refused:
        return "assignment refused";
    case EventKind::key_moved:
        return "designated cache changed";
    case EventKind::flushed:
        return "assignment flushed";
    case EventKind::fallback:
        return "assigned by the router";
    case EventKind::kicked:
        return "change number raised";
    case EventKind::removal_query:
        return "removal query";
    case EventKind::shutdown:
        return "shutdown";
    case EventKind::confirmed:
        return "member confirmed";
    }
    return "?";
}

CacheReport RouterGroup::report_of(const Peer &peer) const
{
    CacheReport report;
    report.address = peer.identity;
    report.source = peer.source;
    report.multicast = peer.multicast;
    report.minor = peer.minor;
    report.receive_id = peer.receive_id;
    report.silent = now_ - peer.heard;
    report.why = "has not answered with receive ID " + std::to_string(peer.receive_id);
    if (peer.lists_others && peer.answers > answers_enough) {
        report.status = CacheStatus::bad_router_id;
        report.why = "hears other routers, but does not list " + config_.router_id.text();
    } else if (peer.stale_id && peer.answers > answers_enough) {
        report.status = CacheStatus::bad_router_view;
        report.why = "lists this router with another receive ID than " +
                     std::to_string(peer.receive_id) + ": our answers may not reach it";
    } else if (peer.answers > answers_enough) {
        report.why = "does not list this router after " + std::to_string(peer.answers) +
                     " answers: they may not reach it, or it refuses them";
    }
    return report;
}

CacheReport RouterGroup::report_of(const Cache &cache) const
{
    CacheReport report = report_of(cache.peer);
    report.usable = cache.usable();
    report.queried = cache.state == State::queried;
    report.forwarding = cache.agreed.forwarding;
    report.packet_return = cache.agreed.packet_return;
    report.method = cache.agreed.method;
    report.weight = cache.weight.weight;
    report.initial = cache.initial;
    report.share = table_.share(cache.peer.identity);
    report.assigned = table_.vector_of(cache.peer.identity);
    if (!report.usable) {
        report.status = cache.status;
        report.why = cache.why;
        return report;
    }
    report.connected = now_ - cache.since;
    report.status = report.share > 0 ? CacheStatus::ready : CacheStatus::negotiating_assignment;
    report.why.clear();
    if (report.share == 0)
        report.why = table_.empty() ? "no cache has assigned anything"
                                    : "the designated cache has given it nothing";
    if (report.share == 0 && !assignment_refusal_.empty())
        report.why += "; the last assignment was refused: " + assignment_refusal_;
    return report;
}

Report RouterGroup::report(Time now) const
{
    Report report;
    report.router_id = config_.router_id;
    report.service = service_;
    if (fixed_)
        report.method = fixed_->method;
    report.timers = timers();
    report.change_number = change_number_;
    report.receive_id = receive_id_;
    report.key = key_;
    report.routers.assign(routers_.begin(), routers_.end());
    if (flush_at_)
        report.flush_in = std::max(*flush_at_ - now, Duration{0});
    report.assignment_refusal = assignment_refusal_;
    std::set<Address> not_visible;
    const auto add = [&](CacheReport cache, Time heard, Time since) {
        cache.silent = std::max(now - heard, Duration{0});
        if (cache.usable)
            cache.connected = std::max(now - since, Duration{0});
        report.caches.push_back(std::move(cache));
    };
    for (const auto &[address, cache] : caches_) {
        if (cache.usable()) {
            report.visible.push_back(address);
            not_visible.insert(cache.caches.begin(), cache.caches.end());
        } else {
            not_visible.insert(address);
        }
        add(report_of(cache), cache.peer.heard, cache.since);
    }
    std::size_t shown = 0;
    for (const auto &peer : contacts_.newest_first()) {
        if (shown++ == reported_contacts)
            break;
        add(report_of(peer), peer.heard, {});
    }
    for (const auto &address : report.visible)
        not_visible.erase(address);
    report.not_visible.assign(not_visible.begin(), not_visible.end());
    report.contacts = contacts_.size();
    report.counters = counters_;
    return report;
}

} // namespace wlb::wccp
