// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/observer.h"

#include <spdlog/spdlog.h>

#include "daemon/page.h"
#include "wlb/standings.h"

namespace wlb::daemon {

namespace {

constexpr auto keep_for = std::chrono::seconds(1);
constexpr auto settled_after = std::chrono::seconds(2); // then no loser of a race answers any more
constexpr std::size_t most_origins = 32;                // on the page

double seconds_of(std::chrono::system_clock::time_point time)
{
    return std::chrono::duration<double>(time.time_since_epoch()).count();
}

std::uint64_t ns_of(std::chrono::system_clock::time_point time)
{
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(time.time_since_epoch()).count());
}

std::chrono::milliseconds monotonic()
{
    return std::chrono::duration_cast<std::chrono::milliseconds>(
        Observer::Clock::now().time_since_epoch());
}

std::uint64_t answered(const Stats &stats)
{
    return stats.counter("race_won_replica") + stats.counter("race_won_server") +
           stats.counter("answer_lost");
}

template <class Items> Json some(const Items &items, std::size_t most)
{
    auto array = Json::array();
    for (const auto &item : items) {
        if (array.size() == most)
            break;
        array.push_back(to_json(item));
    }
    return array;
}

} // namespace

Observer::Observer(boost::asio::io_context &io, Subject subject)
    : subject_(std::move(subject)), started_(std::chrono::system_clock::now()),
      tally_(ns_of(started_)), timer_(io),
      http_(io, [this](const std::string &path) { return answer(path); })
{
}

void Observer::open(const Endpoint &at)
{
    if (const auto status = http_.open(at); !status) {
        spdlog::warn("no HTTP: {}", status.error().message);
        return;
    }
    spdlog::info("HTTP at http://{}/", at.text());
    sample();
    wait();
}

bool Observer::connect()
{
    if (kernel_)
        return true;
    auto kernel = connect_kernel("");
    if (kernel)
        kernel_ = std::move(*kernel);
    return kernel_ != nullptr;
}

void Observer::sample()
{
    if (!connect())
        return;
    const auto stats = kernel_->read_stats();
    if (!stats) {
        kernel_.reset(); // the module may have been loaded anew
        return;
    }
    history_.note(monotonic(), *stats);
    // Reading all of the latest races is worth it only if there are others than before; and once
    // more after that, for those that were too new.
    const auto answers = answered(*stats);
    if (answers == answers_[0] && answers == answers_[1])
        return;
    answers_[0] = std::exchange(answers_[1], answers);
    if (const auto races = kernel_->read_races())
        tally_.take(*races, ns_of(std::chrono::system_clock::now() - settled_after));
}

void Observer::wait()
{
    timer_.expires_after(History::interval);
    timer_.async_wait([this](auto error) {
        if (error)
            return;
        sample();
        wait();
    });
}

std::optional<HttpPage> Observer::answer(const std::string &path)
{
    if (path == "/")
        return status_page();
    if (path == "/metrics")
        return HttpPage{"text/plain; version=0.0.4; charset=utf-8",
                        keep(metrics_, [this] { return metrics(); })};
    if (path == "/status.json")
        return HttpPage{"application/json", keep(status_, [this] {
                            return show().dump(-1, ' ', false, Json::error_handler_t::replace) +
                                   "\n";
                        })};
    return std::nullopt;
}

const std::shared_ptr<const std::string> &Observer::keep(Kept &kept,
                                                         const std::function<std::string()> &make)
{
    if (!kept.text || Clock::now() >= kept.until) {
        kept.text = std::make_shared<const std::string>(make());
        kept.until = Clock::now() + keep_for;
    }
    return kept.text;
}

std::string Observer::metrics()
{
    Metrics metrics;
    metrics.gauge("build_info", "1; which daemon this is, and its version",
                  {{"daemon", subject_.name}, {"version", WLB_VERSION}}, 1);
    metrics.gauge("start_time_seconds", "When this daemon was started, since 1970", {},
                  seconds_of(started_));
    const bool up = connect() && measure(*kernel_, metrics);
    if (!up)
        kernel_.reset();
    metrics.gauge("module_up", "1: the kernel's module answers", {}, up ? 1 : 0);
    tally_.measure(metrics);
    const auto &refused = subject_.control().refused();
    for (std::size_t i = 0; i < refused.size(); ++i)
        metrics.counter("control_refused", "Clients of the control socket that were refused",
                        {{"why", Control::refusals.at(i)}}, static_cast<double>(refused.at(i)));
    subject_.measure(subject_.show(), metrics);
    return metrics.text();
}

Json Observer::show_kernel()
{
    if (!connect())
        return {{"error", "the module is not loaded"}};
    const auto stats = kernel_->read_stats();
    if (!stats) {
        kernel_.reset();
        return {{"error", stats.error().message}};
    }
    auto counters = Json::array();
    for (const auto &counter : stats->counters)
        if (counter.value != 0)
            counters.push_back(
                {{"name", counter.name}, {"value", counter.value}, {"meaning", counter.meaning}});
    Json json{{"flows", stats->flows},
              {"racing", stats->racing},
              {"held", stats->held},
              {"counters", counters}};
    const auto running = kernel_->read_config();
    if (!running || (running->roles & WLB_ROLE_CLIENT_GATEWAY) == 0)
        return json;
    if (const auto races = kernel_->read_races())
        json["races"] = some(standings(*races), most_origins);
    if (const auto learned = kernel_->read_learned())
        json["learned"] = some(*learned, most_origins);
    return json;
}

Json Observer::show_control() const
{
    auto refused = Json::object();
    const auto &counters = subject_.control().refused();
    for (std::size_t i = 0; i < counters.size(); ++i)
        refused[Control::refusals.at(i)] = counters.at(i);
    return {{"refused", refused}};
}

Json Observer::show()
{
    return {{"daemon", subject_.name},
            {"version", WLB_VERSION},
            {"time", seconds_of(std::chrono::system_clock::now())},
            {"started", seconds_of(started_)},
            {"kernel", show_kernel()},
            {"history", history_.show(monotonic())},
            {"control", show_control()},
            {"own", subject_.show()}};
}

} // namespace wlb::daemon
