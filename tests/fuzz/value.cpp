// SPDX-License-Identifier: GPL-2.0-only
// userspace/wlb: one value of the configuration or of the command line, taken for
// everything that it may be. Input: its text.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "check.h"
#include "wlb/address.h"
#include "wlb/duration.h"

using namespace wlb;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    const auto made_of = [&](std::string_view allowed) {
        return text.find_first_not_of(allowed) == std::string_view::npos;
    };
    if (const auto address = Address::parse(text)) {
        CHECK(made_of("0123456789abcdefABCDEF:."));
        CHECK(*Address::parse(address->text()) == *address);
    }
    if (const auto prefix = Prefix::parse(text)) {
        CHECK(made_of("0123456789abcdefABCDEF:./"));
        CHECK(*Prefix::parse(prefix->text()) == *prefix);
        CHECK(prefix->length <= prefix->address.bits());
    }
    if (const auto duration = parse_duration(text, seconds(1))) {
        CHECK(made_of("-0123456789mush"));
        CHECK(duration->count() >= 0);
        CHECK(*parse_duration(format_duration(*duration), seconds(1)) == *duration);
    }
    if (const auto port = parse_port(text))
        CHECK(*port != 0 && made_of("0123456789"));
    const auto commas = static_cast<std::size_t>(std::count(text.begin(), text.end(), ','));
    CHECK(split(text).size() == commas + 1);
    return 0;
}
