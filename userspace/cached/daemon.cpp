// SPDX-License-Identifier: GPL-2.0-only
#include "cached/daemon.h"

#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cerrno>

#include "cached/doors.h"
#include "cached/membership.h"
#include "daemon/wake.h"
#include "wccp/codec.h"
#include "wlb/control_name.h"

namespace wlb::cached {

namespace asio = boost::asio;

namespace {

constexpr auto retry_after = std::chrono::seconds(1);
constexpr auto look_after = std::chrono::seconds(10);
constexpr auto measure_after = std::chrono::seconds(1);

spdlog::level::level_enum level_of(wccp::CacheEventKind kind)
{
    switch (kind) {
    case wccp::CacheEventKind::router_lost:
    case wccp::CacheEventKind::router_refused:
    case wccp::CacheEventKind::queried:
        return spdlog::level::warn;
    default:
        return spdlog::level::info;
    }
}

std::string reason_of(const daemon::Prober &prober)
{
    return prober.last() && !prober.last()->good ? ": " + prober.last()->why : "";
}

} // namespace

Daemon::Group::Group(asio::io_context &io, Membership membership, wccp::CacheConfig protocol_config,
                     std::uint64_t seed, daemon::Prober::Noted noted)
    : config(std::move(membership)), protocol(std::move(protocol_config), seed),
      prober(io, config.probe, std::move(noted))
{
}

Daemon::Daemon(asio::io_context &io, std::string config_file)
    : io_(io), config_file_(std::move(config_file)),
      listeners_(
          io, [this](const Address &at, const wccp::Datagram &datagram) { take(at, datagram); },
          [this] { tick(); }),
      timer_(io), retry_(io), look_(io), measure_(io),
      control_(io, cached_name, [this](const Json &request) { return answer(request); })
{
}

wccp::Time Daemon::now() const
{
    return std::chrono::duration_cast<wccp::Time>(
        std::chrono::steady_clock::now().time_since_epoch());
}

Result<Daemon::Configs> Daemon::configs_of(const CacheHost &host)
{
    Configs configs;
    for (const auto &group : host.groups) {
        auto config = member_config(group);
        if (!config)
            return Error{"group " + group.name() + ": " + config.error().message};
        configs.emplace(GroupId{group.service.id, group.is_ipv6()},
                        std::pair(group, std::move(*config)));
    }
    return configs;
}

Status Daemon::start()
{
    auto config = daemon::read_config(config_file_);
    if (!config)
        return config.error();
    auto configs = configs_of(config->cache_host);
    if (!configs)
        return configs.error();
    if (configs->empty())
        return Error{config_file_ + ": there is no [[cache.group]]"};
    auto kernel = connect_kernel("");
    if (!kernel)
        return kernel.error();
    kernel_ = std::move(*kernel);
    if (auto status = control_.open(); !status)
        return status;
    if (auto status = open(*configs); !status)
        return status;
    config_ = std::move(config->cache_host);
    for (const auto &[id, entry] : *configs)
        add(id, entry);
    take_over();
    wait();
    look_after_kernel();
    watch_pressure();
    notify_status();
    return Done{};
}

// Sockets for what is not heard yet; those that there are stay.
Status Daemon::open(const Configs &configs)
{
    std::map<Address, daemon::Socket> opened;
    const auto get = [&](const Address &address) -> Result<daemon::Socket *> {
        if (auto *there = listeners_.find(address))
            return there;
        if (const auto found = opened.find(address); found != opened.end())
            return &found->second;
        auto socket = daemon::Socket::open(address.is_ipv6(), address);
        if (!socket)
            return socket.error();
        return &opened.emplace(address, std::move(*socket)).first->second;
    };
    for (const auto &[id, config] : configs) {
        const auto &[written, protocol] = config;
        if (const auto own = get(protocol.address); !own)
            return Error{"group " + id.text() + ": " + own.error().message};
        if (!protocol.group_address)
            continue;
        const auto heard = get(*protocol.group_address);
        if (!heard)
            return Error{"group " + id.text() + ": " + heard.error().message};
        const auto joined = (*heard)->join(*protocol.group_address, written.group_interface);
        // Several groups may share an address.
        if (!joined && joined.error().code != EADDRINUSE)
            return Error{"group " + id.text() + ": " + joined.error().message};
    }
    for (auto &[address, socket] : opened)
        listeners_.add(address, std::move(socket));
    return Done{};
}

void Daemon::close_unused()
{
    listeners_.close_if([&](const Address &at) {
        return std::none_of(groups_.begin(), groups_.end(), [&](const auto &entry) {
            const auto &config = entry.second->protocol.config();
            return config.address == at || config.group_address == at;
        });
    });
}

void Daemon::add(const GroupId &id, const std::pair<Membership, wccp::CacheConfig> &config)
{
    const auto seed = static_cast<std::uint64_t>(random_()) << 32 | random_();
    auto &group = groups_[id];
    group = std::make_unique<Group>(io_, config.first, config.second, seed,
                                    [this, id](bool changed) { note_probe(id, changed); });
    group->prober.start();
    deliver(id, *group, group->protocol.set_usable(now(), group->prober.up()));
    deliver(id, *group, group->protocol.start(now()));
}

// Routers go on redirecting until they hear otherwise, so what they send is still taken in.
void Daemon::take_over()
{
    const auto running = kernel_->read_cache();
    if (!running)
        return;
    for (auto &[id, group] : groups_) {
        group->doors = doors_left(running->cache, group->config);
        if (!group->doors.empty())
            spdlog::info("group {}: taken over with {} routers", id.text(), group->doors.size());
    }
    tell_kernel();
}

Status Daemon::reload()
{
    if (done_)
        return Error{"the daemon is ending"};
    auto config = daemon::read_config(config_file_);
    if (!config)
        return config.error();
    auto configs = configs_of(config->cache_host);
    if (!configs)
        return configs.error();
    if (configs->empty())
        return Error{config_file_ + ": there is no [[cache.group]]"};
    if (auto status = open(*configs); !status) {
        close_unused();
        return status;
    }
    config_ = std::move(config->cache_host);
    for (auto i = groups_.begin(); i != groups_.end();) {
        auto &[id, group] = *i;
        const auto stays = configs->find(id);
        if (stays == configs->end() ||
            stays->second.second.address != group->protocol.config().address) {
            deliver(id, *group, group->protocol.leave(now()));
            i = groups_.erase(i);
            continue;
        }
        group->config = stays->second.first;
        if (auto output = group->protocol.reconfigure(now(), stays->second.second))
            deliver(id, *group, *output);
        group->prober.reconfigure(group->config.probe);
        ++i;
    }
    for (const auto &[id, entry] : *configs)
        if (!groups_.contains(id))
            add(id, entry);
    close_unused();
    tell_kernel();
    listeners_.hear();
    watch_pressure();
    notify_status();
    return Done{};
}

void Daemon::stop(const std::function<void()> &done)
{
    done_ = done;
    for (auto &[id, group] : groups_)
        deliver(id, *group, group->protocol.leave(now()));
    tick();
}

void Daemon::end_if_left()
{
    if (!done_)
        return;
    for (const auto &[id, group] : groups_)
        if (group->protocol.next_deadline())
            return;
    timer_.cancel();
    retry_.cancel();
    look_.cancel();
    measure_.cancel();
    listeners_.clear();
    control_.close();
    if (const auto status = kernel_->set_cache({}); !status)
        spdlog::error("the kernel goes on taking packets in: {}", status.error().message);
    std::exchange(done_, {})();
}

void Daemon::take(const Address &at, const wccp::Datagram &datagram)
{
    const auto service = wccp::peek_service(datagram.octets);
    const auto found =
        !service ? groups_.end()
                 : groups_.find(
                       {{service->type == wccp::ServiceInfo::dynamic, service->id}, at.is_ipv6()});
    if (found == groups_.end()) {
        ++unwanted_;
        return;
    }
    auto &[id, group] = *found;
    deliver(id, *group, group->protocol.receive(now(), datagram));
}

void Daemon::deliver(const GroupId &id, Group &group, const wccp::CacheOutput &output)
{
    // First the doors: who counts us sends at once. Those of a group that is left stay, for
    // what is still under way and for what drains.
    if (output.paths && group.protocol.phase() == wccp::CachePhase::present &&
        !output.paths->empty()) {
        group.doors = doors_of(group.config, *output.paths);
        tell_kernel();
    }
    for (const auto &datagram : output.datagrams)
        send(id, group, datagram);
    for (const auto &event : output.events) {
        spdlog::log(level_of(event.kind), "group {}: {}: {}{}", id.text(), wccp::text(event.kind),
                    event.router.text(), event.reason.empty() ? "" : ": " + event.reason);
        control_.publish(show_event(id, event));
    }
    if (!output.events.empty())
        notify_status();
}

void Daemon::send(const GroupId &id, const Group &group, const wccp::Outgoing &datagram)
{
    auto *socket = listeners_.find(group.protocol.config().address);
    if (socket == nullptr)
        return;
    const auto status =
        socket->send(datagram, datagram.multicast ? group.config.group_interface : "");
    if (!status)
        spdlog::debug("group {}: {}", id.text(), status.error().message);
}

void Daemon::note_probe(const GroupId &id, bool changed)
{
    const auto found = groups_.find(id);
    if (!changed || found == groups_.end())
        return;
    auto &group = *found->second;
    const bool up = group.prober.up();
    if (up)
        spdlog::info("group {}: the proxy works", id.text());
    else
        spdlog::warn("group {}: the proxy does not work{}", id.text(), reason_of(group.prober));
    control_.publish({{"event", up ? "proxy works" : "proxy does not work"},
                      {"group", id.service.text()},
                      {"family", id.ipv6 ? "IPv6" : "IPv4"},
                      {"reason", up ? "" : group.prober.last()->why}});
    deliver(id, group, group.protocol.set_usable(now(), up));
    tell_kernel();
    listeners_.hear();
}

CacheDoors Daemon::doors() const
{
    // Until the routers know that nobody is there to take connections they get them back.
    const bool dead = std::all_of(groups_.begin(), groups_.end(), [](const auto &entry) {
        return entry.second->prober.known() && !entry.second->prober.up();
    });
    auto result = frame_of(config_, dead ? 1000 : share_);
    for (const auto &[id, group] : groups_)
        result.doors.insert(result.doors.end(), group->doors.begin(), group->doors.end());
    return result;
}

void Daemon::tell_kernel()
{
    auto wanted = doors();
    if (retrying_ || (told_ && *told_ == wanted) || (wanted.doors.empty() && !told_))
        return;
    const auto status = kernel_->set_cache(wanted);
    if (status) {
        told_ = std::move(wanted);
        return;
    }
    told_.reset();
    spdlog::error("the kernel does not take the routers: {}", status.error().message);
    try_kernel_again();
}

// The module may have been loaded anew.
void Daemon::try_kernel_again()
{
    retrying_ = true;
    retry_.expires_after(retry_after);
    retry_.async_wait([this](auto error) {
        retrying_ = false;
        if (error)
            return;
        auto kernel = connect_kernel("");
        if (!kernel) {
            try_kernel_again();
            return;
        }
        kernel_ = std::move(*kernel);
        tell_kernel();
    });
}

// A module that was loaded anew, and a role that somebody else has changed, come to light here.
void Daemon::look_after_kernel()
{
    look_.expires_after(look_after);
    look_.async_wait([this](auto error) {
        if (error)
            return;
        if (told_ && !retrying_) {
            const auto running = kernel_->read_cache();
            if (!running || running->cache.doors.size() != told_->doors.size()) {
                spdlog::warn("the kernel does not have the routers any more");
                told_.reset();
                if (auto kernel = connect_kernel(""))
                    kernel_ = std::move(*kernel);
                tell_kernel();
            }
        }
        look_after_kernel();
    });
}

void Daemon::watch_pressure()
{
    measure_.cancel();
    if (config_.overload == Overload{}) {
        share_ = 0;
        tell_kernel();
        return;
    }
    measure_.expires_after(measure_after);
    measure_.async_wait([this](auto error) {
        if (error)
            return;
        auto pressure = read_pressure();
        if (!pressure) {
            spdlog::error("{}", pressure.error().message);
        } else {
            for (const auto &[id, group] : groups_)
                if (const auto &last = group->prober.last(); last && last->good)
                    pressure->answer_time =
                        std::max(pressure->answer_time.value_or(microseconds(0)), last->took);
            pressure_ = *pressure;
            const auto share = share_returned(config_.overload, pressure_);
            if ((share == 0) != (share_ == 0))
                spdlog::log(share == 0 ? spdlog::level::info : spdlog::level::warn,
                            share == 0 ? "not overloaded any more"
                                       : "overloaded: some of the new connections are returned");
            share_ = share;
            tell_kernel();
        }
        watch_pressure();
    });
}

void Daemon::wait()
{
    daemon::wake(
        timer_, groups_, [](const auto &entry) { return entry.second->protocol.next_deadline(); },
        [this] { listeners_.hear(); });
}

void Daemon::tick()
{
    for (auto &[id, group] : groups_) {
        const auto deadline = group->protocol.next_deadline();
        if (deadline && *deadline <= now())
            deliver(id, *group, group->protocol.tick(now()));
    }
    wait();
    end_if_left();
}

void Daemon::notify_status() const
{
    std::size_t routers = 0;
    for (const auto &[id, group] : groups_)
        routers += group->protocol.paths().size();
    sd_notifyf(0, "STATUS=%zu groups, %zu routers", groups_.size(), routers);
}

Json Daemon::answer(const Json &request)
{
    const auto command = daemon::word(request, "command");
    const auto wanted = daemon::word(request, "group");
    const auto is_wanted = [&](const auto &entry) {
        return wanted.empty() || wanted == entry.first.service.text();
    };
    if (command == "reload")
        return daemon::answer_reload(*this);
    if (!std::any_of(groups_.begin(), groups_.end(), is_wanted))
        return {{"error", "group \"" + wanted + "\" is not configured"}};
    if (command == "show")
        return answer_show(wanted);
    if (command == "drain" || command == "resume")
        return drain(wanted, command == "drain");
    if (command == "clear") {
        for (auto &entry : groups_)
            if (is_wanted(entry))
                entry.second->protocol.clear_counters();
        return {{"done", true}};
    }
    return {{"error", "command must be show, clear, drain, resume, reload or watch"}};
}

Json Daemon::observe()
{
    return answer_show("");
}

Json Daemon::answer_show(const std::string &wanted)
{
    const auto running = kernel_->read_cache();
    auto array = Json::array();
    for (const auto &[id, group] : groups_)
        if (wanted.empty() || wanted == id.service.text())
            array.push_back(show(id, group->config, group->protocol.report(now()), group->prober,
                                 group->drained, running ? &*running : nullptr));
    return {{"groups", array},
            {"host", show(config_, pressure_, told_ ? told_->share : share_)},
            {"unwanted", unwanted_}};
}

Json Daemon::drain(const std::string &wanted, bool drained)
{
    if (done_)
        return {{"error", "the daemon is ending"}};
    for (auto &[id, group] : groups_) {
        if (!wanted.empty() && wanted != id.service.text())
            continue;
        group->drained = drained;
        deliver(id, *group, drained ? group->protocol.leave(now()) : group->protocol.start(now()));
    }
    wait();
    return {{"done", true}};
}

} // namespace wlb::cached
