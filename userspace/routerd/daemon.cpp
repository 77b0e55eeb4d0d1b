// SPDX-License-Identifier: GPL-2.0-only
#include "routerd/daemon.h"

#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cerrno>

#include "daemon/wake.h"
#include "routerd/kernel_form.h"
#include "wccp/codec.h"
#include "wlb/control_name.h"

namespace wlb::routerd {

namespace asio = boost::asio;

namespace {

constexpr auto retry_after = std::chrono::seconds(1);

spdlog::level::level_enum level_of(wccp::EventKind kind)
{
    switch (kind) {
    case wccp::EventKind::service_lost:
    case wccp::EventKind::cache_refused:
    case wccp::EventKind::service_mismatch:
    case wccp::EventKind::assignment_refused:
    case wccp::EventKind::flushed:
        return spdlog::level::warn;
    default:
        return spdlog::level::info;
    }
}

} // namespace

Daemon::Daemon(asio::io_context &io, std::string config_file)
    : config_file_(std::move(config_file)),
      listeners_(
          io, [this](bool ipv6, const wccp::Datagram &datagram) { take(ipv6, datagram); },
          [this] { tick(); }),
      timer_(io), retry_(io), lease_(io),
      control_(io, routerd_name, [this](const Json &request) { return answer(request); })
{
}

wccp::Time Daemon::now() const
{
    return std::chrono::duration_cast<wccp::Time>(
        std::chrono::steady_clock::now().time_since_epoch());
}

Result<Daemon::Configs> Daemon::configs_of(const CacheRouter &router)
{
    Configs configs;
    for (const auto &group : router.groups)
        for (const bool ipv6 : {false, true}) {
            auto config = protocol_config(group, ipv6);
            if (!config)
                return Error{"group " + group.service.text() + ": " + config.error().message};
            if (*config)
                configs.emplace(GroupId{group.service, ipv6}, std::pair(group, **config));
        }
    return configs;
}

void Daemon::add_new(const Configs &configs)
{
    for (const auto &[id, config] : configs) {
        const auto &[written, protocol] = config;
        const auto seed = static_cast<std::uint64_t>(random_()) << 32 | random_();
        groups_.try_emplace(id,
                            Group{written, wccp::RouterGroup(protocol, seed), {}, false, {}, {}});
    }
}

Status Daemon::start()
{
    auto config = daemon::read_config(config_file_);
    if (!config)
        return config.error();
    auto &router = config->cache_router;
    auto configs = configs_of(router);
    if (!configs)
        return configs.error();
    if (configs->empty())
        return Error{config_file_ + ": there is no [[cache-router.group]] with an address"};
    auto kernel = connect_kernel("");
    if (!kernel)
        return kernel.error();
    kernel_ = std::move(*kernel);
    if (auto status = control_.open(); !status)
        return status;
    for (const bool ipv6 : {false, true}) {
        auto socket = daemon::Socket::open(ipv6);
        // A host without IPv6 is a host with IPv4.
        if (!socket && ipv6 && socket.error().code == EAFNOSUPPORT)
            continue;
        if (!socket)
            return socket.error();
        listeners_.add(ipv6, std::move(*socket));
    }
    config_ = std::move(router);
    add_new(*configs);
    if (auto status = take_over(); !status)
        return status;
    for (auto &[id, group] : groups_)
        join(id, group);
    wait();
    wait_lease();
    notify_status();
    return Done{};
}

// First what is there, then the configuration: groups that stay keep their assignments, so
// that no packet notices.
Status Daemon::take_over()
{
    const auto running = kernel_->read_assignments();
    if (auto status = kernel_->set_groups(to_kernel(config_)); !status)
        return status;
    if (!running)
        return running.error();
    for (const auto &[assignment, counters] : *running) {
        const auto service = ServiceId::parse(assignment.group);
        const auto group = service ? groups_.find({*service, assignment.ipv6}) : groups_.end();
        if (group == groups_.end())
            continue;
        const auto left = from_kernel(assignment);
        if (!left) {
            spdlog::warn("group {}: the kernel's assignment is of another version, begun anew",
                         group->first.text());
            group->second.pending = true;
            continue;
        }
        group->second.protocol.restore(now(), *left);
        spdlog::info("group {}: taken over with {} caches", group->first.text(),
                     left->members.size());
    }
    for (auto &[id, group] : groups_)
        if (group.pending)
            tell_kernel(id, group);
    return Done{};
}

Status Daemon::reload()
{
    auto config = daemon::read_config(config_file_);
    if (!config)
        return config.error();
    auto &router = config->cache_router;
    auto configs = configs_of(router);
    if (!configs)
        return configs.error();
    if (auto status = kernel_->set_groups(to_kernel(router)); !status)
        return status;
    config_ = std::move(router);
    for (auto i = groups_.begin(); i != groups_.end();) {
        const auto stays = configs->find(i->first);
        leave(i->first, i->second);
        if (stays != configs->end() &&
            stays->second.second.router_id == i->second.protocol.config().router_id) {
            i->second.config = stays->second.first;
            if (auto output = i->second.protocol.reconfigure(now(), stays->second.second))
                deliver(i->first, i->second, *output);
            ++i;
        } else {
            // The kernel's group may be there still, for the other family.
            (void)kernel_->clear_assignment(i->first.service.text(), i->first.ipv6);
            i = groups_.erase(i);
        }
    }
    add_new(*configs);
    for (auto &[id, group] : groups_)
        join(id, group);
    wait();
    wait_lease();
    notify_status();
    return Done{};
}

void Daemon::stop(const std::function<void()> &done)
{
    timer_.cancel();
    retry_.cancel();
    lease_.cancel();
    listeners_.clear();
    control_.close();
    if (const auto status = kernel_->set_groups({}); !status)
        spdlog::error("the kernel goes on redirecting: {}", status.error().message);
    done();
}

void Daemon::join(const GroupId &id, Group &group)
{
    const auto &address = group.protocol.config().group_address;
    auto *socket = listeners_.find(id.ipv6);
    if (!address || socket == nullptr)
        return;
    for (const auto &interface : group.config.group_listen) {
        const auto status = socket->join(*address, interface);
        // Several groups may share an address.
        if (status || status.error().code == EADDRINUSE)
            group.joined.emplace_back(*address, interface);
        else
            spdlog::error("group {}: {}", id.text(), status.error().message);
    }
}

void Daemon::leave(const GroupId &id, Group &group)
{
    for (const auto &membership : group.joined) {
        const auto shared = std::any_of(groups_.begin(), groups_.end(), [&](const auto &other) {
            return &other.second != &group && other.first.ipv6 == id.ipv6 &&
                   std::find(other.second.joined.begin(), other.second.joined.end(), membership) !=
                       other.second.joined.end();
        });
        if (!shared)
            listeners_.find(id.ipv6)->leave(membership.first, membership.second);
    }
    group.joined.clear();
}

void Daemon::take(bool ipv6, const wccp::Datagram &datagram)
{
    const auto service = wccp::peek_service(datagram.octets);
    const auto found =
        !service ? groups_.end()
                 : groups_.find({{service->type == wccp::ServiceInfo::dynamic, service->id}, ipv6});
    if (found == groups_.end()) {
        ++unwanted_;
        return;
    }
    auto &[id, group] = *found;
    deliver(id, group, group.protocol.receive(now(), datagram));
}

void Daemon::deliver(const GroupId &id, Group &group, const wccp::Output &output)
{
    // First the table: who is told that it counts must find it so.
    note_leaving(group, output);
    if (output.assignment)
        tell_kernel(id, group);
    for (const auto &datagram : output.datagrams)
        send(id, group, datagram);
    for (const auto &event : output.events) {
        spdlog::log(level_of(event.kind), "group {}: {}: {}{}", id.text(), wccp::text(event.kind),
                    event.cache.text(), event.reason.empty() ? "" : ": " + event.reason);
        control_.publish(show_event(id, event));
    }
    if (!output.events.empty())
        notify_status();
}

void Daemon::note_sent(const GroupId &id, const Status &status)
{
    if (!status)
        spdlog::debug("group {}: {}", id.text(), status.error().message);
}

void Daemon::send(const GroupId &id, const Group &group, const wccp::Outgoing &datagram)
{
    auto *socket = listeners_.find(id.ipv6);
    if (socket == nullptr)
        return;
    if (!datagram.multicast) {
        note_sent(id, socket->send(datagram, ""));
        return;
    }
    auto own = datagram;
    // Where no source is configured redirected packets leave from their interface's address.
    // Caches that were not told of it must learn it from what they hear.
    const auto is_configured = [&](const Address &source) { return source.is_ipv6() == id.ipv6; };
    if (std::none_of(group.config.source.begin(), group.config.source.end(), is_configured))
        own.from = Address();
    for (const auto &interface : group.config.group_listen)
        note_sent(id, socket->send(own, interface));
}

// A cache that says SHUTDOWN ends what it has begun, if the group drains.
void Daemon::note_leaving(Group &group, const wccp::Output &output) const
{
    for (const auto &event : output.events) {
        if (event.kind != wccp::EventKind::shutdown || group.config.drain.count() == 0)
            continue;
        for (const auto &member : group.told)
            if (member.address == event.cache)
                group.leaving[event.cache] = {
                    member, now() + std::chrono::duration_cast<wccp::Time>(group.config.drain)};
    }
}

std::vector<RedirectMember> Daemon::leaving(Group &group) const
{
    const auto &members = group.protocol.assignment().members;
    std::vector<RedirectMember> result;
    std::erase_if(group.leaving, [&](const auto &entry) {
        const auto is_back = [&](const auto &member) { return member.address == entry.first; };
        return entry.second.second <= now() || std::any_of(members.begin(), members.end(), is_back);
    });
    for (const auto &[address, entry] : group.leaving)
        result.push_back(entry.first);
    return result;
}

void Daemon::tell_kernel(const GroupId &id, Group &group)
{
    const auto form = to_kernel(id.service, id.ipv6, group.protocol.assignment(), leaving(group));
    const auto status = form ? kernel_->set_assignment(*form)
                             : kernel_->clear_assignment(id.service.text(), id.ipv6);
    group.pending = !status;
    group.told = form ? form->members : std::vector<RedirectMember>();
    if (status)
        return;
    spdlog::error("group {}: the kernel does not take its assignment: {}", id.text(),
                  status.error().message);
    try_kernel_again();
}

// The module may have been loaded anew: then it has no groups either.
void Daemon::try_kernel_again()
{
    if (std::exchange(retrying_, true))
        return;
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
        if (!kernel_->set_groups(to_kernel(config_))) {
            try_kernel_again();
            return;
        }
        for (auto &[id, group] : groups_)
            tell_kernel(id, group);
    });
}

void Daemon::wait()
{
    daemon::wake(
        timer_, groups_, [](const auto &entry) { return entry.second.protocol.next_deadline(); },
        [this] { listeners_.hear(); });
}

void Daemon::tick()
{
    for (auto &[id, group] : groups_) {
        const auto deadline = group.protocol.next_deadline();
        if (deadline && *deadline <= now())
            deliver(id, group, group.protocol.tick(now()));
    }
    wait();
}

// What the kernel has let go, and a module that was loaded anew, come to light here.
void Daemon::wait_lease()
{
    if (config_.lease.count() == 0) {
        lease_.cancel();
        return;
    }
    lease_.expires_after(std::chrono::milliseconds(config_.lease) / 3);
    lease_.async_wait([this](auto error) {
        if (error)
            return;
        if (const auto status = kernel_->renew_lease(); !status && !retrying_) {
            spdlog::warn("the kernel has let go of the groups: {}", status.error().message);
            try_kernel_again();
        }
        wait_lease();
    });
}

void Daemon::notify_status() const
{
    std::size_t caches = 0;
    for (const auto &[id, group] : groups_)
        caches += group.protocol.assignment().members.size();
    sd_notifyf(0, "STATUS=%zu groups, %zu caches", groups_.size(), caches);
}

Json Daemon::answer(const Json &request)
{
    const auto command = daemon::word(request, "command");
    if (command == "show" || command == "assignment" || command == "hash")
        return answer_show(request, command);
    if (command == "clear") {
        for (auto &[id, group] : groups_)
            if (daemon::word(request, "group").empty() ||
                daemon::word(request, "group") == id.service.text())
                group.protocol.clear_counters();
        return {{"done", true}};
    }
    if (command == "reload")
        return daemon::answer_reload(*this);
    return {{"error", "command must be show, assignment, hash, clear, reload or watch"}};
}

Result<FlowQuestion> Daemon::read_flow(const Json &request)
{
    const auto source = Address::parse(daemon::word(request, "source"));
    const auto destination = Address::parse(daemon::word(request, "destination"));
    if (!source)
        return source.error();
    if (!destination)
        return destination.error();
    if (source->is_ipv6() != destination->is_ipv6())
        return Error{"source and destination must be of one family"};
    FlowQuestion flow;
    flow.source = *source;
    flow.destination = *destination;
    flow.source_port = request.value("source-port", std::uint16_t{0});
    flow.destination_port = request.value("destination-port", std::uint16_t{0});
    flow.protocol = request.value("protocol", std::uint8_t{6});
    return flow;
}

Json Daemon::observe()
{
    auto shown = answer_show(Json::object(), "show");
    auto group = groups_.begin();
    for (auto &json : shown["groups"])
        json["map"] = show_map((group++)->second.protocol.assignment());
    return shown;
}

Json Daemon::answer_show(const Json &request, const std::string &command)
{
    const auto wanted = daemon::word(request, "group");
    std::optional<FlowQuestion> flow;
    if (command == "hash") {
        const auto read = read_flow(request);
        if (!read)
            return {{"error", read.error().message}};
        flow = *read;
    }
    const auto groups = kernel_->read_groups();
    const auto assignments = kernel_->read_assignments();
    auto array = Json::array();
    bool known = wanted.empty();
    for (const auto &[id, group] : groups_) {
        if (!wanted.empty() && wanted != id.service.text())
            continue;
        known = true;
        if (flow && flow->source.is_ipv6() != id.ipv6)
            continue;
        const RunningGroup *running = nullptr;
        const RunningAssignment *members = nullptr;
        if (groups)
            for (const auto &candidate : groups->groups)
                if (candidate.group.name == id.service.text())
                    running = &candidate;
        if (assignments)
            for (const auto &candidate : *assignments)
                if (candidate.assignment.group == id.service.text() &&
                    candidate.assignment.ipv6 == id.ipv6)
                    members = &candidate;
        auto json = show(id, group.config, group.protocol.report(now()), running, members);
        if (command == "assignment")
            json["table"] = show_assignment(group.protocol.assignment());
        if (flow)
            json["flow"] = show_hash(group.protocol.assignment(), *flow);
        array.push_back(json);
    }
    if (!known)
        return {{"error", "group \"" + wanted + "\" is not configured"}};
    return {{"groups", array}, {"unwanted", unwanted_}};
}

} // namespace wlb::routerd
