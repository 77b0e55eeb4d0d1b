// SPDX-License-Identifier: GPL-2.0-only
// Flows that are saved and put back: on the wire, in the file, by the commands.
#include <catch2/catch.hpp>

#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "fake_kernel.h"
#include "sample.h"
#include "wlb/flow_file.h"
#include "wlb/output.h"
#include "wlbctl/command.h"

using namespace wlb;
using test::address;

namespace {

Flow carried()
{
    Flow flow;
    flow.tuple = {address("2001:db8::2"), 40000, address("2001:db8:a::10"), 80};
    flow.winner = address("2001:db8:b::10");
    flow.return_mode = WLB_RETURN_TUNNEL;
    flow.via = WLB_VIA_IPIP;
    flow.state = WLB_FLOW_CLOSING;
    flow.expires_ms = 1234;
    flow.isn = 4000000000;
    flow.track = {
        1,    2, 3, 4294967295, WLB_FLOW_F_FIN_CLIENT | WLB_FLOW_F_FIN_SERVER | WLB_FLOW_F_ASKED,
        65535};
    return flow;
}

Flow translated()
{
    Flow flow;
    flow.tuple = {address("10.1.1.2"), 1, address("203.0.113.10"), 65535};
    flow.winner = address("198.51.100.2");
    flow.return_mode = WLB_RETURN_NAT;
    flow.state = WLB_FLOW_WON;
    flow.expires_ms = 1;
    flow.track.emplace();
    return flow;
}

Flow tombstone()
{
    Flow flow;
    flow.tuple = {address("10.1.1.2"), 2, address("203.0.113.10"), 443};
    flow.winner = flow.tuple.server;
    flow.state = WLB_FLOW_TOMBSTONE;
    flow.expires_ms = 70000;
    flow.isn = 5;
    return flow;
}

std::string file_of(const std::vector<Flow> &flows)
{
    FlowFile file;
    for (const auto &flow : flows)
        file.add(flow);
    return std::move(file).text();
}

void check_same(const Flow &a, const Flow &b)
{
    CHECK(to_json(a) == to_json(b));
    CHECK(a.track == b.track);
}

std::string problem(const std::string &text)
{
    const auto flows = parse_flows(text);
    return flows ? "none" : flows.error().message;
}

struct Outcome {
    int status;
    std::string out;
    std::string err;
};

Outcome wlbctl(test::FakeState &state, const std::string &line, const std::string &input = "")
{
    std::ostringstream out;
    std::ostringstream err;
    std::istringstream in(input);
    cli::Context context{out,
                         err,
                         [&](const std::string &) -> Result<std::unique_ptr<Kernel>> {
                             return std::unique_ptr<Kernel>(
                                 std::make_unique<test::FakeKernel>(state));
                         },
                         false,
                         "",
                         in};
    const int status = cli::run(context, split(line, ' '));
    return {status, out.str(), err.str()};
}

} // namespace

TEST_CASE("a flow survives the wire", "[flow]")
{
    for (const auto &flow : {carried(), translated(), tombstone()}) {
        const auto request = encode_flow(42, flow);
        REQUIRE(request);
        const auto *const header = nlmsg_hdr(request->get());
        CHECK(genlmsg_hdr(const_cast<nlmsghdr *>(header))->cmd == WLB_CMD_FLOW_NEW);
        const auto read = decode_flow(header);
        REQUIRE(read);
        check_same(*read, flow);
    }
}

TEST_CASE("a refused flow names the attribute", "[flow]")
{
    const auto request = encode_flow(42, carried());
    const auto *const r = nlmsg_hdr(request->get());
    auto *const nest = genlmsg_attrdata(genlmsg_hdr(const_cast<nlmsghdr *>(r)), 0);
    const auto *const flags =
        nla_find(static_cast<nlattr *>(nla_data(nest)), nla_len(nest), WLB_FLOW_A_FLAGS);
    const Message refusal(nlmsg_alloc());
    auto *const error =
        nlmsg_put(refusal.get(), 0, 1, NLMSG_ERROR, 0, NLM_F_CAPPED | NLM_F_ACK_TLVS);
    nlmsgerr body{-EINVAL, *r};
    nlmsg_append(refusal.get(), &body, sizeof(body), 0);
    nla_put_string(refusal.get(), NLMSGERR_ATTR_MSG, "flags: others");
    nla_put_u32(refusal.get(), NLMSGERR_ATTR_OFFS,
                static_cast<std::uint32_t>(reinterpret_cast<const char *>(flags) -
                                           reinterpret_cast<const char *>(r)));
    CHECK(decode_refusal(error, r).message == "flow: flags: others (Invalid argument)");
}

TEST_CASE("what is written to a file is read back", "[flow]")
{
    CHECK(file_of({}) == "{\"version\":1,\"flows\":[\n]}\n");
    REQUIRE(parse_flows(file_of({})));
    CHECK(parse_flows(file_of({}))->empty());
    auto racing = tombstone();
    racing.state = WLB_FLOW_RACING;
    racing.winner.reset();
    const std::vector<Flow> flows{carried(), racing, translated(), tombstone()};
    const auto text = file_of(flows);
    CHECK(std::count(text.begin(), text.end(), '\n') == 5);
    const auto read = parse_flows(text);
    REQUIRE(read);
    REQUIRE(read->size() == 3);
    check_same(read->at(0), flows[0]);
    check_same(read->at(1), flows[2]);
    check_same(read->at(2), flows[3]);
}

TEST_CASE("a file of flows that is broken says where", "[flow]")
{
    CHECK(problem("").substr(0, 11) == "parse error");
    CHECK(problem("{\"version\":1,").substr(0, 32) == "parse error at line 1, column 14");
    for (const auto *text : {"[]", "1", "null", "\"x\""})
        CHECK(problem(text) == "must be an object of \"version\" and \"flows\"");
    CHECK(problem("{}") == "version: is missing");
    CHECK(problem(R"({"flows":[]})") == "version: is missing");
    CHECK(problem(R"({"version":1})") == "flows: is missing");
    CHECK(problem(R"({"version":2,"flows":[{"x":1}]})") == "version: this wlbctl reads version 1");
    CHECK(problem(R"({"version":-1,"flows":[]})") ==
          "version: must be a whole number of 0..4294967295");
    for (const auto *flows : {"1", "{}", "[1]", "[[]]", "{\"a\":[{}]}", "[[{}]]"})
        CHECK(problem(std::string(R"({"version":1,"flows":)") + flows + "}") ==
              "flows: must be a list of objects");
    CHECK(problem(R"({"version":1,"flows":[],"more":[{"x":1}]})") == "more: is not known");
    CHECK(problem(R"({"version":1,"flows":[{}]})") == "flows[0]: client: is missing");
    CHECK(problem(std::string(100000, '[')).substr(0, 11) == "parse error");
    // cut anywhere, it is never taken for a shorter one
    const auto text = file_of({carried(), tombstone()});
    for (std::size_t length = 0; length + 2 < text.size(); ++length)
        CHECK(problem(text.substr(0, length)).substr(0, 11) == "parse error");
}

TEST_CASE("a flow that is broken says where", "[flow]")
{
    const auto whole = Json::parse(file_of({tombstone(), carried()}));
    const auto with = [&](const char *name, const Json &value) {
        auto file = whole;
        file["flows"][1][name] = value;
        const auto text = problem(file.dump());
        return text.substr(0, 10) == "flows[1]: " ? text.substr(10) : text;
    };
    for (const auto *name : {"client", "server", "winner", "state", "return", "via", "client_port",
                             "server_port", "expires_ms", "isn", "client_end", "client_ack",
                             "server_end", "server_ack", "flags", "new_isn"}) {
        INFO(name);
        CHECK(with(name, nullptr) == std::string(name) + ": is missing");
        CHECK(with(name, true).substr(0, std::string(name).size() + 7) ==
              std::string(name) + ": must ");
    }
    CHECK(with("client", "10.1.1") == "client: \"10.1.1\" is not an IPv4 or IPv6 address");
    CHECK(with("client_port", 0) == "client_port: must be a whole number of 1..65535");
    CHECK(with("client_port", 65536) == "client_port: must be a whole number of 1..65535");
    CHECK(with("client_port", 1.5) == "client_port: must be a whole number of 1..65535");
    CHECK(with("isn", -1) == "isn: must be a whole number of 0..4294967295");
    CHECK(with("expires_ms", 0) == "expires_ms: must be a whole number of 1..4294967295");
    CHECK(with("new_isn", 65536) == "new_isn: must be a whole number of 0..65535");
    CHECK(with("state", "racing") ==
          "state: \"racing\" must be \"won\", \"tombstone\" or \"closing\"");
    CHECK(with("return", "x") == "return: \"x\" must be \"nat\", \"spoof\" or \"tunnel\"");
    CHECK(with("return", "nat") == "via: must be null with \"return\": \"nat\"");
    CHECK(with("via", "x") == "via: \"x\" must be \"gre\" or \"ipip\"");
    for (const auto &flags : {Json("rst"), Json{"rest"}, Json{1}, Json::array({"rst", nullptr})})
        CHECK(with("flags", flags).substr(0, 24) == "flags: must be a list of");
    CHECK(with("state", "tombstone") == "return: must be null of a tombstone");
    CHECK(with("more", 1) == "more: is not known");
    CHECK(with("new_isn", 0) == "none");
}

TEST_CASE("flows are saved", "[flow][cli]")
{
    test::FakeState state;
    state.flows = {carried(), tombstone()};
    CHECK(wlbctl(state, "flow save").out == file_of(state.flows));

    std::string directory = "/tmp/wlb-unit-XXXXXX";
    REQUIRE(mkdtemp(directory.data()) != nullptr);
    const auto path = directory + "/flows";
    const auto content = [&] {
        std::ifstream file(path);
        std::ostringstream all;
        all << file.rdbuf();
        return all.str();
    };
    CHECK(wlbctl(state, "flow save " + path).out.empty());
    CHECK(content() == file_of(state.flows));
    struct stat status {};
    REQUIRE(stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);

    // what cannot be read whole leaves the file as it was
    state.torn = true;
    auto outcome = wlbctl(state, "flow save " + path);
    CHECK(outcome.status == 1);
    CHECK(outcome.err == "wlbctl: the table changed each time it was read; try again\n");
    outcome = wlbctl(state, "flow save");
    CHECK(outcome.status == 1);
    CHECK(outcome.out.empty());
    state.refusal = Error{"out of memory", ENOMEM};
    CHECK(wlbctl(state, "flow save " + path).err == "wlbctl: out of memory\n");
    CHECK(content() == file_of(state.flows));
    unlink(path.c_str());
    CHECK(rmdir(directory.c_str()) == 0); // nothing else was left in it

    state = {};
    CHECK(wlbctl(state, "flow save " + path).status == 1);
    CHECK(wlbctl(state, "flow save a b").status == 2);
}

TEST_CASE("flows are restored, one refused stops no other", "[flow][cli]")
{
    test::FakeState state;
    const auto text = file_of({carried(), translated(), tombstone()});
    auto outcome = wlbctl(state, "flow restore", text);
    CHECK(outcome.status == 0);
    CHECK(outcome.out == "restored 3, refused 0\n");
    CHECK(outcome.err.empty());
    REQUIRE(state.restored.size() == 3);
    check_same(state.restored[1], translated());
    CHECK(wlbctl(state, "-j flow restore", text).out ==
          "{\"restored\":3,\"refused\":0,\"reasons\":[]}\n");

    state.refuse_flow = [](const Flow &flow) -> std::optional<Error> {
        if (flow.tuple.client_port < 10)
            return Error{"no", EEXIST};
        return std::nullopt;
    };
    outcome = wlbctl(state, "flow restore", text);
    CHECK(outcome.status == 1);
    CHECK(outcome.out == "restored 1, refused 2\n");
    CHECK(outcome.err == "wlbctl: 2 refused, first 10.1.1.2:1 > 203.0.113.10:65535: no\n");
    CHECK(wlbctl(state, "-j flow restore", text).out ==
          "{\"restored\":1,\"refused\":2,\"reasons\":[{\"count\":2,\"first\":\"10.1.1.2:1 > "
          "203.0.113.10:65535\",\"message\":\"no\"}]}\n");

    // who may not at all is told once
    state.refuse_flow = [](const Flow &) { return Error{"needs CAP_NET_ADMIN", EPERM}; };
    outcome = wlbctl(state, "flow restore", text);
    CHECK(outcome.status == 1);
    CHECK(outcome.out.empty());
    CHECK(outcome.err == "wlbctl: needs CAP_NET_ADMIN\n");
}

TEST_CASE("a broken file restores nothing", "[flow][cli]")
{
    test::FakeState state;
    auto outcome = wlbctl(state, "flow restore", file_of({carried()}) + "x");
    CHECK(outcome.status == 1);
    CHECK(outcome.out.empty());
    CHECK(outcome.err.substr(0, 43) == "wlbctl: standard input: parse error at line");
    outcome = wlbctl(state, "flow restore /nonexistent/flows");
    CHECK(outcome.status == 1);
    CHECK(outcome.err == "wlbctl: /nonexistent/flows: No such file or directory\n");
    CHECK(state.restored.empty());
}
