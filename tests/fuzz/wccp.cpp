// SPDX-License-Identifier: GPL-2.0-only
// userspace/wccp's codec: a datagram is parsed, written, parsed again. Input: the datagram.
#include <algorithm>
#include <cstdint>

#include "check.h"
#include "wccp/addresses.h"
#include "wccp/assignment.h"
#include "wccp/codec.h"
#include "wccp/security.h"

using namespace wlb::wccp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const View datagram(data, size);
    const auto header = parse_header(datagram);
    const auto service = peek_service(datagram);
    const auto parsed = parse(datagram);
    if (!header) {
        CHECK(!parsed && !service);
        return 0;
    }
    const auto message = message_of(datagram);
    CHECK(message.size() <= size);
    authenticate(message, "secret12", true);
    authenticate(message, "", false);
    if (!parsed) {
        CHECK(!parsed.error().message.empty());
        return 0;
    }
    if (const auto *found = parsed->find<ServiceInfo>())
        CHECK(service && *service == *found);
    const auto written = serialise(*parsed);
    CHECK(written || message.size() > max_message);
    if (written)
        CHECK(std::equal(written->begin(), written->end(), message.begin(), message.end()));

    const auto addresses = Addresses::of(*parsed);
    if (!addresses)
        return 0;
    for (const auto format : {BucketFormat::cisco, BucketFormat::draft}) {
        const auto proposal = read_proposal(*parsed, *addresses, format);
        if (!proposal)
            continue;
        const auto &table = proposal->table;
        CHECK(table.caches().size() <= max_caches);
        for (const auto bucket : table.buckets())
            CHECK(bucket == WLB_WCCP_BUCKET_NONE ||
                  (bucket & WLB_WCCP_BUCKET_INDEX) < table.caches().size());
        for (const auto &set : table.sets()) {
            for (const auto &value : set.values)
                CHECK(value.member < table.caches().size());
        }
    }
    return 0;
}
