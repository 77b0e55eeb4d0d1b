// SPDX-License-Identifier: GPL-2.0-only
// userspace/wlb: a configuration file is read, checked, written, read again, and
// sent to the module. Input: the file.
#include <linux/wlb.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <tuple>

#include "check.h"
#include "wlb/diff.h"
#include "wlb/message.h"
#include "wlb/toml_reader.h"
#include "wlb/toml_writer.h"
#include "wlb/validate.h"

using namespace wlb;

namespace {

void check_errors(std::string_view text, const std::vector<Diagnostic> &errors)
{
    const auto lines = 1 + std::count(text.begin(), text.end(), '\n');
    for (std::size_t i = 0; i < errors.size(); ++i) {
        const auto &error = errors[i];
        CHECK(!error.message.empty());
        CHECK(error.line >= 1 && error.line <= lines && error.column >= 1);
        CHECK(i == 0 || std::tie(errors[i - 1].line, errors[i - 1].column) <=
                            std::tie(error.line, error.column));
    }
}

void check_sent(Config config)
{
    // The daemons' own.
    config.cache_router = {};
    config.cache_host = {};
    config.processing = {};
    for (auto &origin : config.origins)
        origin.registry.reset();
    for (auto &served : config.served)
        served.registration = {};
    const auto message = encode_config(42, config, WLB_ROLE_ALL, 7);
    CHECK(message);
    Running running;
    CHECK(decode_config(nlmsg_hdr(message->get()), running));
    CHECK(running.generation == 7 && running.roles == WLB_ROLE_ALL && running.busy.empty());
    CHECK(running.config == config);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    const auto parsed = parse_config(text);
    check_errors(text, parsed.errors);
    if (!parsed.errors.empty())
        return 0;
    CHECK(validate(parsed.config).empty());

    const auto written = to_toml(parsed.config);
    const auto again = parse_config(written);
    CHECK(again.errors.empty());
    CHECK(again.config == parsed.config);
    CHECK(to_toml(again.config) == written);
    CHECK(diff(parsed.config, again.config).empty());
    check_sent(parsed.config);
    return 0;
}
