// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <sstream>

#include "routerd/show.h"
#include "sample.h"
#include "wlbctl/command.h"

using namespace wlb;
using test::address;

namespace {

// A group as the daemon would tell of it: one cache that is ready, one that is not usable.
Json group()
{
    wccp::Report report;
    report.router_id = address("10.0.0.254");
    report.service = wccp::ServiceInfo{};
    report.method = wccp::Method::hash;
    report.key = {address("10.0.0.1"), 3};
    report.change_number = 5;
    report.routers = {address("10.0.0.254")};
    report.visible = {address("10.0.0.1")};
    report.not_visible = {address("10.0.0.2")};
    wccp::CacheReport ready;
    ready.address = ready.source = address("10.0.0.1");
    ready.status = wccp::CacheStatus::ready;
    ready.usable = true;
    ready.share = 128;
    ready.connected = wccp::Duration(3723000);
    wccp::CacheReport far;
    far.address = far.source = address("10.0.0.2");
    far.status = wccp::CacheStatus::not_on_link;
    far.why = "wants L2 and is behind a router";
    report.caches = {ready, far};
    CacheGroup config;
    config.any_cache = true;
    config.redirect_in = {"lan0"};
    return routerd::show({{}, false}, config, report, nullptr, nullptr);
}

struct Asked {
    int status;
    std::string out;
    std::string err;
    Json request;
};

Asked wlbctl(const std::string &line, const Json &answer)
{
    std::ostringstream out;
    std::ostringstream err;
    Json request;
    cli::Context context{out, err,
                         [](const std::string &) -> Result<std::unique_ptr<Kernel>> {
                             return Error{"nobody asks the kernel"};
                         },
                         false, ""};
    context.ask = [&](const std::string &, const std::string &, const Json &asked) -> Result<Json> {
        request = asked;
        if (answer.is_null())
            return Error{"wlb-routerd does not run in this network namespace"};
        return answer;
    };
    const int status = cli::run(context, split(line, ' '));
    return {status, out.str(), err.str(), request};
}

bool has(const std::string &text, const std::string &part)
{
    return text.find(part) != text.npos;
}

} // namespace

TEST_CASE("every part of a group is shown", "[cli][wccp]")
{
    auto one = group();
    const Json answer{{"groups", Json::array({one})}, {"unwanted", 0}};
    const auto summary = wlbctl("wccp show", answer);
    CHECK(summary.status == 0);
    CHECK(summary.request == Json{{"command", "show"}});
    CHECK(has(summary.out, "web-cache IPv4: router 10.0.0.254, 1 usable caches, 1 routers"));
    CHECK(has(summary.out, "10.0.0.1  usable, ready, share 128 (50.0%)"));
    CHECK(has(summary.out, "10.0.0.2  NOT usable"));
    CHECK(has(summary.out, "wants L2 and is behind a router"));
    for (const auto &[part, wanted] : {std::pair{"detail", "Connect time:           01:02:03"},
                                       {"clients", "Allotment:              128 (50.0%)"},
                                       {"view", "Caches NOT visible:       10.0.0.2"},
                                       {"service", "Flags:                    0x00000012"},
                                       {"counters", "Messages here-i-am:"},
                                       {"interfaces", "Redirect in:              lan0"}}) {
        const auto shown = wlbctl(std::string("wccp show web-cache ") + part, answer);
        INFO(shown.out);
        CHECK(has(shown.out, wanted));
        CHECK(shown.request == Json{{"command", "show"}, {"group", "web-cache"}});
    }
    CHECK(wlbctl("-j wccp show", answer).out == answer.dump() + "\n");
}

TEST_CASE("an assignment is shown by runs of buckets", "[cli][wccp]")
{
    wccp::Assignment assignment;
    assignment.members = {{address("10.0.0.1"), {}, {}, 0}};
    assignment.buckets.fill(WLB_WCCP_BUCKET_NONE);
    assignment.buckets[7] = 0;
    auto one = group();
    one["table"] = routerd::show_assignment(assignment);
    const auto shown = wlbctl("wccp show 80 assignment", {{"groups", Json::array({one})}});
    CHECK(shown.request == Json{{"command", "assignment"}, {"group", "80"}});
    CHECK(has(shown.out, "  0..6   unassigned\n    7..7   10.0.0.1\n    8..255 unassigned\n"));
}

TEST_CASE("a flow is asked for and answered", "[cli][wccp]")
{
    auto one = group();
    one["flow"] = {{"cache", "10.0.0.1"}, {"bucket", 17}};
    const auto shown = wlbctl("wccp hash web-cache 10.1.1.2:40000 [2001:db8::1]:80 --protocol 17",
                              {{"groups", Json::array({one})}});
    CHECK(shown.out == "web-cache IPv4: bucket 17, cache 10.0.0.1\n");
    CHECK(shown.request == Json{{"command", "hash"},
                                {"group", "web-cache"},
                                {"source", "10.1.1.2"},
                                {"source-port", 40000},
                                {"destination", "2001:db8::1"},
                                {"destination-port", 80},
                                {"protocol", 17}});
}

TEST_CASE("what cannot be asked is refused before anybody is", "[cli][wccp]")
{
    for (const auto *line :
         {"wccp show web-cache everything", "wccp show 256", "wccp hash web-cache 10.0.0.1",
          "wccp hash web-cache 10.0.0.1:0x10 10.0.0.2", "wccp hash web-cache [::1 10.0.0.2",
          "wccp hash web-cache 10.0.0.1 10.0.0.2 --protocol 256"}) {
        INFO(line);
        const auto refused = wlbctl(line, Json::object());
        CHECK(refused.status == 2);
        CHECK(refused.request.is_null());
        CHECK_FALSE(refused.err.empty());
    }
    const auto nobody = wlbctl("wccp show", {});
    CHECK(nobody.status == 1);
    CHECK(has(nobody.err, "does not run in this network namespace"));
}
