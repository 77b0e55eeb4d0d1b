// SPDX-License-Identifier: GPL-2.0-only
#include <linux/wlb.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>

#include <array>
#include <cstring>

#include "wlb/message.h"
#include "wlb/reader.h"

namespace wlb {

Error unreadable(const char *what)
{
    return Error{std::string("cannot read the module's ") + what +
                 ": wlbctl and the wlb module are of different versions"};
}

namespace {

void read(Reader &in, const nlattr *nest, ClientGateway &gateway)
{
    auto &t = gateway.timeouts;
    in.nested(nest, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_CG_A_INSIDE:
            gateway.inside.push_back(Reader::string(a));
            break;
        case WLB_CG_A_MAX_FLOWS:
            gateway.max_flows = in.u32(a);
            break;
        case WLB_CG_A_CLIENT_QUOTA:
            gateway.client_quota = in.u32(a);
            break;
        case WLB_CG_A_RETURNS:
            gateway.returns = in.return_modes(a);
            break;
        case WLB_CG_A_CONNTRACK:
            gateway.conntrack = in.conntrack(a);
            break;
        case WLB_CG_A_T_RACING:
            t.racing = seconds(in.u32(a));
            break;
        case WLB_CG_A_T_TOMBSTONE:
            t.tombstone = seconds(in.u32(a));
            break;
        case WLB_CG_A_T_ESTABLISHED:
            t.established = seconds(in.u32(a));
            break;
        case WLB_CG_A_T_CLOSING:
            t.closing = seconds(in.u32(a));
            break;
        case WLB_CG_A_T_RESET:
            t.reset = seconds(in.u32(a));
            break;
        case WLB_CG_A_T_UNTAGGED:
            t.untagged = seconds(in.u32(a));
            break;
        case WLB_CG_A_T_DEAD:
            t.dead = seconds(in.u32(a));
            break;
        case WLB_CG_A_T_LEARNED:
            t.learned = seconds(in.u32(a));
            break;
        case WLB_CG_A_MAX_LEARNED:
            gateway.max_learned = in.u32(a);
            break;
        default:
            break;
        }
    });
}

Service read_service(Reader &in, const nlattr *nest)
{
    Service service;
    in.nested(nest, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_SERVICE_A_NAME:
            service.name = Reader::string(a);
            break;
        case WLB_SERVICE_A_PORTS:
            service.ports = in.ports(a);
            break;
        case WLB_SERVICE_A_ALL_PORTS:
            service.all_ports = true;
            break;
        case WLB_SERVICE_A_REPLICA:
            service.replicas.push_back(in.prefix(a));
            break;
        case WLB_SERVICE_A_ANY_REPLICA:
            service.any_replica = true;
            break;
        case WLB_SERVICE_A_NEVER:
            service.never.push_back(in.prefix(a));
            break;
        case WLB_SERVICE_A_STICKY:
            service.sticky = seconds(in.u32(a));
            break;
        case WLB_SERVICE_A_RACE:
            service.race = in.service_race(a);
            break;
        case WLB_SERVICE_A_FAN_OUT:
            service.fan_out = in.u8(a);
            break;
        case WLB_SERVICE_A_EXPLORE:
            service.explore = seconds(in.u32(a));
            break;
        case WLB_SERVICE_A_FASTPATH:
            service.fastpath = in.fastpath(a);
            break;
        default:
            break;
        }
    });
    return service;
}

Replica read_replica(Reader &in, const nlattr *nest)
{
    Replica replica;
    in.nested(nest, [&](int type, const nlattr *a) {
        if (type == WLB_REPLICA_A_ADDRESS)
            replica.address = in.address(a);
        else if (type == WLB_REPLICA_A_VIA)
            replica.via = in.via(a);
        else if (type == WLB_REPLICA_A_DELAY)
            replica.delay = microseconds(in.u32(a));
    });
    return replica;
}

Origin read_origin(Reader &in, const nlattr *nest)
{
    Origin origin;
    in.nested(nest, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_ORIGIN_A_NAME:
            origin.name = Reader::string(a);
            break;
        case WLB_ORIGIN_A_SERVER:
            origin.servers.push_back(in.address(a));
            break;
        case WLB_ORIGIN_A_PORTS:
            origin.ports = in.ports(a);
            break;
        case WLB_ORIGIN_A_RACE:
            origin.race = in.u8(a) == WLB_RACE_EQUAL ? Race::equal : Race::raw;
            break;
        case WLB_ORIGIN_A_MAX_HOLD:
            origin.max_hold = microseconds(in.u32(a));
            break;
        case WLB_ORIGIN_A_REPLICA:
            origin.replicas.push_back(read_replica(in, a));
            break;
        case WLB_ORIGIN_A_SOURCE:
            origin.source = in.address(a);
            break;
        case WLB_ORIGIN_A_STRIP:
            origin.strip_tag = true;
            break;
        case WLB_ORIGIN_A_FAN_OUT:
            origin.fan_out = in.u8(a);
            break;
        case WLB_ORIGIN_A_PICK:
            origin.pick = in.u8(a) == WLB_PICK_RANDOM ? Pick::random : Pick::nearest;
            break;
        case WLB_ORIGIN_A_RATE:
            origin.clones_per_second = in.u32(a);
            break;
        case WLB_ORIGIN_A_PREFIX_RATE:
            origin.clones_per_prefix = in.u32(a);
            break;
        case WLB_ORIGIN_A_COOKIE:
            origin.cookie = seconds(in.u32(a));
            break;
        default:
            break;
        }
    });
    return origin;
}

Served read_served(Reader &in, const nlattr *nest, bool &busy)
{
    Served served;
    in.nested(nest, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_SERVED_A_NAME:
            served.name = Reader::string(a);
            break;
        case WLB_SERVED_A_SERVER:
            served.servers.push_back(in.address(a));
            break;
        case WLB_SERVED_A_PORTS:
            served.ports = in.ports(a);
            break;
        case WLB_SERVED_A_LOCAL:
            served.local = in.address(a);
            break;
        case WLB_SERVED_A_RETURN:
            served.return_mode = in.return_mode(a);
            break;
        case WLB_SERVED_A_VIA:
            served.via = in.via(a);
            break;
        case WLB_SERVED_A_TRUST_PATH:
            served.trust_path = true;
            break;
        case WLB_SERVED_A_FROM:
            served.from.push_back(in.prefix(a));
            break;
        case WLB_SERVED_A_BUSY:
            busy = in.u8(a) != 0;
            break;
        default:
            break;
        }
    });
    // The module may have a default in it where it means nothing.
    if (served.return_mode == Return::nat || !served.via)
        served.via = default_via(served.return_mode);
    return served;
}

std::vector<Counter> all_counters()
{
    std::vector<Counter> counters;
#define WLB_STAT_COUNTER(name, text) counters.push_back({#name, 0, text});
    WLB_STATS(WLB_STAT_COUNTER)
#undef WLB_STAT_COUNTER
    return counters;
}

Answerer read_answerer(Reader &in, const nlattr *nest)
{
    Answerer answerer;
    in.nested(nest, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_ANSWERER_A_ADDRESS:
            answerer.address = in.address(a);
            break;
        case WLB_ANSWERER_A_VIA:
            answerer.via = in.u8(a);
            break;
        case WLB_ANSWERER_A_RTT:
            answerer.rtt_us = in.u32(a);
            break;
        case WLB_ANSWERER_A_RACED:
            answerer.raced = true;
            break;
        case WLB_ANSWERER_A_AGE:
            answerer.age_ms = in.u32(a);
            break;
        case WLB_ANSWERER_A_ANSWERS:
            answerer.answers = in.u32(a);
            break;
        case WLB_ANSWERER_A_WINS:
            answerer.wins = in.u32(a);
            break;
        case WLB_ANSWERER_A_ASKED:
            answerer.asked = in.u32(a);
            break;
        case WLB_ANSWERER_A_MISSED:
            answerer.missed = in.u32(a);
            break;
        case WLB_ANSWERER_A_SILENT:
            answerer.silent_ms = in.u32(a);
            break;
        default:
            break;
        }
    });
    return answerer;
}

Answer read_answer(Reader &in, const nlattr *nest)
{
    Answer answer;
    in.nested(nest, [&](int type, const nlattr *a) {
        if (type == WLB_ANSWER_A_ADDRESS)
            answer.address = in.address(a);
        else if (type == WLB_ANSWER_A_DELAY)
            answer.delay_us = in.u32(a);
        else if (type == WLB_ANSWER_A_WON)
            answer.won = true;
    });
    return answer;
}

} // namespace

std::optional<Address> RaceRecord::winner() const
{
    for (const auto &answer : answers)
        if (answer.won)
            return answer.address;
    return std::nullopt;
}

Status decode_config(const nlmsghdr *message, Running &running)
{
    Reader in;
    in.top(message, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_A_GENERATION:
            running.generation = in.u32(a);
            break;
        case WLB_A_ROLES:
            running.roles = in.u32(a);
            break;
        case WLB_A_CLIENT_GATEWAY:
            read(in, a, running.config.client_gateway);
            break;
        case WLB_A_SERVICE:
            running.config.client_gateway.services.push_back(read_service(in, a));
            break;
        case WLB_A_SERVER_GATEWAY:
            in.nested(a, [&](int inner, const nlattr *setting) {
                if (inner == WLB_SG_A_RATE)
                    running.config.server_gateway.clones_per_second = in.u32(setting);
            });
            break;
        case WLB_A_ORIGIN:
            running.config.origins.push_back(read_origin(in, a));
            break;
        case WLB_A_SERVED: {
            bool busy = false;
            running.config.served.push_back(read_served(in, a, busy));
            if (busy)
                running.busy.insert(running.config.served.back().name);
            break;
        }
        default:
            break;
        }
    });
    if (in.bad())
        return unreadable("configuration");
    return Done{};
}

Result<Flow> decode_flow(const nlmsghdr *message)
{
    Reader in;
    Flow flow;
    auto &tuple = flow.tuple;
    bool present = false;
    const auto track = [&]() -> Track & { return flow.track ? *flow.track : flow.track.emplace(); };
    const auto visit = [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_FLOW_A_CLIENT:
            tuple.client = in.address(a);
            break;
        case WLB_FLOW_A_CLIENT_PORT:
            tuple.client_port = in.u16(a);
            break;
        case WLB_FLOW_A_SERVER:
            tuple.server = in.address(a);
            break;
        case WLB_FLOW_A_SERVER_PORT:
            tuple.server_port = in.u16(a);
            break;
        case WLB_FLOW_A_WINNER:
            flow.winner = in.address(a);
            break;
        case WLB_FLOW_A_STATE:
            flow.state = in.u8(a);
            break;
        case WLB_FLOW_A_EXPIRES:
            flow.expires_ms = in.u32(a);
            break;
        case WLB_FLOW_A_ISN:
            flow.isn = in.u32(a);
            break;
        case WLB_FLOW_A_RETURN:
            flow.return_mode = in.u8(a);
            break;
        case WLB_FLOW_A_VIA:
            flow.via = in.u8(a);
            break;
        case WLB_FLOW_A_CLIENT_END:
            track().client_end = in.u32(a);
            break;
        case WLB_FLOW_A_CLIENT_ACK:
            track().client_ack = in.u32(a);
            break;
        case WLB_FLOW_A_SERVER_END:
            track().server_end = in.u32(a);
            break;
        case WLB_FLOW_A_SERVER_ACK:
            track().server_ack = in.u32(a);
            break;
        case WLB_FLOW_A_FLAGS:
            track().flags = in.u8(a);
            break;
        case WLB_FLOW_A_NEW_ISN:
            track().new_isn = in.u16(a);
            break;
        default:
            break;
        }
    };
    in.top(message, [&](int type, const nlattr *a) {
        if (type != WLB_A_FLOW)
            return;
        present = true;
        in.nested(a, visit);
    });
    in.require(present);
    if (in.bad())
        return unreadable("flows");
    return flow;
}

Result<RaceRecord> decode_race(const nlmsghdr *message)
{
    Reader in;
    RaceRecord race;
    auto &tuple = race.tuple;
    bool present = false;
    const auto visit = [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_RACE_A_ID:
            race.id = in.u64(a);
            break;
        case WLB_RACE_A_CLIENT:
            tuple.client = in.address(a);
            break;
        case WLB_RACE_A_CLIENT_PORT:
            tuple.client_port = in.u16(a);
            break;
        case WLB_RACE_A_SERVER:
            tuple.server = in.address(a);
            break;
        case WLB_RACE_A_SERVER_PORT:
            tuple.server_port = in.u16(a);
            break;
        case WLB_RACE_A_TIME:
            race.time_ns = in.u64(a);
            break;
        case WLB_RACE_A_ANSWER:
            race.answers.push_back(read_answer(in, a));
            break;
        default:
            break;
        }
    };
    in.top(message, [&](int type, const nlattr *a) {
        if (type != WLB_A_RACE)
            return;
        present = true;
        in.nested(a, visit);
    });
    in.require(present);
    if (in.bad())
        return unreadable("races");
    return race;
}

Result<Learned> decode_learned(const nlmsghdr *message)
{
    Reader in;
    Learned learned;
    bool present = false;
    const auto visit = [&](int type, const nlattr *a) {
        if (type == WLB_LEARNED_A_SERVER)
            learned.server = in.address(a);
        else if (type == WLB_LEARNED_A_SERVER_PORT)
            learned.server_port = in.u16(a);
        else if (type == WLB_LEARNED_A_ANSWERER)
            learned.answerers.push_back(read_answerer(in, a));
    };
    in.top(message, [&](int type, const nlattr *a) {
        if (type != WLB_A_LEARNED)
            return;
        present = true;
        in.nested(a, visit);
    });
    in.require(present);
    if (in.bad())
        return unreadable("list of what was learned");
    return learned;
}

Result<Stats> decode_stats(const nlmsghdr *message)
{
    Reader in;
    Stats stats;
    stats.counters = all_counters();
    bool present = false;
    in.top(message, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_A_STATS:
            present = true;
            in.counters(a, stats.counters);
            break;
        case WLB_A_FLOWS:
            stats.flows = in.u32(a);
            break;
        case WLB_A_RACING:
            stats.racing = in.u32(a);
            break;
        case WLB_A_HELD:
            stats.held = in.u32(a);
            break;
        default:
            break;
        }
    });
    in.require(present);
    if (in.bad())
        return unreadable("counters");
    return stats;
}

Result<std::uint32_t> decode_count(const nlmsghdr *message)
{
    Reader in;
    std::optional<std::uint32_t> count;
    in.top(message, [&](int type, const nlattr *a) {
        if (type == WLB_A_COUNT)
            count = in.u32(a);
    });
    in.require(count.has_value());
    if (in.bad())
        return unreadable("count");
    return *count;
}

} // namespace wlb
