// SPDX-License-Identifier: GPL-2.0-only
// REDIRECT_ASSIGN, and what a router does if none comes (R1 3.8).
#include <algorithm>

#include "wccp/allocate.h"
#include "wccp/mask_list.h"
#include "wccp/router.h"

namespace wlb::wccp {
namespace {

constexpr unsigned fallback_bits = 8; // values of a mask that is ours to fill: 256

} // namespace

RouterGroup::Refused RouterGroup::refuse_assignment(Refusal refusal, const Address &sender,
                                                    const std::string &reason, Output &out)
{
    if (reason != assignment_refusal_)
        out.events.push_back({EventKind::assignment_refused, sender, reason});
    assignment_refusal_ = reason;
    return refusal;
}

RouterGroup::Refused RouterGroup::redirect_assign(const Datagram &datagram, const Message &message,
                                                  const Addresses &addresses, Output &out)
{
    auto proposal = read_proposal(message, addresses, config_.bucket_format);
    if (!proposal)
        return Refusal::malformed;

    // From a member by its source; one with several addresses names itself in the key.
    const Cache *sender = nullptr;
    for (const auto &[address, cache] : caches_) {
        if (cache.usable() && (cache.peer.source == datagram.from || address == datagram.from))
            sender = &cache;
    }
    if (!sender) {
        const auto by_key = caches_.find(proposal->key.address);
        if (by_key != caches_.end() && by_key->second.usable())
            sender = &by_key->second;
    }
    if (!sender)
        return Refusal::assignment_sender;
    const auto &from = sender->peer.identity;
    if (!same_service(*service_, *message.find<ServiceInfo>()))
        return Refusal::service_mismatch;
    if (proposal->table.method() != fixed_->method)
        return refuse_assignment(Refusal::assignment_method, from,
                                 "of another method than the group's", out);
    const auto ours = std::find_if(proposal->routers.begin(), proposal->routers.end(),
                                   [&](const auto &r) { return r.router == config_.router_id; });
    if (ours == proposal->routers.end()) {
        if (config_.flush_if_unlisted && !proposal->routers.empty() &&
            (!table_.empty() || key_.number != 0)) {
            flush();
            await_assignment();
            out.events.push_back({EventKind::flushed, from, "an assignment without this router"});
        }
        return refuse_assignment(Refusal::assignment_unlisted, from, "does not list this router",
                                 out);
    }
    if (!sender->peer.knows(ours->receive_id))
        return refuse_assignment(Refusal::assignment_receive_id, from,
                                 "with a receive ID that is not the last one sent", out);
    if (ours->change_number != change_number_)
        return refuse_assignment(Refusal::assignment_change_number, from,
                                 "for another membership than the present one", out);

    auto &table = proposal->table;
    for (const auto &cache : std::vector(table.caches())) {
        const auto found = caches_.find(cache);
        if (found != caches_.end() && found->second.usable())
            continue;
        table.purge(cache);
        ++counters_.unknown_caches;
    }
    counters_.bad_buckets += proposal->bad_buckets;
    counters_.bad_sequence_numbers += proposal->bad_sequence_numbers;
    counters_.never_matching += proposal->never_matching;
    ++counters_.redirect_assign;
    assignment_refusal_.clear();

    const auto before = key_;
    if (before.number != 0 && before.address != proposal->key.address &&
        before.address != config_.router_id)
        out.events.push_back({EventKind::key_moved, from, "was " + before.address.text()});
    set_table(std::move(table), proposal->key);
    if (key_ != before)
        out.events.push_back({EventKind::assigned, from, "number " + std::to_string(key_.number)});
    return {};
}

// By weight, and as little moved as can be. The key is the router's own: no cache takes it
// for one of its own, so the designated one will assign if it can after all.
void RouterGroup::assign_fallback(Output &out)
{
    fallback_at_.reset();
    std::vector<Address> addresses;
    std::vector<std::uint32_t> weights;
    const Cache *with_mask = nullptr;
    for (const auto &[address, cache] : caches_) {
        if (!cache.usable())
            continue;
        addresses.push_back(address);
        weights.push_back(cache.weight.weight);
        if (!with_mask && cache.own_mask)
            with_mask = &cache;
    }
    if (addresses.empty())
        return;
    const auto index_of = [&](std::uint8_t member) -> std::optional<std::uint8_t> {
        const auto found = std::find(addresses.begin(), addresses.end(), table_.caches()[member]);
        if (found == addresses.end())
            return {};
        return static_cast<std::uint8_t>(found - addresses.begin());
    };
    Table table;
    if (fixed_->method == Method::hash) {
        std::vector<Slot> slots(WLB_WCCP_BUCKETS);
        for (std::size_t i = 0; i < slots.size(); ++i) {
            const auto bucket = table_.buckets()[i];
            if (bucket != WLB_WCCP_BUCKET_NONE)
                slots[i].owner = index_of(bucket & WLB_WCCP_BUCKET_INDEX);
        }
        const auto balanced = allocate(std::move(slots), weights);
        Buckets buckets;
        std::copy(balanced.begin(), balanced.end(), buckets.begin());
        table = Table::of_buckets(addresses, buckets);
    } else {
        const auto addr_len = addr_len_of(config_.is_ipv6());
        auto mask = with_mask ? *with_mask->own_mask : wlb_wccp_mask{};
        auto bits = wlb_wccp_mask_bits(&mask, addr_len);
        if (bits == 0 || bits > fallback_bits) {
            mask = usual_mask(*service_, addr_len);
            bits = wlb_wccp_mask_bits(&mask, addr_len);
        }
        std::vector<Slot> slots(std::size_t{1} << bits);
        for (const auto &old : table_.sets()) {
            if (!same_mask(old.mask, mask))
                continue;
            for (const auto &value : old.values) {
                if (const auto number = number_of(value.value, mask, addr_len))
                    slots[*number].owner = index_of(value.member);
            }
        }
        auto set = filled(mask, addr_len, allocate(std::move(slots), weights));
        table = Table::of_sets(addresses, {std::move(set)});
    }
    set_table(std::move(table), {config_.router_id, change_number_});
    ++counters_.fallback;
    out.events.push_back({EventKind::fallback, {}, "no cache has assigned in time"});
}

} // namespace wlb::wccp
