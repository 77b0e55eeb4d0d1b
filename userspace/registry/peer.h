// SPDX-License-Identifier: GPL-2.0-only
// A replica as its gateway knows it: what it was asked, how long answers take. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "registry/median.h"
#include "registry/standing.h"

namespace wlb::registry {

// What a replica is for one origin of the gateway.
struct Offer {
    Standing standing;
    Via via = Via::gre;
    std::uint32_t weight = 1;
    std::set<Return> returns;
};

class Peer {
public:
    static constexpr unsigned patience = 3;                 // asks in a row without an answer
    static constexpr microseconds least{100};               // that a delay moves, or 2 %
    static constexpr Time settle = std::chrono::seconds(1); // between two moves

    // A question that was asked just now. One out of turn does not count if it is not
    // answered: others than the replica can have caused it.
    void asked(Time now, const Challenge &challenge, bool in_turn);
    struct Answer {
        Time took{0};
        bool punctual = false; // to a question in turn, and in time
    };
    // The question is answered; none: it was not asked, has been answered, or longer ago than
    // three intervals.
    std::optional<Answer> answered(Time now, const Challenge &challenge, Time interval);
    // The message is newer than every one before.
    bool advance(std::uint64_t boot, std::uint64_t sequence);

    // Counts what has not been answered in time; true if that was one too many just now.
    bool look(Time now, Time interval);
    // Nobody has looked for so long: its answers may have come meanwhile.
    void wait_longer(Time now, Time asleep);
    // When look() has something to see.
    [[nodiscard]] std::optional<Time> next_look(Time interval) const;

    // Takes a round trip into account; `at_once`: the kernel is told anyway.
    void measured(Time now, Time round_trip, bool at_once);
    [[nodiscard]] microseconds delay() const { return delay_; } // one way, as the kernel has it
    void set_delay(microseconds delay) { delay_ = delay; }
    [[nodiscard]] std::optional<Time> round_trip() const { return samples_.value(); }
    [[nodiscard]] std::size_t samples() const { return samples_.count(); }
    [[nodiscard]] unsigned unanswered() const { return unanswered_; }

    // Passive: of the state machine around it.
    std::string name;
    std::uint16_t port = 0;
    Address local; // ours that it speaks to; unspecified: as the routing table says
    std::map<std::string, Offer> offers; // by the gateway's name of the origin
    std::optional<Time> heard;           // its last STATE
    Time known{0};                       // since
    Time lifetime{0};                    // of that
    Time next_ask{0};
    std::optional<Time> hurried; // when a HELLO last had it asked

private:
    struct Question {
        Challenge challenge{};
        Time at{0};
        bool in_turn = true;
        bool late = false; // and counted
    };

    [[nodiscard]] Time deadline(const Question &question, Time interval) const;

    std::deque<Question> open_;
    unsigned unanswered_ = 0;
    Median<Time> samples_;
    unsigned heard_ = 0; // samples ever, up to those that the median is of
    microseconds delay_{0};
    std::optional<Time> told_;
    std::optional<std::uint64_t> boot_;
    std::uint64_t sequence_ = 0;
};

} // namespace wlb::registry
