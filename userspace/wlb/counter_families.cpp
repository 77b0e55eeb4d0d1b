// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/counter_families.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>

namespace wlb {

namespace {

struct Family {
    const char *name;
    const char *help;
    const char *label;
    // Of each counter's name, what its label's value is without.
    const char *prefix;
    std::initializer_list<const char *> counters;
};

const Family families[] = {
    // client gateway
    {"client_syns",
     "SYNs for services, by what became of them; payload: at server gateways, too",
     "outcome",
     "syn_",
     {"syn_tagged", "syn_retagged", "syn_plain", "syn_untagged", "syn_to_winner",
      "syn_not_permitted", "syn_opted_out", "syn_no_room", "syn_payload", "syn_signed",
      "syn_malformed", "syn_bad_tag", "syn_bad_checksum", "syn_table_full", "syn_client_quota",
      "syn_no_memory"}},
    {"tcp_truncated_packets",
     "TCP packets left alone: shorter than they say",
     nullptr,
     "",
     {"tcp_truncated"}},
    {"races",
     "Races that have ended, by how",
     "outcome",
     "race_",
     {"race_won_replica", "race_won_server", "race_unanswered", "race_refused", "race_evicted",
      "race_replaced", "race_flushed"}},
    {"direct_races",
     "Races of services of race = direct, by who cloned the SYN",
     "outcome",
     "direct_",
     {"syn_direct", "direct_explored", "direct_unknown", "direct_fallback", "direct_repeated"}},
    {"direct_clones", "Clones sent straight to replicas", nullptr, "", {"direct_clones"}},
    {"direct_clones_failed",
     "Clones not sent straight to replicas: no memory or no route",
     nullptr,
     "",
     {"direct_failed"}},
    {"answers",
     "Answers in races that did not win them, by why",
     "outcome",
     "answer_",
     {"answer_repeated", "answer_lost", "answer_not_preferred", "answer_bad_ack", "answer_unlisted",
      "answer_bad_nonce", "answer_bad_checksum"}},
    {"answers_mirrored", "Tags mirrored in an answer, taken out", nullptr, "", {"answer_mirrored"}},
    {"tombstones_evicted", "Tombstones forgotten to make room", nullptr, "", {"tombstone_evicted"}},
    {"tunnel_dropped_packets",
     "Encapsulated packets for clients dropped, by reason",
     "reason",
     "tunnel_",
     {"tunnel_no_flow", "tunnel_stray", "tunnel_congested"}},
    {"refusals_ignored",
     "RSTs of no winner during a race, dropped",
     nullptr,
     "",
     {"refusal_ignored"}},
    {"server_stray_packets",
     "Packets of the server in a replica's flow, dropped",
     nullptr,
     "",
     {"server_stray"}},
    {"resets",
     "Resets to losers, by whether they went out",
     "outcome",
     "reset_",
     {"reset_sent", "reset_failed"}},
    {"resets_out_of_window",
     "RSTs outside the window: passed, entry kept",
     nullptr,
     "",
     {"rst_out_of_window"}},
    {"flow_packets",
     "Packets of flows that replicas have won, by what was done to them",
     "action",
     "",
     {"translated_out", "translated_in", "passed_in", "tunnelled_out", "tunnelled_in"}},
    {"flow_fast_packets", "Of these, packets by the fast path", nullptr, "", {"fast"}},
    {"flow_failed_packets",
     "Packets of flows that went no farther, by reason",
     "reason",
     "",
     {"too_big_out", "translate_failed"}},
    {"winners",
     "Silent winners, by what was done: asked if they live, found dead",
     "outcome",
     "winner_",
     {"winner_asked", "winner_dead"}},
    {"flows_restored", "Flows put back by request", nullptr, "", {"flow_restored"}},
    {"learned_answerers",
     "Answerers learned, and forgotten, by why",
     "outcome",
     "learned_",
     {"learned_new", "learned_full", "learned_expired", "learned_flushed", "learned_failed"}},
    {"spoof_probes",
     "Probes of the spoofed path, by what became of them",
     "outcome",
     "probe_",
     {"probe_sent", "probe_passed", "probe_echoed"}},
    {"spoof_lost_connections",
     "Connections whose spoofed packets do not arrive: encapsulated",
     nullptr,
     "",
     {"spoof_lost"}},
    {"icmp_errors",
     "ICMP errors about packets of ours, by what became of them",
     "outcome",
     "icmp_",
     {"icmp_in", "icmp_out", "icmp_tunnel", "icmp_bad_checksum", "icmp_relayed", "redirect_icmp"}},
    // server gateway
    {"origin_syns",
     "Tagged SYNs at a server gateway, by what became of them",
     "outcome",
     "syn_",
     {"syn_cloned", "syn_not_replicable", "syn_extension", "syn_race_refused", "syn_loop",
      "syn_no_cookie", "syn_bad_cookie", "syn_prefix_limit", "syn_origin_limit",
      "syn_clone_limit"}},
    {"clones",
     "Clones of a server gateway, by whether they went out",
     "outcome",
     "clone_",
     {"clone_sent", "clone_failed"}},
    {"cookies",
     "Cookies, by what became of them",
     "outcome",
     "cookie_",
     {"cookie_given", "cookie_no_room", "cookie_no_memory", "cookie_kept"}},
    {"hold_failed_packets",
     "Packets that were not held as long as they should have been, by reason",
     "reason",
     "hold_",
     {"hold_full", "hold_dropped"}},
    // replica
    {"replica_clones",
     "Clones that came to this replica, by what became of them; cracked: given to the server",
     "outcome",
     "clone_",
     {"clone_cracked", "clone_busy", "clone_no_listener", "clone_accept_full", "clone_unlisted",
      "clone_not_syn", "clone_not_served", "clone_malformed", "clone_bad_checksum",
      "clone_no_address", "clone_not_offered"}},
    {"replica_packets",
     "Packets of a replica's connections, by what was done to them",
     "action",
     "",
     {"client_cracked", "client_translated", "client_stray", "answer_encapsulated",
      "reply_encapsulated", "reply_too_big", "reply_failed"}},
    // cache router
    {"redirected_packets",
     "Packets redirected to caches, by way",
     "way",
     "redirect_",
     {"redirect_gre", "redirect_l2"}},
    {"not_redirected_packets",
     "Packets of service groups that no cache got, by reason",
     "reason",
     "redirect_",
     {"redirect_unassigned", "redirect_closed", "redirect_denied", "redirect_exempt",
      "redirect_too_big", "redirect_no_route", "redirect_not_adjacent", "redirect_no_neighbour",
      "redirect_failed", "redirect_malformed"}},
    {"redirect_kept_packets",
     "Of those redirected, packets of flows from before a reassignment, to their old cache",
     nullptr,
     "",
     {"redirect_kept"}},
    {"redirect_drains_full",
     "Buckets reassigned at once: too many new flows",
     nullptr,
     "",
     {"redirect_drain_full"}},
    {"returned_packets",
     "Packets returned by caches, forwarded",
     nullptr,
     "",
     {"redirect_returned"}},
    {"returned_dropped_packets",
     "Packets returned to this router and dropped, by reason",
     "reason",
     "return_",
     {"return_stranger", "return_malformed", "return_congested"}},
    {"leases_ended",
     "Times that groups went idle: their daemon was silent for too long",
     nullptr,
     "",
     {"lease_ended"}},
    // cache's host
    {"cache_packets",
     "Redirected packets that came to this cache's host, by what became of them",
     "outcome",
     "cache_",
     {"cache_received", "cache_bypassed", "cache_learned", "cache_overload", "cache_deserted",
      "cache_strange", "cache_kept", "cache_stranger", "cache_malformed", "cache_congested",
      "cache_failed"}},
    // processing
    {"process_actions",
     "What rules for processing have done to packets",
     "action",
     "process_",
     {"process_rewritten", "process_marked", "process_tagged", "process_untagged",
      "process_no_room", "process_copied", "process_failed", "process_diverted"}},
};

} // namespace

CounterPlace place_of(const std::string &counter)
{
    for (const auto &family : families)
        for (const auto *one : family.counters) {
            if (counter != one)
                continue;
            if (family.label == nullptr)
                return {family.name, family.help, nullptr, ""};
            const auto length = std::strlen(family.prefix);
            // One that is counted among others, as syn_direct, is called by what follows its own.
            const auto skip = counter.compare(0, length, family.prefix) == 0
                                  ? length
                                  : (length == 0 ? 0 : counter.find('_') + 1);
            return {family.name, family.help, family.label, counter.substr(skip)};
        }
    auto name = counter; // "counter-7" if the module is newer
    std::replace(name.begin(), name.end(), '-', '_');
    return {name, "Unknown to this version: only a newer module has it", nullptr, ""};
}

} // namespace wlb
