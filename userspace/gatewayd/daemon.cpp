// SPDX-License-Identifier: GPL-2.0-only
#include "gatewayd/daemon.h"

#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cerrno>

#include "daemon/random.h"
#include "daemon/wake.h"
#include "gatewayd/show.h"
#include "wlb/control_name.h"

namespace wlb::gatewayd {

namespace asio = boost::asio;

namespace {

constexpr auto retry_after = std::chrono::seconds(1);
constexpr auto look_after = std::chrono::seconds(10);

} // namespace

Daemon::Daemon(asio::io_context &io, std::string config_file)
    : config_file_(std::move(config_file)),
      listeners_(
          io, [this](const Endpoint &at, const wccp::Datagram &datagram) { take(at, datagram); },
          [this] { tick(); }),
      boot_(daemon::random_number()), timer_(io), retry_(io), look_(io),
      control_(io, gatewayd_name, [this](const Json &request) { return answer(request); })
{
}

registry::Time Daemon::now()
{
    return std::chrono::duration_cast<registry::Time>(
        std::chrono::steady_clock::now().time_since_epoch());
}

Result<Daemon::Configs> Daemon::read_configs() const
{
    const auto config = daemon::read_config(config_file_);
    if (!config)
        return config.error();
    auto configs = realms_of(*config);
    // A client gateway has no replicas to look after, but races to show.
    if (configs && configs->empty() && config->client_gateway.services.empty())
        return Error{config_file_ + ": there is no [[server-gateway.origin]] with a registry, "
                                    "and no [[client-gateway.service]] to show"};
    return configs;
}

Status Daemon::start()
{
    const auto configs = read_configs();
    if (!configs)
        return configs.error();
    auto kernel = connect_kernel("");
    if (!kernel)
        return kernel.error();
    kernel_ = std::move(*kernel);
    if (auto status = control_.open(); !status)
        return status;
    if (auto status = open(*configs); !status)
        return status;
    const auto left = read_tables();
    if (!left)
        return left.error();
    for (const auto &[id, config] : *configs) {
        auto &gateway = add(id, config);
        gateway.take_over(now(), *left);
        deliver(id, gateway.start(now()));
    }
    wait();
    look_after_kernel();
    notify_status();
    return Done{};
}

// Sockets for what is not heard yet; those that there are stay.
Status Daemon::open(const Configs &configs)
{
    std::map<Endpoint, daemon::Socket> opened;
    for (const auto &[id, config] : configs) {
        const auto &at = id.first;
        if (listeners_.find(at) != nullptr || opened.contains(at))
            continue;
        auto socket = daemon::Socket::open(at.address.is_ipv6(), at.address, at.port);
        if (!socket)
            return socket.error();
        opened.emplace(at, std::move(*socket));
    }
    for (auto &[at, socket] : opened)
        listeners_.add(at, std::move(socket));
    return Done{};
}

void Daemon::close_unused()
{
    listeners_.close_if([&](const Endpoint &at) {
        return std::none_of(realms_.begin(), realms_.end(),
                            [&](const auto &realm) { return realm.first.first == at; });
    });
}

registry::Gateway &Daemon::add(const RealmId &id, const registry::GatewayConfig &config)
{
    return realms_.try_emplace(id, config, boot_, &daemon::random_octets).first->second;
}

Status Daemon::reload()
{
    if (ending_)
        return Error{"the daemon is ending"};
    const auto configs = read_configs();
    if (!configs)
        return configs.error();
    if (auto status = open(*configs); !status) {
        close_unused();
        return status;
    }
    const auto before = wanted();
    std::erase_if(realms_, [&](const auto &realm) { return !configs->contains(realm.first); });
    for (const auto &[id, config] : *configs)
        if (const auto found = realms_.find(id); found != realms_.end())
            deliver(id, found->second.reconfigure(now(), config));
        else
            deliver(id, add(id, config).start(now()));
    close_unused();
    const auto after = wanted();
    for (const auto &[origin, table] : before)
        if (!after.contains(origin))
            give_back(origin);
    wait();
    notify_status();
    return Done{};
}

void Daemon::stop(const std::function<void()> &done)
{
    ending_ = true;
    for (const auto &[origin, table] : wanted())
        give_back(origin);
    timer_.cancel();
    retry_.cancel();
    look_.cancel();
    listeners_.clear();
    control_.close();
    done();
}

void Daemon::take(const Endpoint &at, const wccp::Datagram &datagram)
{
    const auto arrived = now();
    registry::Gateway *first = nullptr;
    auto worst = registry::Refusal::malformed;
    // Of several files of keys at one place the one that fits decides.
    for (auto &[id, gateway] : realms_) {
        if (id.first != at)
            continue;
        const auto opened =
            registry::open(datagram.octets, gateway.config().keys, registry::Side::replica);
        if (const auto *message = std::get_if<registry::Message>(&opened)) {
            deliver(id, gateway.receive(arrived, datagram, *message));
            return;
        }
        first = first == nullptr ? &gateway : first;
        worst = std::max(worst, std::get<registry::Refusal>(opened));
    }
    if (first == nullptr)
        return;
    first->count(worst);
    spdlog::debug("{}: {}", datagram.from.text(), registry::text(worst));
}

void Daemon::deliver(const RealmId &id, const registry::GatewayOutput &output)
{
    auto *socket = listeners_.find(id.first);
    for (const auto &datagram : output.datagrams) {
        if (socket == nullptr)
            break;
        if (const auto status = socket->send(datagram, ""); !status)
            spdlog::debug("{}", status.error().message);
    }
    for (const auto &[origin, table] : output.tables)
        tell(origin, table);
    for (const auto &event : output.events) {
        spdlog::log(event.kind == registry::GatewayEvent::removed ? spdlog::level::warn
                                                                  : spdlog::level::info,
                    "origin {}: replica {} {}{}", event.origin, event.replica.text(),
                    registry::text(event.kind), event.reason.empty() ? "" : ": " + event.reason);
        control_.publish(show_event(event));
    }
    if (!output.events.empty())
        notify_status();
}

registry::Tables Daemon::wanted() const
{
    registry::Tables tables;
    for (const auto &[id, gateway] : realms_)
        tables.merge(gateway.tables());
    return tables;
}

Result<registry::Tables> Daemon::read_tables()
{
    const auto running = kernel_->read_replicas();
    if (!running)
        return running.error();
    registry::Tables tables;
    for (const auto &one : *running)
        if (!one.configured)
            tables[one.origin].push_back(one.replica);
    return tables;
}

void Daemon::tell(const std::string &origin, const std::vector<Replica> &replicas)
{
    const auto status = kernel_->set_replicas(origin, replicas);
    if (status) {
        untold_.erase(origin);
        return;
    }
    if (untold_.insert(origin).second)
        spdlog::error("origin {}: the kernel does not take its replicas: {}", origin,
                      status.error().message);
    try_again();
}

void Daemon::give_back(const std::string &origin)
{
    untold_.erase(origin);
    const auto status = kernel_->unset_replicas(origin);
    if (!status && status.error().code != ENOENT)
        spdlog::error("origin {}: clones go on to those that were registered: {}", origin,
                      status.error().message);
}

// The module may have been loaded anew, or the configuration applied only now.
void Daemon::try_again()
{
    retry_.expires_after(retry_after);
    retry_.async_wait([this](auto error) {
        if (error)
            return;
        if (auto kernel = connect_kernel(""))
            kernel_ = std::move(*kernel);
        const auto tables = wanted();
        for (const auto &origin : std::set<std::string>(untold_))
            if (const auto table = tables.find(origin); table != tables.end())
                tell(origin, table->second);
            else
                untold_.erase(origin);
    });
}

// What somebody else has changed comes to light here.
void Daemon::look_after_kernel()
{
    look_.expires_after(look_after);
    look_.async_wait([this](auto error) {
        if (error)
            return;
        if (const auto tables = read_tables()) {
            for (const auto &[origin, table] : wanted()) {
                const auto found = tables->find(origin);
                // None in force and none wanted look alike.
                const bool same = found == tables->end() ? table.empty() : found->second == table;
                if (same || untold_.contains(origin))
                    continue;
                spdlog::warn("origin {}: the kernel has other replicas", origin);
                tell(origin, table);
            }
        } else if (auto kernel = connect_kernel("")) {
            kernel_ = std::move(*kernel);
        }
        look_after_kernel();
    });
}

void Daemon::wait()
{
    if (ending_) {
        timer_.cancel();
        return;
    }
    daemon::wake(
        timer_, realms_, [](const auto &entry) { return entry.second.next_deadline(); },
        [this] { listeners_.hear(); });
}

void Daemon::tick()
{
    for (auto &[id, gateway] : realms_)
        if (const auto deadline = gateway.next_deadline(); deadline && *deadline <= now())
            deliver(id, gateway.tick(now()));
    wait();
}

void Daemon::notify_status() const
{
    std::size_t replicas = 0;
    const auto tables = wanted();
    for (const auto &[origin, table] : tables)
        replicas += table.size();
    sd_notifyf(0, "STATUS=%zu origins, %zu replicas", tables.size(), replicas);
}

Json Daemon::answer(const Json &request)
{
    const auto command = daemon::word(request, "command");
    if (command == "reload")
        return daemon::answer_reload(*this);
    const auto origin = daemon::word(request, "origin");
    if (!origin.empty() && !wanted().contains(origin))
        return {{"error", "origin \"" + origin + "\" has no registry here"}};
    if (command == "show")
        return answer_show(origin);
    return {{"error", "command must be show, reload or watch"}};
}

// Where the keys are is root's business.
Json Daemon::observe()
{
    auto shown = answer_show("");
    for (auto &one : shown["registries"])
        one.erase("key-file");
    return shown;
}

Json Daemon::answer_show(const std::string &wanted)
{
    const auto kernel = kernel_->read_replicas();
    auto replicas = Json::array();
    auto realms = Json::array();
    for (const auto &[id, gateway] : realms_) {
        realms.push_back(show(id, gateway));
        for (const auto &report : gateway.report(now()))
            if (wanted.empty() || wanted == report.origin)
                replicas.push_back(show(report, kernel ? &*kernel : nullptr));
    }
    return {{"replicas", replicas}, {"registries", realms}};
}

} // namespace wlb::gatewayd
