// SPDX-License-Identifier: GPL-2.0-only
#include "replicad/daemon.h"

#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cstdlib>

#include "daemon/random.h"
#include "daemon/secret_file.h"
#include "daemon/wake.h"
#include "replicad/show.h"
#include "wlb/control_name.h"

namespace wlb::replicad {

namespace asio = boost::asio;

namespace {

constexpr auto measure_after = std::chrono::seconds(1);
constexpr auto look_after = std::chrono::seconds(10);
// How long gateways have to ask once more before it ends: a HELLO and a question.
constexpr auto farewell = std::chrono::milliseconds(500);

std::string why(const Instance &instance)
{
    if (const auto &last = instance.prober.last();
        instance.state() == registry::OriginState::down && last)
        return last->why;
    for (std::size_t i = 0; i < Business::names.size(); ++i)
        if (instance.business[i].busy())
            return Business::names[i];
    return "";
}

} // namespace

Daemon::Daemon(asio::io_context &io, std::string config_file)
    : io_(io), config_file_(std::move(config_file)),
      listeners_(
          io, [this](const Endpoint &at, const wccp::Datagram &datagram) { take(at, datagram); },
          [this] { tick(); }),
      boot_(daemon::random_number()), timer_(io), measure_(io), look_(io), farewell_(io),
      control_(io, replicad_name, [this](const Json &request) { return answer(request); })
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
    Configs configs;
    for (const auto &served : config->served) {
        const auto &registration = served.registration;
        if (!registration.wanted())
            continue;
        configs.served.push_back(served);
        if (registration.key_file.empty() || configs.keys.contains(registration.key_file))
            continue;
        auto keys = daemon::read_keys(registration.key_file);
        if (!keys)
            return Error{"replica " + served.name + ": " + keys.error().message, keys.error().code};
        configs.keys.emplace(registration.key_file, std::move(*keys));
    }
    if (configs.served.empty())
        return Error{config_file_ +
                     ": there is no [[replica.origin]] with gateways, a probe or busy"};
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
    take_on(*configs);
    measure();
    look_after_kernel();
    return Done{};
}

// A gateway hears from the port that it listens at itself, and so finds a replica that has
// said nothing yet.
Status Daemon::open(const Configs &configs)
{
    std::map<Endpoint, daemon::Socket> opened;
    for (const auto &served : configs.served)
        for (const auto &gateway : served.registration.gateways) {
            const Endpoint at{*served.local, gateway.port};
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
    const auto used = [&](const Endpoint &at) {
        return std::any_of(doors_.begin(), doors_.end(), [&](const auto &door) {
            return std::get<0>(door.first) == at.address && std::get<1>(door.first) == at.port;
        });
    };
    listeners_.close_if([&](const Endpoint &at) { return !used(at); });
}

void Daemon::add(const Served &served, const Running *running)
{
    auto &instance = instances_[served.name];
    instance = std::make_unique<Instance>(io_, served,
                                          [this, name = served.name](bool) { note_probe(name); });
    if (running != nullptr)
        instance->told = running->busy.contains(served.name);
    instance->prober.start();
}

void Daemon::take_on(const Configs &configs)
{
    const auto running = kernel_->read_config();
    std::erase_if(instances_, [&](const auto &entry) {
        const bool stays =
            std::any_of(configs.served.begin(), configs.served.end(),
                        [&](const auto &served) { return served.name == entry.first; });
        // Nobody looks after it any more: it answers, as it does without a daemon.
        if (!stays)
            (void)kernel_->set_busy(false, entry.first);
        return !stays;
    });
    for (const auto &served : configs.served) {
        const auto found = instances_.find(served.name);
        if (found == instances_.end()) {
            add(served, running ? &*running : nullptr);
            continue;
        }
        found->second->config = served;
        found->second->prober.reconfigure(served.registration.probe);
    }
    std::map<DoorId, const registry::Keys *> wanted;
    for (const auto &served : configs.served)
        for (const auto &gateway : served.registration.gateways)
            wanted[{*served.local, gateway.port, served.registration.key_file}] =
                &configs.keys.at(served.registration.key_file);
    std::erase_if(doors_, [&](const auto &door) { return !wanted.contains(door.first); });
    for (const auto &[id, keys] : wanted) {
        auto &name = instances_.begin()->first;
        const auto [door, fresh] = doors_.try_emplace(id, name, std::get<0>(id), *keys, boot_);
        if (!fresh)
            door->second.set_keys(*keys);
    }
    close_unused();
    settle();
    announce();
    wait();
    notify_status();
}

Status Daemon::reload()
{
    if (done_)
        return Error{"the daemon is ending"};
    const auto configs = read_configs();
    if (!configs)
        return configs.error();
    if (auto status = open(*configs); !status) {
        close_unused();
        return status;
    }
    take_on(*configs);
    return Done{};
}

void Daemon::stop(const std::function<void()> &done)
{
    done_ = done;
    for (auto &[name, instance] : instances_)
        instance->drained = true;
    settle();
    farewell_.expires_after(farewell);
    farewell_.async_wait([this](auto error) {
        if (!error)
            end();
    });
    if (doors_.empty())
        end();
}

void Daemon::end()
{
    timer_.cancel();
    measure_.cancel();
    look_.cancel();
    farewell_.cancel();
    listeners_.clear();
    control_.close();
    instances_.clear();
    if (done_)
        std::exchange(done_, {})();
}

void Daemon::note_probe(const std::string &name)
{
    if (instances_.contains(name))
        settle();
}

void Daemon::tell_kernel(Instance &instance)
{
    // A server of which nothing is known yet is left as it was.
    if (!instance.prober.known() && !instance.drained)
        return;
    const bool silent = instance.state() != registry::OriginState::ready;
    if (instance.told == silent)
        return;
    const auto status = kernel_->set_busy(silent, instance.config.name);
    if (status) {
        instance.told = silent;
        instance.refused = false;
        return;
    }
    instance.told.reset();
    if (!std::exchange(instance.refused, true))
        spdlog::error("replica {}: the kernel does not take its state: {}", instance.config.name,
                      status.error().message);
}

bool Daemon::all_known() const
{
    return std::all_of(instances_.begin(), instances_.end(),
                       [](const auto &entry) { return entry.second->prober.known(); });
}

void Daemon::settle()
{
    // A gateway that still has us from an earlier process must not hear that we are down
    // because nobody has asked the server yet; it waits for longer than that takes.
    bool news = !speaking_ && (all_known() || measured_ > 2);
    speaking_ = speaking_ || news;
    for (auto &[name, instance] : instances_) {
        tell_kernel(*instance);
        if (!instance->prober.known())
            continue;
        const auto state = instance->state();
        if (instance->shown == state)
            continue;
        const bool bad =
            state == registry::OriginState::busy || state == registry::OriginState::down;
        const auto reason = why(*instance);
        spdlog::log(bad ? spdlog::level::warn : spdlog::level::info, "replica {}: {}{}", name,
                    registry::text(state), reason.empty() ? "" : ": " + reason);
        control_.publish({{"event", registry::text(state)}, {"replica", name}, {"reason", reason}});
        instance->shown = state;
        news = true;
    }
    if (!news)
        return;
    announce();
    notify_status();
}

void Daemon::announce()
{
    if (!speaking_)
        return;
    for (auto &[id, door] : doors_) {
        const auto &[local, port, key_file] = id;
        std::vector<registry::Announced> origins;
        for (const auto &[name, instance] : instances_) {
            const auto &registration = instance->config.registration;
            if (instance->config.local != local || registration.key_file != key_file ||
                !instance->prober.known())
                continue;
            registry::Announced one{{}, announcement(*instance)};
            for (const auto &gateway : registration.gateways)
                if (gateway.port == port)
                    one.gateways.emplace_back(gateway.address, gateway.port);
            if (!one.gateways.empty())
                origins.push_back(std::move(one));
        }
        send(id, door.announce(now(), std::move(origins)));
    }
    wait();
}

void Daemon::take(const Endpoint &at, const wccp::Datagram &datagram)
{
    if (!speaking_)
        return;
    const auto arrived = now();
    registry::Registrant *first = nullptr;
    auto worst = registry::Refusal::malformed;
    for (auto &[id, door] : doors_) {
        if (std::get<0>(id) != at.address || std::get<1>(id) != at.port)
            continue;
        const auto opened = registry::open(datagram.octets, door.keys(), registry::Side::gateway);
        if (const auto *message = std::get_if<registry::Message>(&opened)) {
            send(id, door.receive(arrived, datagram, *message));
            return;
        }
        first = first == nullptr ? &door : first;
        worst = std::max(worst, std::get<registry::Refusal>(opened));
    }
    if (first == nullptr)
        return;
    first->count(worst);
    spdlog::debug("{}: {}", datagram.from.text(), registry::text(worst));
}

void Daemon::send(const DoorId &id, const std::vector<wccp::Outgoing> &datagrams)
{
    auto *socket = listeners_.find({std::get<0>(id), std::get<1>(id)});
    if (socket == nullptr)
        return;
    for (const auto &datagram : datagrams)
        if (const auto status = socket->send(datagram, ""); !status)
            spdlog::debug("{}", status.error().message);
}

void Daemon::measure()
{
    measure_.expires_after(measure_after);
    measure_.async_wait([this](auto error) {
        if (!error)
            measure();
    });
    std::array<std::optional<Result<std::vector<SocketState>>>, 2> sockets; // by family
    Measured of_host;
    double load = 0;
    if (getloadavg(&load, 1) == 1)
        of_host.load = load;
    if (const auto accepted = read_accepted())
        of_host.connections_per_second = rate_.note(*accepted, Rate::Clock::now());
    for (auto &[name, instance] : instances_) {
        const auto &limits = instance->config.registration.busy;
        auto measured = of_host;
        if (limits.accept_queue || limits.syn_queue) {
            // A listener of IPv6 takes connections of IPv4, too.
            std::vector<SocketState> all;
            for (const bool ipv6 : {false, true}) {
                auto &read = sockets.at(ipv6 ? 1 : 0);
                if (!read)
                    read = read_sockets(ipv6, queue_states);
                if (*read)
                    all.insert(all.end(), (*read)->begin(), (*read)->end());
                else
                    spdlog::error("{}", read->error().message);
            }
            const auto queues = queues_of(instance->config, all);
            measured.accept_queue = queues.accept;
            measured.syn_queue = queues.syn;
        }
        instance->business.note(limits, measured);
    }
    ++measured_;
    settle();
}

// A module that was loaded anew, and an order that somebody else has given, come to light here.
void Daemon::look_after_kernel()
{
    look_.expires_after(look_after);
    look_.async_wait([this](auto error) {
        if (error)
            return;
        const auto running = kernel_->read_config();
        if (running) {
            for (auto &[name, instance] : instances_)
                if (instance->told && *instance->told != running->busy.contains(name))
                    instance->told.reset();
        } else if (auto kernel = connect_kernel("")) {
            kernel_ = std::move(*kernel);
            for (auto &[name, instance] : instances_)
                instance->told.reset();
        }
        settle();
        look_after_kernel();
    });
}

void Daemon::wait()
{
    daemon::wake(
        timer_, doors_, [](const auto &entry) { return entry.second.next_deadline(); },
        [this] { listeners_.hear(); });
}

void Daemon::tick()
{
    for (auto &[id, door] : doors_)
        send(id, door.tick(now()));
    wait();
}

void Daemon::notify_status() const
{
    const auto ready = std::count_if(instances_.begin(), instances_.end(), [](const auto &entry) {
        return entry.second->state() == registry::OriginState::ready;
    });
    sd_notifyf(0, "STATUS=%zu origins, %zu ready", instances_.size(),
               static_cast<std::size_t>(ready));
}

Json Daemon::answer(const Json &request)
{
    const auto command = daemon::word(request, "command");
    const auto wanted = daemon::word(request, "replica");
    if (command == "reload")
        return daemon::answer_reload(*this);
    if (!wanted.empty() && !instances_.contains(wanted))
        return {{"error", "replica \"" + wanted + "\" has no gateways, probe or busy"}};
    if (command == "show")
        return answer_show(wanted);
    if (command == "drain" || command == "resume") {
        if (done_)
            return {{"error", "the daemon is ending"}};
        for (auto &[name, instance] : instances_)
            if (wanted.empty() || wanted == name)
                instance->drained = command == "drain";
        settle();
        return {{"done", true}};
    }
    return {{"error", "command must be show, drain, resume, reload or watch"}};
}

// Where the keys are is root's business.
Json Daemon::observe()
{
    auto shown = answer_show("");
    for (auto &one : shown["registrations"])
        one.erase("key-file");
    return shown;
}

Json Daemon::answer_show(const std::string &wanted)
{
    std::vector<SocketState> sockets;
    bool counted = true;
    for (const bool ipv6 : {false, true}) {
        const auto read = read_sockets(ipv6, established_states);
        counted = counted && read;
        if (read)
            sockets.insert(sockets.end(), read->begin(), read->end());
    }
    auto replicas = Json::array();
    for (const auto &[name, instance] : instances_) {
        if (!wanted.empty() && wanted != name)
            continue;
        auto json =
            show(*instance,
                 counted ? std::optional(connections_of(instance->config, sockets)) : std::nullopt);
        auto gateways = Json::array();
        const auto &registration = instance->config.registration;
        for (const auto &gateway : registration.gateways) {
            const auto door =
                doors_.find({*instance->config.local, gateway.port, registration.key_file});
            if (door == doors_.end())
                continue;
            for (const auto &view : door->second.gateways(now()))
                if (view.address.first == gateway.address && view.address.second == gateway.port)
                    gateways.push_back(show(view));
        }
        json["gateways"] = gateways;
        replicas.push_back(json);
    }
    auto doors = Json::array();
    for (const auto &[id, door] : doors_)
        doors.push_back({{"local", Endpoint{std::get<0>(id), std::get<1>(id)}.text()},
                         {"key-file", std::get<2>(id)},
                         {"messages", show(door.counters())}});
    return {{"replicas", replicas}, {"registrations", doors}};
}

} // namespace wlb::replicad
