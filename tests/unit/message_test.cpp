// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <linux/netlink.h>
#include <linux/wlb.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <map>

#include "sample.h"
#include "wlb/message.h"
#include "wlb/output.h"

using namespace wlb;
using test::address;

namespace {

constexpr int family = 42;

const nlmsghdr *header(const Message &message)
{
    return nlmsg_hdr(message.get());
}

Message reply(std::uint8_t command, const std::function<void(nl_msg *)> &fill)
{
    Message message(nlmsg_alloc_size(65536));
    genlmsg_put(message.get(), 1, 1, family, 0, 0, command, WLB_GENL_VERSION);
    fill(message.get());
    return message;
}

void put_address(nl_msg *message, int type, const char *text)
{
    const auto value = address(text);
    nla_put(message, type, value.size(), value.data());
}

void nest(nl_msg *message, int type, const std::function<void()> &fill)
{
    auto *const start = nla_nest_start(message, type);
    fill();
    nla_nest_end(message, start);
}

// Where the n-th attribute of `type` at the top of a request starts.
const nlattr *attribute(const nlmsghdr *request, int type, int n)
{
    auto *const body = genlmsg_hdr(const_cast<nlmsghdr *>(request));
    auto *a = genlmsg_attrdata(body, 0);
    int left = genlmsg_attrlen(body, 0);
    for (; nla_ok(a, left); a = nla_next(a, &left))
        if (nla_type(a) == type && n-- == 0)
            return a;
    return nullptr;
}

const nlattr *inner(const nlattr *nest_attribute, int type)
{
    return nla_find(static_cast<nlattr *>(nla_data(nest_attribute)), nla_len(nest_attribute), type);
}

std::uint32_t offset(const nlmsghdr *request, const nlattr *at)
{
    return static_cast<std::uint32_t>(reinterpret_cast<const char *>(at) -
                                      reinterpret_cast<const char *>(request));
}

// A NLMSG_ERROR as the kernel builds it, capped or with the whole request.
Message refusal(const nlmsghdr *request, int code, bool capped, const char *text,
                std::optional<std::uint32_t> at)
{
    Message message(nlmsg_alloc_size(1 << 20));
    auto *const error = nlmsg_put(message.get(), 0, 1, NLMSG_ERROR, 0,
                                  (capped ? NLM_F_CAPPED : 0) | NLM_F_ACK_TLVS);
    error->nlmsg_flags |= NLM_F_ACK_TLVS;
    const nlmsgerr body{-code, *request};
    nlmsg_append(message.get(), const_cast<nlmsgerr *>(&body), sizeof(body), 0);
    if (!capped)
        nlmsg_append(message.get(), const_cast<nlmsghdr *>(request) + 1,
                     request->nlmsg_len - sizeof(nlmsghdr), NLMSG_ALIGNTO);
    if (text != nullptr)
        nla_put_string(message.get(), NLMSGERR_ATTR_MSG, text);
    if (at)
        nla_put_u32(message.get(), NLMSGERR_ATTR_OFFS, *at);
    return message;
}

} // namespace

TEST_CASE("a configuration survives the wire", "[message]")
{
    const auto message = encode_config(family, test::sample(), WLB_ROLE_ALL, 77);
    REQUIRE(message);
    CHECK(header(*message)->nlmsg_type == family);
    auto *const genl = genlmsg_hdr(const_cast<nlmsghdr *>(header(*message)));
    CHECK(genl->cmd == WLB_CMD_CONF_SET);
    CHECK(genl->version == WLB_GENL_VERSION);
    Running running;
    REQUIRE(decode_config(header(*message), running));
    CHECK(running.generation == 77);
    CHECK(running.roles == WLB_ROLE_ALL);
    CHECK(running.config == test::sample());
    CHECK(running.busy.empty());
}

TEST_CASE("only the roles that are named go in", "[message]")
{
    const auto only = [](std::uint32_t roles) {
        const auto message = encode_config(family, test::sample(), roles, std::nullopt);
        Running running;
        REQUIRE(decode_config(header(*message), running));
        CHECK(running.roles == roles);
        CHECK(attribute(header(*message), WLB_A_GENERATION, 0) == nullptr);
        return running.config;
    };
    auto wanted = test::sample();
    wanted.server_gateway = ServerGateway{};
    wanted.origins.clear();
    wanted.served.clear();
    CHECK(only(WLB_ROLE_CLIENT_GATEWAY) == wanted);
    wanted = test::sample();
    wanted.client_gateway = ClientGateway{};
    wanted.served.clear();
    CHECK(only(WLB_ROLE_SERVER_GATEWAY) == wanted);
    wanted = test::sample();
    wanted.client_gateway = ClientGateway{};
    wanted.server_gateway = ServerGateway{};
    wanted.origins.clear();
    CHECK(only(WLB_ROLE_REPLICA) == wanted);
}

TEST_CASE("the largest configuration fits", "[message]")
{
    Config config;
    for (int i = 0; i < WLB_MAX_SERVICES; ++i) {
        auto service = test::sample().client_gateway.services.front();
        service.name = "s" + std::to_string(i);
        service.replicas.assign(WLB_MAX_PREFIXES, test::prefix("2001:db8::/32"));
        service.never = service.replicas;
        config.client_gateway.services.push_back(service);
    }
    const auto message = encode_config(family, config, WLB_ROLE_ALL, 1);
    REQUIRE(message);
    CHECK(header(*message)->nlmsg_len > 4000000);
    Running running;
    REQUIRE(decode_config(header(*message), running));
    CHECK(running.config == config);
}

TEST_CASE("byte order and units on the wire", "[message]")
{
    const auto message = encode_config(family, test::sample(), WLB_ROLE_ALL, 1);
    const auto *const origin = attribute(header(*message), WLB_A_ORIGIN, 0);
    const auto *const server = inner(origin, WLB_ORIGIN_A_SERVER);
    const std::uint8_t network_order[] = {203, 0, 113, 10};
    REQUIRE(nla_len(server) == 4);
    CHECK(std::memcmp(nla_data(server), network_order, 4) == 0);
    const auto *const ports = inner(origin, WLB_ORIGIN_A_PORTS);
    const std::uint16_t host_order[] = {80, 65535};
    REQUIRE(nla_len(ports) == 4);
    CHECK(std::memcmp(nla_data(ports), host_order, 4) == 0);
    CHECK(nla_get_u32(inner(origin, WLB_ORIGIN_A_MAX_HOLD)) == 123456);
    CHECK(nla_get_u8(inner(origin, WLB_ORIGIN_A_RACE)) == WLB_RACE_EQUAL);
    CHECK(nla_get_u32(inner(inner(origin, WLB_ORIGIN_A_REPLICA), WLB_REPLICA_A_DELAY)) == 55000);
    CHECK(nla_get_u8(inner(inner(origin, WLB_ORIGIN_A_REPLICA), WLB_REPLICA_A_VIA)) ==
          WLB_VIA_IPIP);
    const auto *const six = attribute(header(*message), WLB_A_ORIGIN, 1);
    CHECK(nla_len(inner(six, WLB_ORIGIN_A_SERVER)) == 16);
    CHECK(inner(six, WLB_ORIGIN_A_SOURCE) == nullptr);
    CHECK(inner(six, WLB_ORIGIN_A_STRIP) == nullptr);
    CHECK(nla_get_u8(inner(origin, WLB_ORIGIN_A_FAN_OUT)) == 1);
    CHECK(nla_get_u8(inner(origin, WLB_ORIGIN_A_PICK)) == WLB_PICK_RANDOM);
    CHECK(nla_get_u32(inner(origin, WLB_ORIGIN_A_RATE)) == 4294967295);
    CHECK(nla_get_u32(inner(origin, WLB_ORIGIN_A_PREFIX_RATE)) == 20);
    CHECK(nla_get_u32(inner(origin, WLB_ORIGIN_A_COOKIE)) == 7);
    CHECK(nla_get_u32(inner(attribute(header(*message), WLB_A_SERVER_GATEWAY, 0), WLB_SG_A_RATE)) ==
          30);
    const auto *const gateway = attribute(header(*message), WLB_A_CLIENT_GATEWAY, 0);
    CHECK(nla_get_u32(inner(gateway, WLB_CG_A_T_ESTABLISHED)) == 3);
    const auto *const web = attribute(header(*message), WLB_A_SERVICE, 0);
    CHECK(inner(web, WLB_SERVICE_A_ALL_PORTS) == nullptr);
    CHECK(inner(web, WLB_SERVICE_A_ANY_REPLICA) == nullptr);
    const auto *const rest = attribute(header(*message), WLB_A_SERVICE, 1);
    CHECK(inner(rest, WLB_SERVICE_A_PORTS) == nullptr);
    CHECK(inner(rest, WLB_SERVICE_A_ALL_PORTS) != nullptr);
    const auto *const www = attribute(header(*message), WLB_A_SERVED, 0);
    CHECK(inner(www, WLB_SERVED_A_BUSY) == nullptr); // read only: the module refuses it
    CHECK(nla_get_u8(inner(www, WLB_SERVED_A_RETURN)) == WLB_RETURN_SPOOF);
    CHECK(nla_get_u8(inner(www, WLB_SERVED_A_VIA)) == WLB_VIA_IPIP);
    const auto *const tunnel = attribute(header(*message), WLB_A_SERVED, 1);
    CHECK(nla_get_u8(inner(tunnel, WLB_SERVED_A_RETURN)) == WLB_RETURN_TUNNEL);
    CHECK(nla_get_u8(inner(tunnel, WLB_SERVED_A_VIA)) == WLB_VIA_GRE);
    CHECK(nla_get_u32(inner(gateway, WLB_CG_A_RETURNS)) ==
          (1U << WLB_RETURN_NAT | 1U << WLB_RETURN_TUNNEL));
}

TEST_CASE("busy requests", "[message]")
{
    const auto one = encode_busy(family, true, "www");
    CHECK(nla_get_u8(attribute(header(*one), WLB_A_BUSY, 0)) == 1);
    CHECK(std::string(nla_get_string(
              const_cast<nlattr *>(attribute(header(*one), WLB_A_NAME, 0)))) == "www");
    const auto all = encode_busy(family, false, std::nullopt);
    CHECK(nla_get_u8(attribute(header(*all), WLB_A_BUSY, 0)) == 0);
    CHECK(attribute(header(*all), WLB_A_NAME, 0) == nullptr);
}

TEST_CASE("flush requests", "[message]")
{
    const auto all = encode_flush(family, {});
    CHECK(attribute(header(*all), WLB_A_FLOW, 0) == nullptr);
    const auto some = encode_flush(family, {address("10.0.0.1"), std::nullopt, address("::1")});
    const auto *const flow = attribute(header(*some), WLB_A_FLOW, 0);
    REQUIRE(flow != nullptr);
    CHECK(nla_len(inner(flow, WLB_FLOW_A_CLIENT)) == 4);
    CHECK(inner(flow, WLB_FLOW_A_SERVER) == nullptr);
    CHECK(nla_len(inner(flow, WLB_FLOW_A_WINNER)) == 16);
}

TEST_CASE("a busy replica is read", "[message]")
{
    const auto message = reply(WLB_CMD_CONF_GET, [](nl_msg *m) {
        nest(m, WLB_A_SERVED, [&] {
            nla_put_string(m, WLB_SERVED_A_NAME, "www");
            nla_put_u8(m, WLB_SERVED_A_BUSY, 1);
        });
        nest(m, WLB_A_SERVED, [&] {
            nla_put_string(m, WLB_SERVED_A_NAME, "idle");
            nla_put_u8(m, WLB_SERVED_A_BUSY, 0);
        });
    });
    Running running;
    REQUIRE(decode_config(header(message), running));
    CHECK(running.busy == std::set<std::string>{"www"});
}

TEST_CASE("return modes are read, those of a newer module are not guessed", "[message]")
{
    struct Read {
        Status status;
        Served served;
    };
    const auto read = [](std::optional<std::uint8_t> mode, std::optional<std::uint8_t> via) {
        const auto message = reply(WLB_CMD_CONF_GET, [&](nl_msg *m) {
            nest(m, WLB_A_SERVED, [&] {
                nla_put_string(m, WLB_SERVED_A_NAME, "www");
                if (via) // in any order
                    nla_put_u8(m, WLB_SERVED_A_VIA, *via);
                if (mode)
                    nla_put_u8(m, WLB_SERVED_A_RETURN, *mode);
            });
        });
        Running running;
        const auto status = decode_config(header(message), running);
        return Read{status, running.config.served.front()};
    };
    for (const auto mode :
         {std::optional<std::uint8_t>(), std::optional<std::uint8_t>(WLB_RETURN_NAT)})
        for (const auto via :
             {std::optional<std::uint8_t>(), std::optional<std::uint8_t>(WLB_VIA_GRE)}) {
            const auto nat = read(mode, via);
            CHECK(nat.status);
            CHECK(nat.served.return_mode == Return::nat);
            CHECK_FALSE(nat.served.via); // what save writes, apply must take
        }
    CHECK(read(WLB_RETURN_SPOOF, std::nullopt).served.return_mode == Return::spoof);
    CHECK(read(WLB_RETURN_SPOOF, std::nullopt).served.via == Via::gre);
    CHECK(read(WLB_RETURN_TUNNEL, WLB_VIA_IPIP).served.return_mode == Return::tunnel);
    CHECK(read(WLB_RETURN_TUNNEL, WLB_VIA_IPIP).served.via == Via::ipip);
    CHECK_FALSE(read(__WLB_RETURN_MAX, WLB_VIA_GRE).status);
    CHECK_FALSE(read(WLB_RETURN_TUNNEL, __WLB_VIA_MAX).status);

    const auto offered = [](std::uint32_t mask) {
        const auto message = reply(WLB_CMD_CONF_GET, [&](nl_msg *m) {
            nest(m, WLB_A_CLIENT_GATEWAY, [&] { nla_put_u32(m, WLB_CG_A_RETURNS, mask); });
        });
        Running running;
        const auto status = decode_config(header(message), running);
        return status ? running.config.client_gateway.returns : std::set<Return>{};
    };
    CHECK(offered(1U << WLB_RETURN_SPOOF) == std::set<Return>{Return::spoof});
    CHECK(offered(WLB_RETURN_ALL) == ClientGateway{}.returns);
    CHECK(offered(WLB_RETURN_ALL + 1).empty());
}

TEST_CASE("flows are read", "[message]")
{
    const auto message = reply(WLB_CMD_FLOW_GET, [](nl_msg *m) {
        nest(m, WLB_A_FLOW, [&] {
            put_address(m, WLB_FLOW_A_CLIENT, "10.1.1.2");
            nla_put_u16(m, WLB_FLOW_A_CLIENT_PORT, 40000);
            put_address(m, WLB_FLOW_A_SERVER, "203.0.113.10");
            nla_put_u16(m, WLB_FLOW_A_SERVER_PORT, 80);
            put_address(m, WLB_FLOW_A_WINNER, "198.51.100.2");
            nla_put_u8(m, WLB_FLOW_A_STATE, WLB_FLOW_WON);
            nla_put_u32(m, WLB_FLOW_A_EXPIRES, 7433012);
            nla_put_u32(m, WLB_FLOW_A_ISN, 4000000000);
            nla_put_u8(m, WLB_FLOW_A_RETURN, WLB_RETURN_SPOOF);
            nla_put_u8(m, WLB_FLOW_A_VIA, WLB_VIA_IPIP);
        });
    });
    const auto flow = decode_flow(header(message));
    REQUIRE(flow);
    CHECK(to_text(*flow) == "10.1.1.2:40000 > 203.0.113.10:80 winner 198.51.100.2 return spoof "
                            "ipip state won expires 7433.012s isn 4000000000");
    CHECK(to_json(*flow).dump() ==
          R"({"client":"10.1.1.2","client_port":40000,"server":"203.0.113.10","server_port":80,)"
          R"("winner":"198.51.100.2","return":"spoof","via":"ipip","state":"won",)"
          R"("expires_ms":7433012,"isn":4000000000})");
}

TEST_CASE("how a flow comes back", "[message]")
{
    const auto shown = [](std::optional<std::uint8_t> mode, std::optional<std::uint8_t> via) {
        Flow flow;
        flow.return_mode = mode;
        flow.via = via;
        const auto text = to_text(flow);
        const auto start = text.find("winner none") + std::string("winner none").size();
        const auto json = to_json(flow);
        return text.substr(start, text.find(" state") - start) + " " + json["return"].dump() + " " +
               json["via"].dump();
    };
    CHECK(shown(std::nullopt, std::nullopt) == " null null");
    CHECK(shown(WLB_RETURN_NAT, std::nullopt) == " return nat \"nat\" null");
    CHECK(shown(WLB_RETURN_SPOOF, WLB_VIA_GRE) == " return spoof gre \"spoof\" \"gre\"");
    CHECK(shown(WLB_RETURN_TUNNEL, WLB_VIA_IPIP) == " return tunnel ipip \"tunnel\" \"ipip\"");
    CHECK(shown(__WLB_RETURN_MAX, __WLB_VIA_MAX) ==
          " return return-3 via-2 \"return-3\" \"via-2\"");
}

TEST_CASE("a flow that races has no winner", "[message]")
{
    Flow flow;
    CHECK(to_json(flow)["winner"].is_null());
    const std::map<int, std::string> names{{WLB_FLOW_RACING, "racing"},
                                           {WLB_FLOW_WON, "won"},
                                           {WLB_FLOW_TOMBSTONE, "tombstone"},
                                           {WLB_FLOW_CLOSING, "closing"},
                                           {__WLB_FLOW_STATE_MAX, "state-4"}};
    for (const auto &[state, name] : names) {
        flow.state = static_cast<std::uint8_t>(state);
        CHECK(to_json(flow)["state"] == name);
    }
}

TEST_CASE("races are read", "[message]")
{
    const auto message = reply(WLB_CMD_RACE_GET, [](nl_msg *m) {
        nest(m, WLB_A_RACE, [&] {
            nla_put_u64(m, WLB_RACE_A_ID, 5000000000);
            put_address(m, WLB_RACE_A_CLIENT, "2001:db8::2");
            nla_put_u16(m, WLB_RACE_A_CLIENT_PORT, 40000);
            put_address(m, WLB_RACE_A_SERVER, "2001:db8::10");
            nla_put_u16(m, WLB_RACE_A_SERVER_PORT, 443);
            nla_put_u64(m, WLB_RACE_A_TIME, 1700000000123456789);
            nest(m, WLB_RACE_A_ANSWER, [&] {
                put_address(m, WLB_ANSWER_A_ADDRESS, "2001:db8:7::1");
                nla_put_u32(m, WLB_ANSWER_A_DELAY, 12345);
                nla_put_flag(m, WLB_ANSWER_A_WON);
            });
            nest(m, WLB_RACE_A_ANSWER, [&] {
                put_address(m, WLB_ANSWER_A_ADDRESS, "2001:db8::10");
                nla_put_u32(m, WLB_ANSWER_A_DELAY, 56007);
            });
        });
    });
    const auto race = decode_race(header(message));
    REQUIRE(race);
    CHECK(to_text(*race) ==
          "#5000000000 2023-11-14T22:13:20.123456Z [2001:db8::2]:40000 > [2001:db8::10]:443 winner "
          "2001:db8:7::1 answer 2001:db8:7::1 12.345ms answer 2001:db8::10 56.007ms");
    CHECK(to_json(*race).dump() ==
          R"({"id":5000000000,"time_ns":1700000000123456789,"client":"2001:db8::2",)"
          R"("client_port":40000,"server":"2001:db8::10","server_port":443,)"
          R"("winner":"2001:db8:7::1","answers":[)"
          R"({"address":"2001:db8:7::1","delay_us":12345,"won":true},)"
          R"({"address":"2001:db8::10","delay_us":56007,"won":false}]})");
}

TEST_CASE("what was learned is read", "[message]")
{
    const auto message = reply(WLB_CMD_LEARNED_GET, [](nl_msg *m) {
        nest(m, WLB_A_LEARNED, [&] {
            put_address(m, WLB_LEARNED_A_SERVER, "2001:db8::10");
            nla_put_u16(m, WLB_LEARNED_A_SERVER_PORT, 443);
            nest(m, WLB_LEARNED_A_ANSWERER, [&] {
                put_address(m, WLB_ANSWERER_A_ADDRESS, "2001:db8:7::1");
                nla_put_u8(m, WLB_ANSWERER_A_VIA, WLB_VIA_IPIP);
                nla_put_u32(m, WLB_ANSWERER_A_RTT, 12034);
                nla_put_u32(m, WLB_ANSWERER_A_AGE, 1500);
                nla_put_u32(m, WLB_ANSWERER_A_ANSWERS, 9);
                nla_put_u32(m, WLB_ANSWERER_A_WINS, 8);
                nla_put_u32(m, WLB_ANSWERER_A_ASKED, 7);
                nla_put_u32(m, WLB_ANSWERER_A_MISSED, 0);
            });
            nest(m, WLB_LEARNED_A_ANSWERER, [&] {
                put_address(m, WLB_ANSWERER_A_ADDRESS, "2001:db8:7::2");
                nla_put_u8(m, WLB_ANSWERER_A_VIA, WLB_VIA_GRE);
                nla_put_u32(m, WLB_ANSWERER_A_RTT, 112000);
                nla_put_flag(m, WLB_ANSWERER_A_RACED);
                nla_put_u32(m, WLB_ANSWERER_A_MISSED, 3);
                nla_put_u32(m, WLB_ANSWERER_A_SILENT, 29000);
            });
        });
    });
    const auto learned = decode_learned(header(message));
    REQUIRE(learned);
    CHECK(to_text(*learned) ==
          "[2001:db8::10]:443 answerer 2001:db8:7::1 via ipip rtt 12.034ms wins 8/9 asked 7 missed "
          "0 age 1.500s\n"
          "[2001:db8::10]:443 answerer 2001:db8:7::2 via gre rtt 112.000ms raced wins 0/0 asked 0 "
          "missed 3 age 0.000s silent 29.000s");
    CHECK(to_json(*learned).dump() ==
          R"({"server":"2001:db8::10","server_port":443,"answerers":[)"
          R"({"address":"2001:db8:7::1","via":"ipip","rtt_us":12034,"raced":false,)"
          R"("age_ms":1500,"answers":9,"wins":8,"asked":7,"missed":0,"silent_ms":null},)"
          R"({"address":"2001:db8:7::2","via":"gre","rtt_us":112000,"raced":true,)"
          R"("age_ms":0,"answers":0,"wins":0,"asked":0,"missed":3,"silent_ms":29000}]})");
}

TEST_CASE("requests to forget", "[message]")
{
    const auto all = encode_forget(family, std::nullopt);
    CHECK(attribute(header(*all), WLB_A_LEARNED, 0) == nullptr);
    const auto one = encode_forget(family, address("::1"));
    const auto *const learned = attribute(header(*one), WLB_A_LEARNED, 0);
    REQUIRE(learned != nullptr);
    CHECK(nla_len(inner(learned, WLB_LEARNED_A_SERVER)) == 16);
}

TEST_CASE("counters are read, also those of a newer module", "[message]")
{
    const auto message = reply(WLB_CMD_STATS_GET, [](nl_msg *m) {
        nest(m, WLB_A_STATS, [&] {
            nla_put_u64(m, WLB_STAT_syn_tagged + 1, 12);
            nla_put_u64(m, WLB_STAT_clone_bad_checksum + 1, 1ULL << 40);
            nla_put_u64(m, __WLB_STAT_MAX + 1, 3);
        });
        nla_put_u32(m, WLB_A_FLOWS, 4);
        nla_put_u32(m, WLB_A_RACING, 5);
        nla_put_u32(m, WLB_A_HELD, 6);
    });
    const auto stats = decode_stats(header(message));
    REQUIRE(stats);
    REQUIRE(stats->counters.size() == __WLB_STAT_MAX + 1);
    const auto json = to_json(*stats);
    CHECK(json["counters"]["syn_tagged"] == 12);
    CHECK(json["counters"]["syn_retagged"] == 0);
    CHECK(json["counters"]["clone_bad_checksum"] == 1ULL << 40);
    CHECK(json["counters"]["counter-" + std::to_string(__WLB_STAT_MAX + 1)] == 3);
    CHECK(json["flows"] == 4);
    CHECK(json["racing"] == 5);
    CHECK(json["held"] == 6);
}

TEST_CASE("counts are read", "[message]")
{
    const auto message =
        reply(WLB_CMD_FLOW_FLUSH, [](nl_msg *m) { nla_put_u32(m, WLB_A_COUNT, 9); });
    CHECK(*decode_count(header(message)) == 9);
}

TEST_CASE("what cannot be read is an error, not a zero", "[message]")
{
    const auto empty = reply(WLB_CMD_FLOW_GET, [](nl_msg *) {});
    CHECK_FALSE(decode_flow(header(empty)));
    CHECK_FALSE(decode_race(header(empty)));
    CHECK_FALSE(decode_learned(header(empty)));
    CHECK_FALSE(decode_stats(header(empty)));
    CHECK_FALSE(decode_count(header(empty)));
    const auto short_number = reply(WLB_CMD_FLOW_GET, [](nl_msg *m) {
        nest(m, WLB_A_FLOW, [&] { nla_put_u8(m, WLB_FLOW_A_ISN, 1); });
    });
    CHECK_FALSE(decode_flow(header(short_number)));
    const auto odd_address = reply(WLB_CMD_FLOW_GET, [](nl_msg *m) {
        nest(m, WLB_A_FLOW, [&] { nla_put_u64(m, WLB_FLOW_A_CLIENT, 1); });
    });
    CHECK_FALSE(decode_flow(header(odd_address)));
    const auto long_prefix = reply(WLB_CMD_CONF_GET, [](nl_msg *m) {
        nest(m, WLB_A_SERVED, [&] {
            nest(m, WLB_SERVED_A_FROM, [&] {
                put_address(m, WLB_PREFIX_A_ADDRESS, "10.0.0.0");
                nla_put_u8(m, WLB_PREFIX_A_LENGTH, 33);
            });
        });
    });
    Running running;
    CHECK_FALSE(decode_config(header(long_prefix), running));
}

TEST_CASE("an attribute that does not fit is an error, not the end", "[message]")
{
    const auto flow = [](std::uint16_t inner_length) {
        return reply(WLB_CMD_FLOW_GET, [&](nl_msg *m) {
            nest(m, WLB_A_FLOW, [&] {
                nla_put_u32(m, WLB_FLOW_A_ISN, 1);
                nla_put_u32(m, WLB_FLOW_A_EXPIRES, 5000);
                auto *const last = reinterpret_cast<nlattr *>(
                    static_cast<char *>(nlmsg_tail(nlmsg_hdr(m))) - (NLA_HDRLEN + 4));
                last->nla_len = inner_length;
            });
        });
    };
    CHECK(decode_flow(header(flow(8)))->expires_ms == 5000);
    CHECK_FALSE(decode_flow(header(flow(9))));
    CHECK_FALSE(decode_flow(header(flow(3))));
    CHECK_FALSE(decode_flow(header(flow(0))));

    const auto whole = reply(WLB_CMD_FLOW_FLUSH, [](nl_msg *m) {
        nla_put_u32(m, WLB_A_COUNT, 9);
        nla_put_u32(m, WLB_A_FLOWS, 1);
    });
    nlmsg_hdr(whole.get())->nlmsg_len -= 4;
    CHECK_FALSE(decode_count(header(whole)));
}

TEST_CASE("a refusal names the attribute and the reason", "[message]")
{
    const auto request = encode_config(family, test::sample(), WLB_ROLE_ALL, 1);
    const auto *const r = header(*request);
    const auto *const origin = attribute(r, WLB_A_ORIGIN, 1);
    const auto *const race = inner(origin, WLB_ORIGIN_A_RACE);
    for (const bool capped : {true, false}) {
        CAPTURE(capped);
        const auto error = decode_refusal(
            header(refusal(r, EINVAL, capped, "only raw or equal", offset(r, race))), r);
        CHECK(error.code == EINVAL);
        CHECK(error.message == "origin \"six\": race: only raw or equal (Invalid argument)");
    }
    const auto *const replica = inner(attribute(r, WLB_A_ORIGIN, 0), WLB_ORIGIN_A_REPLICA);
    const auto *const delay = inner(replica, WLB_REPLICA_A_DELAY);
    CHECK(
        decode_refusal(header(refusal(r, EINVAL, true, "delay: at most 1 s", offset(r, delay))), r)
            .message == "origin \"www\": replicas: delay: at most 1 s (Invalid argument)");
    CHECK(decode_refusal(header(refusal(r, EINVAL, true, "service: needs a name",
                                        offset(r, attribute(r, WLB_A_SERVICE, 1)))),
                         r)
              .message == "service \"rest\": needs a name (Invalid argument)");
    const auto *const gateway = attribute(r, WLB_A_CLIENT_GATEWAY, 0);
    CHECK(decode_refusal(header(refusal(r, ERANGE, true, nullptr,
                                        offset(r, inner(gateway, WLB_CG_A_T_RACING)))),
                         r)
              .message == "client-gateway: timeouts.racing: Numerical result out of range");
    const auto blamed = [&](const nlattr *nest_attribute, int type) {
        const auto at = offset(r, inner(nest_attribute, type));
        return decode_refusal(header(refusal(r, EINVAL, true, "no", at)), r).message;
    };
    CHECK(blamed(gateway, WLB_CG_A_RETURNS) == "client-gateway: returns: no (Invalid argument)");
    CHECK(blamed(gateway, WLB_CG_A_CONNTRACK) ==
          "client-gateway: conntrack: no (Invalid argument)");
    const auto *const www = attribute(r, WLB_A_SERVED, 0);
    CHECK(blamed(www, WLB_SERVED_A_RETURN) == "replica \"www\": return: no (Invalid argument)");
    CHECK(blamed(www, WLB_SERVED_A_VIA) == "replica \"www\": via: no (Invalid argument)");
}

TEST_CASE("a refusal without details", "[message]")
{
    const auto request = encode_config(family, test::sample(), WLB_ROLE_ALL, 1);
    const auto *const r = header(*request);
    CHECK(decode_refusal(header(refusal(r, ESTALE, true, nullptr, std::nullopt)), r).code ==
          ESTALE);
    CHECK(decode_refusal(header(refusal(r, EPERM, true, nullptr, std::nullopt)), r).message ==
          "needs CAP_NET_ADMIN (run as root)");
    // Offsets that point nowhere must not be followed.
    for (const std::uint32_t at : {0U, 3U, 16U, r->nlmsg_len, 0xffffffffU})
        CHECK(decode_refusal(header(refusal(r, EINVAL, true, "no", at)), r).message ==
              "no (Invalid argument)");
}

TEST_CASE("a dump that fails halfway", "[message]")
{
    const auto end = [](std::int32_t code) {
        Message message(nlmsg_alloc());
        nlmsg_put(message.get(), 0, 1, NLMSG_DONE, 0, NLM_F_MULTI);
        nlmsg_append(message.get(), &code, sizeof(code), NLMSG_ALIGNTO);
        return decode_dump_end(header(message));
    };
    CHECK(end(0).code == 0);
    CHECK(end(-ENOMEM).code == ENOMEM);
    CHECK(end(-ENOMEM).message == "Cannot allocate memory");
}

TEST_CASE("replicas that are set, and those in force", "[message]")
{
    const Replica replica{address("198.51.100.7"), Via::ipip, microseconds(55000)};
    const auto sent = encode_replicas(family, "www", {replica});
    REQUIRE(sent);
    CHECK(genlmsg_hdr(const_cast<nlmsghdr *>(header(*sent)))->cmd == WLB_CMD_REPLICA_SET);
    const auto read = decode_replica(header(*sent));
    REQUIRE(read);
    CHECK(read->origin == "www");
    CHECK(read->replica == replica);
    CHECK_FALSE(read->configured);
    const auto none = encode_replicas(family, "www", {});
    REQUIRE(none);
    CHECK_FALSE(decode_replica(header(*none)));
    const auto back = encode_configured_replicas(family, "www");
    REQUIRE(back);
    CHECK(attribute(header(*back), WLB_A_CONFIGURED, 0) != nullptr);

    const auto dumped = reply(WLB_CMD_REPLICA_GET, [](nl_msg *message) {
        nla_put_string(message, WLB_A_NAME, "six");
        nla_put_flag(message, WLB_A_CONFIGURED);
        nest(message, WLB_A_REPLICA, [&] {
            put_address(message, WLB_REPLICA_A_ADDRESS, "2001:db8::7");
            nla_put_u8(message, WLB_REPLICA_A_VIA, WLB_VIA_GRE);
            nla_put_u32(message, WLB_REPLICA_A_DELAY, 7);
            nla_put_u64(message, WLB_REPLICA_A_CLONES, 1ULL << 40);
        });
    });
    const auto one = decode_replica(header(dumped));
    REQUIRE(one);
    CHECK(one->origin == "six");
    CHECK(one->configured);
    CHECK(one->clones == 1ULL << 40);
    CHECK(one->replica == Replica{address("2001:db8::7"), Via::gre, microseconds(7)});
    const auto newer = reply(WLB_CMD_REPLICA_GET, [](nl_msg *message) {
        nla_put_string(message, WLB_A_NAME, "six");
        nest(message, WLB_A_REPLICA, [&] { nla_put_u8(message, WLB_REPLICA_A_VIA, 9); });
    });
    CHECK_FALSE(decode_replica(header(newer)));
}
