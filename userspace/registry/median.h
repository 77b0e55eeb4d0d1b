// SPDX-License-Identifier: GPL-2.0-only
// What a quantity that trembles is, by its last samples. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

namespace wlb::registry {

template <class T> class Median {
public:
    static constexpr std::size_t most = 15;

    void add(T sample)
    {
        samples_.push_back(sample);
        if (samples_.size() > most)
            samples_.pop_front();
    }
    void clear() { samples_.clear(); }

    [[nodiscard]] std::size_t count() const { return samples_.size(); }

    // Of an even number the lower one: who is late was late by chance, nobody is early so.
    [[nodiscard]] std::optional<T> value() const
    {
        if (samples_.empty())
            return std::nullopt;
        std::vector<T> sorted(samples_.begin(), samples_.end());
        const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
        std::nth_element(sorted.begin(), middle, sorted.end());
        return *middle;
    }

private:
    std::deque<T> samples_;
};

} // namespace wlb::registry
