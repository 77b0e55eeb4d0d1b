// SPDX-License-Identifier: GPL-2.0-only
#include "wccp/allocate.h"

#include <algorithm>
#include <numeric>

namespace wlb::wccp {
namespace {

using Cost = std::int64_t;

constexpr bool has(std::uint32_t set, std::size_t member)
{
    return (set >> member & 1U) != 0;
}

class Allocation {
public:
    Allocation(std::vector<Slot> slots, std::vector<std::uint32_t> weights)
        : slots_(std::move(slots)), weights_(std::move(weights)), share_(weights_.size()),
          have_(weights_.size()), result_(slots_.size(), nobody)
    {
        sum_ = std::accumulate(weights_.begin(), weights_.end(), Cost{0});
        if (sum_ == 0) {
            std::fill(weights_.begin(), weights_.end(), 1);
            sum_ = static_cast<Cost>(weights_.size());
        }
        std::uint32_t takers = 0;
        for (std::size_t i = 0; i < weights_.size(); ++i)
            takers |= weights_[i] ? 1U << i : 0U;
        for (std::size_t s = 0; s < slots_.size(); ++s) {
            auto &slot = slots_[s];
            slot.accepts &= takers;
            slot.former &= slot.accepts;
            plain_ = plain_ && slot.accepts == takers && slot.former == 0;
            placeable_ += slot.accepts != 0;
            if (!slot.owner || *slot.owner >= weights_.size() || !has(slot.accepts, *slot.owner)) {
                slot.owner.reset();
                continue;
            }
            result_[s] = *slot.owner;
            ++have_[*slot.owner];
        }
    }

    std::vector<std::uint8_t> run()
    {
        set_shares();
        give_back(false);
        give_back(true);
        release();
        hand_out();
        // Without specifications and former owners nothing can be better: shares are those of
        // the largest remainder, and only what is above them has moved.
        while (!plain_ && improve()) {
        }
        return std::move(result_);
    }

private:
    // The largest remainders are rounded up; of equal ones those first that have more than
    // they would keep otherwise.
    void set_shares()
    {
        std::vector<Cost> remainder(weights_.size());
        auto left = placeable_;
        for (std::size_t i = 0; i < weights_.size(); ++i) {
            share_[i] = placeable_ * weights_[i] / sum_;
            remainder[i] = placeable_ * weights_[i] % sum_;
            left -= share_[i];
        }
        std::vector<std::size_t> order(weights_.size());
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
            return remainder[a] != remainder[b] ? remainder[a] > remainder[b]
                                                : have_[a] > share_[a] && have_[b] <= share_[b];
        });
        for (std::size_t i = 0; left > 0; ++i, --left)
            ++share_[order[i]];
    }

    void give(std::size_t slot, std::size_t member)
    {
        if (result_[slot] != nobody)
            --have_[result_[slot]];
        result_[slot] = static_cast<std::uint8_t>(member);
        ++have_[member];
    }

    // To former owners, up to their share: first what is free, then what others have too
    // much of.
    void give_back(bool owned)
    {
        for (std::size_t s = 0; s < slots_.size(); ++s) {
            const auto owner = result_[s];
            if ((owner != nobody) != owned || (owned && have_[owner] <= share_[owner]))
                continue;
            for (std::size_t i = 0; i < weights_.size(); ++i) {
                if (has(slots_[s].former, i) && i != owner && have_[i] < share_[i]) {
                    give(s, i);
                    break;
                }
            }
        }
    }

    // What is above a share, from the highest slot on.
    void release()
    {
        for (auto s = slots_.size(); s-- > 0;) {
            const auto owner = result_[s];
            if (owner == nobody || have_[owner] <= share_[owner])
                continue;
            --have_[owner];
            result_[s] = nobody;
        }
    }

    // The free ones go around, so that neighbours do not all end up with the same member.
    void hand_out()
    {
        std::size_t next = 0;
        for (std::size_t s = 0; s < slots_.size(); ++s) {
            if (result_[s] != nobody || slots_[s].accepts == 0)
                continue;
            std::size_t best = weights_.size();
            for (std::size_t n = 0; n < weights_.size(); ++n) {
                const auto i = (next + n) % weights_.size();
                if (!has(slots_[s].accepts, i))
                    continue;
                if (have_[i] < share_[i]) {
                    best = i;
                    next = i + 1;
                    break;
                }
                if (best == weights_.size() || have_[i] < have_[best])
                    best = i;
            }
            give(s, best);
        }
    }

    // Costs count as the header orders them: one unit of the load's outweighs any number of
    // moves, one move any number of former owners that are passed over.
    [[nodiscard]] Cost move_unit() const { return static_cast<Cost>(slots_.size()) + 1; }
    [[nodiscard]] Cost slot_cost(const Slot &slot, std::size_t member) const
    {
        const bool back = slot.owner == member || has(slot.former, member);
        return (slot.owner && *slot.owner != member ? move_unit() : 0) + (back ? 0 : 1);
    }
    // What the slot after the `load`th adds to the sum of squares, times sum_
    [[nodiscard]] Cost load_cost(std::size_t member, Cost load) const
    {
        const auto unit = move_unit() * move_unit();
        return (2 * load * sum_ + sum_ - 2 * placeable_ * weights_[member]) * unit;
    }

    struct Edge {
        Cost cost = 0;
        std::optional<std::size_t> slot;
        bool exists = false;
    };

    // A cycle of slots that each go from one member to the next, or a path of them, which
    // the node behind the last member closes. This is flow at the least cost: it is the
    // least if and only if no cycle costs less than nothing.
    bool improve()
    {
        const auto members = weights_.size();
        const auto nodes = members + 1;
        std::vector<std::vector<Edge>> edges(nodes, std::vector<Edge>(nodes));
        const auto add = [&](std::size_t from, std::size_t to, const Edge &edge) {
            auto &present = edges[from][to];
            if (!present.exists || edge.cost < present.cost)
                present = edge;
        };
        for (std::size_t s = 0; s < slots_.size(); ++s) {
            const auto from = result_[s];
            for (std::size_t to = 0; to < members && from != nobody; ++to) {
                if (to != from && has(slots_[s].accepts, to))
                    add(from, to, {slot_cost(slots_[s], to) - slot_cost(slots_[s], from), s, true});
            }
        }
        for (std::size_t i = 0; i < members; ++i) {
            add(i, members, {load_cost(i, have_[i]), {}, true});
            if (have_[i] > 0)
                add(members, i, {-load_cost(i, have_[i] - 1), {}, true});
        }

        std::vector<Cost> distance(nodes);
        std::vector<std::size_t> before(nodes, nodes);
        std::optional<std::size_t> changed;
        for (std::size_t round = 0; round < nodes; ++round) {
            changed.reset();
            for (std::size_t from = 0; from < nodes; ++from) {
                for (std::size_t to = 0; to < nodes; ++to) {
                    const auto &edge = edges[from][to];
                    if (!edge.exists || distance[from] + edge.cost >= distance[to])
                        continue;
                    distance[to] = distance[from] + edge.cost;
                    before[to] = from;
                    changed = to;
                }
            }
            if (!changed)
                return false;
        }
        auto at = *changed;
        for (std::size_t i = 0; i < nodes; ++i) // into the cycle, if it is not there yet
            at = before[at];
        const auto start = at;
        do {
            if (const auto slot = edges[before[at]][at].slot)
                give(*slot, at);
            at = before[at];
        } while (at != start);
        return true;
    }

    std::vector<Slot> slots_;
    std::vector<std::uint32_t> weights_;
    std::vector<Cost> share_, have_;
    std::vector<std::uint8_t> result_;
    Cost sum_ = 0, placeable_ = 0;
    bool plain_ = true;
};

} // namespace

std::vector<std::uint8_t> allocate(std::vector<Slot> slots, std::vector<std::uint32_t> weights)
{
    std::vector<std::uint8_t> none(slots.size(), nobody);
    return weights.empty() ? none : Allocation(std::move(slots), std::move(weights)).run();
}

} // namespace wlb::wccp
