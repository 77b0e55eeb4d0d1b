// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/processing.h"

#include <algorithm>
#include <charconv>

#include "wlb/names.h"

namespace wlb {

namespace {

constexpr Names<ProcessOn, 2> kinds{
    {{"returned", ProcessOn::returned}, {"passing", ProcessOn::passing}}};

constexpr std::string_view hex_mark = "0x";
constexpr std::string_view hex_digits = "0123456789abcdef";

bool is_printable(std::uint8_t octet)
{
    return octet >= 0x20 && octet < 0x7f;
}

} // namespace

std::vector<RunningProcessRule> process_rules(const Processing &processing)
{
    std::vector<RunningProcessRule> rules;
    rules.reserve(processing.rules.size());
    for (const auto &rule : processing.rules) {
        auto &running = rules.emplace_back();
        running.rule = rule;
        running.rule.copy.clear();
        if (rule.protocol == 0)
            running.rule.protocol.reset();
        const auto copy = std::find_if(processing.copies.begin(), processing.copies.end(),
                                       [&](const auto &known) { return known.name == rule.copy; });
        if (copy == processing.copies.end())
            continue;
        running.copy_group =
            copy_group(processing, static_cast<std::size_t>(copy - processing.copies.begin()));
        running.copy_length = static_cast<std::uint32_t>(copy->length);
    }
    return rules;
}

const char *name_of(ProcessOn on)
{
    return name_in(kinds, on);
}

Result<ProcessOn> parse_process_on(std::string_view text)
{
    return parse_in(kinds, text);
}

// RFC 2474, 2597, 3246.
Result<std::int64_t> parse_dscp(std::string_view text)
{
    const auto digit = [&](std::size_t at, char most) {
        return text[at] >= '0' && text[at] <= most ? text[at] - '0' : -1;
    };
    if (text == "default")
        return std::int64_t{0};
    if (text == "ef")
        return std::int64_t{46};
    if (text.size() == 3 && text.starts_with("cs") && digit(2, '7') >= 0)
        return std::int64_t{8} * digit(2, '7');
    if (text.size() == 4 && text.starts_with("af") && digit(2, '4') > 0 && digit(3, '3') > 0)
        return std::int64_t{8} * digit(2, '4') + std::int64_t{2} * digit(3, '3');
    return Error{"\"" + std::string(text) +
                 "\" must be 0..63, or one of default, ef, cs0..cs7, af11..af43"};
}

Result<std::vector<std::uint8_t>> parse_tag(std::string_view text)
{
    if (!text.starts_with(hex_mark))
        return std::vector<std::uint8_t>(text.begin(), text.end());
    const auto digits = text.substr(hex_mark.size());
    std::vector<std::uint8_t> tag(digits.size() / 2);
    bool good = digits.size() % 2 == 0;
    for (std::size_t i = 0; good && i < tag.size(); ++i) {
        const auto *const first = digits.data() + 2 * i;
        const auto [end, error] = std::from_chars(first, first + 2, tag[i], 16);
        good = error == std::errc{} && end == first + 2;
    }
    if (!good)
        return Error{"\"" + std::string(text) + "\" must have two hex digits for each octet"};
    return tag;
}

std::string tag_text(const std::vector<std::uint8_t> &tag)
{
    std::string plain(tag.begin(), tag.end());
    if (std::all_of(tag.begin(), tag.end(), is_printable) && !plain.starts_with(hex_mark))
        return plain;
    std::string text(hex_mark);
    for (const auto octet : tag) {
        text += hex_digits[octet >> 4U];
        text += hex_digits[octet & 0xfU];
    }
    return text;
}

} // namespace wlb
