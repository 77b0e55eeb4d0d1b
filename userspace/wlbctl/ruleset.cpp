// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/ruleset.h"

#include <algorithm>
#include <set>

#include "wlbctl/finding.h"

namespace wlb::cli {

namespace {

bool has_any(const Json &parts, std::initializer_list<const char *> kinds)
{
    return std::any_of(parts.begin(), parts.end(), [&](const Json &part) {
        return std::any_of(kinds.begin(), kinds.end(),
                           [&](const char *kind) { return part.contains(kind); });
    });
}

// The states of a connection that a rule matches: a word, or a list or set of them.
std::set<std::string> states(const Json &parts)
{
    std::set<std::string> found;
    for (const auto &part : parts) {
        const auto match = part.value("match", Json::object());
        const auto left = match.value("left", Json());
        if (!left.is_object() || !left.contains("ct") || word(left.at("ct"), "key") != "state")
            continue;
        auto right = match.value("right", Json());
        if (right.is_object())
            right = right.value("set", Json());
        if (right.is_string())
            right = Json::array({right});
        for (const auto &state : right)
            if (state.is_string())
                found.insert(state.get<std::string>());
    }
    return found;
}

// Whatever comes to it is refused.
bool refuses_all(const Json &parts)
{
    return has_any(parts, {"drop", "reject"}) && !has_any(parts, {"match"});
}

std::optional<long> mss_of(const Json &part)
{
    const auto mangle = part.value("mangle", Json::object());
    const auto key = mangle.value("key", Json::object());
    if (!key.is_object() || word(key.value("tcp option", Json()), "name") != "maxseg")
        return {};
    const auto value = mangle.value("value", Json());
    return value.is_number_integer() ? std::optional<long>(value.get<long>()) : std::nullopt;
}

} // namespace

Ruleset::Ruleset(const Json &listed)
{
    if (!listed.is_object())
        return;
    const auto table_of = [](const Json &object) {
        return word(object, "family") + " " + word(object, "table");
    };
    for (const auto &entry : listed.value("nftables", Json::array()))
        if (entry.contains("chain") && word(entry.at("chain"), "hook") == "forward") {
            const auto &chain = entry.at("chain");
            forward_.push_back(
                {table_of(chain), word(chain, "name"), word(chain, "policy") == "drop"});
        } else if (entry.contains("rule")) {
            const auto &rule = entry.at("rule");
            rules_.push_back(
                {table_of(rule), word(rule, "chain"), rule.value("expr", Json::array())});
        }
    for (auto &chain : forward_)
        for (const auto &rule : rules_)
            if (rule.table == chain.table && rule.chain == chain.name && refuses_all(rule.parts))
                chain.drops = true;
}

bool Ruleset::forwards(bool counting) const
{
    return std::any_of(rules_.begin(), rules_.end(), [&](const Rule &rule) {
        return std::any_of(forward_.begin(), forward_.end(),
                           [&](const Chain &chain) {
                               return chain.table == rule.table && chain.name == rule.chain;
                           }) &&
               (!counting || has_any(rule.parts, {"limit", "quota", "counter"}));
    });
}

std::vector<Ruleset::Wall> Ruleset::walls() const
{
    std::vector<Wall> walls;
    for (const auto &chain : forward_) {
        std::set<std::string> asked;
        for (const auto &rule : rules_)
            if (rule.table == chain.table)
                asked.merge(states(rule.parts));
        if (chain.drops && (asked.contains("established") || asked.contains("new")))
            walls.push_back({chain.table + " " + chain.name, asked.contains("untracked")});
    }
    return walls;
}

bool Ruleset::has_source_nat() const
{
    return std::any_of(rules_.begin(), rules_.end(), [](const Rule &rule) {
        return has_any(rule.parts, {"masquerade", "snat"});
    });
}

std::optional<long> Ruleset::mss() const
{
    std::optional<long> least;
    for (const auto &rule : rules_)
        for (const auto &part : rule.parts)
            if (const auto mss = mss_of(part); mss && (!least || *mss < *least))
                least = mss;
    return least;
}

} // namespace wlb::cli
