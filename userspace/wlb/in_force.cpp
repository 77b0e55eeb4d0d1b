// SPDX-License-Identifier: GPL-2.0-only
// Replicas that get clones, on the wire.
#include "wlb/in_force.h"

#include "wlb/reader.h"
#include "wlb/writer.h"

namespace wlb {

Result<Message> encode_replicas(int family, const std::string &origin,
                                const std::vector<Replica> &replicas)
{
    return build_request(family, WLB_CMD_REPLICA_SET, 0, [&](Writer &out) {
        out.string(WLB_A_NAME, origin);
        for (const auto &replica : replicas)
            out.nest(WLB_A_REPLICA, [&] {
                out.address(WLB_REPLICA_A_ADDRESS, replica.address);
                out.u8(WLB_REPLICA_A_VIA, static_cast<std::uint8_t>(replica.via));
                out.u32(WLB_REPLICA_A_DELAY, replica.delay.count());
            });
    });
}

Result<Message> encode_configured_replicas(int family, const std::string &origin)
{
    return build_request(family, WLB_CMD_REPLICA_SET, 0, [&](Writer &out) {
        out.string(WLB_A_NAME, origin);
        out.flag(WLB_A_CONFIGURED);
    });
}

Result<ReplicaInForce> decode_replica(const nlmsghdr *message)
{
    Reader in;
    ReplicaInForce found;
    bool present = false;
    const auto visit = [&](int type, const nlattr *a) {
        if (type == WLB_REPLICA_A_ADDRESS)
            found.replica.address = in.address(a);
        else if (type == WLB_REPLICA_A_VIA)
            found.replica.via = in.via(a);
        else if (type == WLB_REPLICA_A_DELAY)
            found.replica.delay = microseconds(in.u32(a));
        else if (type == WLB_REPLICA_A_CLONES)
            found.clones = in.u64(a);
    };
    in.top(message, [&](int type, const nlattr *a) {
        if (type == WLB_A_NAME) {
            found.origin = Reader::string(a);
        } else if (type == WLB_A_CONFIGURED) {
            found.configured = true;
        } else if (type == WLB_A_REPLICA) {
            present = true;
            in.nested(a, visit);
        }
    });
    in.require(present && !found.origin.empty());
    if (in.bad())
        return unreadable("replicas");
    return found;
}

} // namespace wlb
