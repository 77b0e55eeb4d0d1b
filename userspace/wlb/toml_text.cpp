// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/toml_text.h"

#include <array>
#include <cstdio>

#include "wlb/cache_router.h"

namespace wlb::toml_text {

std::string quote(const std::string &text)
{
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            quoted += '\\';
            quoted += c;
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            std::array<char, 8> escape{};
            std::snprintf(escape.data(), escape.size(), "\\u%04X", static_cast<unsigned>(c));
            quoted += escape.data();
        } else {
            quoted += c;
        }
    }
    return quoted + "\"";
}

std::string boolean(bool value)
{
    return value ? "true" : "false";
}

std::string number(std::int64_t value)
{
    return std::to_string(value);
}

std::string strings(const std::vector<std::string> &items)
{
    return list(items, quote);
}

std::string prefixes(const std::vector<Prefix> &items)
{
    return list(items, [](const auto &prefix) { return quote(prefix.text()); });
}

std::string rules(const std::vector<RedirectRule> &items)
{
    return list(items, [](const auto &rule) { return quote(to_text(rule)); });
}

std::string duration(microseconds value)
{
    return quote(format_duration(value));
}

std::string line(const char *key, const std::string &value)
{
    return std::string(key) + " = " + value + "\n";
}

std::string off(const char *key, const std::string &value)
{
    return "#" + line(key, value);
}

} // namespace wlb::toml_text
