// SPDX-License-Identifier: GPL-2.0-only
// What rules of nftables do to packets of ours.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "wlbctl/command.h"

namespace wlb::cli {

class Ruleset {
public:
    // What `nft -j list ruleset` has written; null if it could not be asked.
    explicit Ruleset(const Json &listed);

    // Is there a rule in a chain of FORWARD; with `counting`, one that limits or counts?
    [[nodiscard]] bool forwards(bool counting) const;

    // A chain of FORWARD, as in "inet filter forward", that drops what no rule lets pass, in a
    // table whose rules let pass by the state of a connection.
    struct Wall {
        std::string chain;
        bool untracked = false; // what is untracked is thought of too
    };
    [[nodiscard]] std::vector<Wall> walls() const;

    // Is there a rule that hides sources behind other addresses?
    [[nodiscard]] bool has_source_nat() const;

    // The least MSS that a rule sets; absent: none does, or only by the route's MTU.
    [[nodiscard]] std::optional<long> mss() const;

private:
    struct Chain {
        std::string table; // "inet filter"
        std::string name;
        bool drops = false; // what comes to its end
    };
    struct Rule {
        std::string table;
        std::string chain;
        Json parts;
    };
    std::vector<Chain> forward_;
    std::vector<Rule> rules_;
};

} // namespace wlb::cli
