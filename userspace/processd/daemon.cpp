// SPDX-License-Identifier: GPL-2.0-only
#include "processd/daemon.h"

#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <algorithm>

#include "processd/mirror.h"
#include "processd/ring.h"
#include "wlb/control_name.h"

namespace wlb::processd {

namespace asio = boost::asio;

namespace {

// Messages between two looks at the clock: a flood must not keep timers from running.
constexpr unsigned batch = 16;
constexpr unsigned rest = 1000; // of a socket buffer, when no more come
constexpr auto flush_after = std::chrono::milliseconds(500);
constexpr auto look_after = std::chrono::seconds(10);

// As the kernel tells them.
bool same_rules(std::vector<RunningProcessRule> running,
                const std::vector<RunningProcessRule> &wanted)
{
    for (auto &rule : running)
        rule.packets = 0;
    return running == wanted;
}

} // namespace

Daemon::Daemon(asio::io_context &io, std::string config_file)
    : io_(io), config_file_(std::move(config_file)), flush_(io), look_(io),
      control_(io, processd_name, [this](const Json &request) { return answer(request); })
{
}

Result<Processing> Daemon::read_config() const
{
    auto config = daemon::read_config(config_file_);
    if (!config)
        return config.error();
    if (config->processing.rules.empty())
        return Error{config_file_ + ": there is no [[processing.rule]]"};
    return std::move(config->processing);
}

Status Daemon::start()
{
    auto config = read_config();
    if (!config)
        return config.error();
    auto kernel = connect_kernel("");
    if (!kernel)
        return kernel.error();
    kernel_ = std::move(*kernel);
    auto socket = Mirror::socket();
    if (!socket)
        return socket.error();
    packet_socket_ = std::move(*socket);
    if (auto status = control_.open(); !status)
        return status;
    if (auto status = become(std::move(*config)); !status)
        return status;
    flush_regularly();
    look_after_kernel();
    return Done{};
}

Status Daemon::reload()
{
    auto config = read_config();
    if (!config)
        return config.error();
    return become(std::move(*config));
}

// What there is none of yet.
Status Daemon::open(const Processing &processing, Sinks &sinks, Listeners &listeners)
{
    for (std::size_t i = 0; i < processing.copies.size(); ++i) {
        const auto &copy = processing.copies[i];
        const auto there = sinks_.find(copy.name);
        const bool stays = there != sinks_.end() && there->second->is_place_of(copy);
        if (!stays && !copy.interface.empty()) {
            sinks.emplace(copy.name, std::make_unique<Mirror>(copy, packet_socket_));
        } else if (!stays) {
            auto ring = Ring::open(copy);
            if (!ring)
                return Error{"copy " + copy.name + ": " + ring.error().message};
            sinks.emplace(copy.name, std::move(*ring));
        }
        const auto group = copy_group(processing, i);
        if (listeners_.contains(group))
            continue;
        auto tap = Tap::open(group);
        if (!tap)
            return Error{"copy " + copy.name + ": " + tap.error().message};
        listeners.try_emplace(group, io_, std::move(*tap));
    }
    return Done{};
}

// The new configuration, or the error and everything as before.
Status Daemon::become(Processing processing)
{
    Sinks sinks;
    Listeners listeners;
    if (auto status = open(processing, sinks, listeners); !status)
        return status;
    if (auto status = kernel_->set_process(process_rules(processing)); !status)
        return status;
    read_all(); // what is there of the old rules
    for (auto &[name, sink] : sinks)
        sinks_.insert_or_assign(name, std::move(sink));
    std::vector<std::uint16_t> fresh;
    fresh.reserve(listeners.size());
    for (const auto &[group, listener] : listeners)
        fresh.push_back(group);
    listeners_.merge(listeners);
    config_ = std::move(processing);
    connect();
    for (const auto group : fresh)
        listen(group);
    sd_notifyf(0, "STATUS=%zu rules, %zu copies", config_.rules.size(), config_.copies.size());
    return Done{};
}

// Which group is which copy's; those of none go.
void Daemon::connect()
{
    for (auto &[group, listener] : listeners_)
        listener.sink = nullptr;
    for (std::size_t i = 0; i < config_.copies.size(); ++i) {
        auto *const sink = sinks_.at(config_.copies[i].name).get();
        sink->reconfigure(config_.copies[i]);
        listeners_.at(copy_group(config_, i)).sink = sink;
    }
    std::erase_if(listeners_, [](const auto &entry) { return entry.second.sink == nullptr; });
    std::erase_if(sinks_, [this](const auto &entry) {
        return std::none_of(config_.copies.begin(), config_.copies.end(),
                            [&](const auto &copy) { return copy.name == entry.first; });
    });
}

bool Daemon::read(Listener &listener, unsigned most)
{
    return listener.tap->read(most, [&](Octets packet, std::chrono::nanoseconds time) {
        listener.sink->take(packet, time);
    });
}

void Daemon::read_all()
{
    for (auto &[group, listener] : listeners_)
        (void)read(listener, rest);
}

void Daemon::listen(std::uint16_t group)
{
    listeners_.at(group).readable.async_wait(
        asio::posix::stream_descriptor::wait_read, [this, group](auto error) {
            const auto found = listeners_.find(group);
            if (error == asio::error::operation_aborted || found == listeners_.end())
                return;
            (void)read(found->second, batch);
            listen(group);
        });
}

void Daemon::flush_regularly()
{
    flush_.expires_after(flush_after);
    flush_.async_wait([this](auto error) {
        if (error)
            return;
        for (const auto &[name, sink] : sinks_)
            sink->flush();
        flush_regularly();
    });
}

// The module may have been loaded anew, and others may have changed the rules.
void Daemon::look_after_kernel()
{
    look_.expires_after(look_after);
    look_.async_wait([this](auto error) {
        if (error)
            return;
        const auto wanted = process_rules(config_);
        const auto running = kernel_->read_process();
        if (!running || !same_rules(*running, wanted)) {
            spdlog::warn("the kernel does not have the rules any more");
            if (auto kernel = connect_kernel(""))
                kernel_ = std::move(*kernel);
            if (const auto status = kernel_->set_process(wanted); !status)
                spdlog::error("the kernel does not take the rules: {}", status.error().message);
        }
        look_after_kernel();
    });
}

void Daemon::stop(const std::function<void()> &done)
{
    flush_.cancel();
    look_.cancel();
    control_.close();
    if (const auto status = kernel_->set_process({}); !status)
        spdlog::error("the kernel goes on processing: {}", status.error().message);
    read_all();
    listeners_.clear();
    sinks_.clear();
    done();
}

Json Daemon::answer(const Json &request)
{
    const auto command = daemon::word(request, "command");
    if (command == "reload")
        return daemon::answer_reload(*this);
    if (command == "show")
        return show();
    return {{"error", "command must be show or reload"}};
}

Json Daemon::observe()
{
    return show();
}

Json Daemon::show() const
{
    auto rules = Json::array();
    const auto running = kernel_->read_process();
    for (std::size_t i = 0; i < config_.rules.size(); ++i) {
        auto rule = to_json(config_.rules[i]);
        if (running && running->size() == config_.rules.size())
            rule["packets"] = (*running)[i].packets;
        rules.push_back(std::move(rule));
    }
    auto copies = Json::array();
    for (std::size_t i = 0; i < config_.copies.size(); ++i) {
        const auto group = copy_group(config_, i);
        const auto &listener = listeners_.at(group);
        Json copy{
            {"name", config_.copies[i].name}, {"group", group}, {"missed", listener.tap->missed()}};
        copy.update(listener.sink->show());
        copies.push_back(std::move(copy));
    }
    return {{"rules", rules}, {"copies", copies}};
}

} // namespace wlb::processd
