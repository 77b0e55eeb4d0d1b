// SPDX-License-Identifier: GPL-2.0-only
// wlb-cached: the proxy beside it on one side, WCCP's messages on the other, the kernel's
// tables in between, and a clock.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cached/pressure.h"
#include "cached/show.h"
#include "daemon/control.h"
#include "daemon/listener.h"
#include "daemon/prober.h"
#include "daemon/program.h"
#include "wccp/cache.h"
#include "wlb/kernel.h"

namespace wlb::cached {

class Daemon : public daemon::Service {
public:
    Daemon(boost::asio::io_context &io, std::string config_file);

    // Takes over what an earlier process has left in the kernel.
    Status start() override;
    // The new configuration, or the error and everything as before. Memberships stay.
    Status reload() override;
    // Leaves the groups first; packets are taken in until every router knows.
    void stop(const std::function<void()> &done) override;
    Json observe() override;
    [[nodiscard]] const daemon::Control &control() const override { return control_; }

private:
    struct Group {
        Group(boost::asio::io_context &io, Membership membership, wccp::CacheConfig protocol,
              std::uint64_t seed, daemon::Prober::Noted noted);

        Membership config;
        wccp::CacheGroup protocol;
        daemon::Prober prober;
        std::vector<Door> doors; // of the last routers there were
        bool drained = false;    // by request
    };
    using Groups = std::map<GroupId, std::unique_ptr<Group>>;
    using Configs = std::map<GroupId, std::pair<Membership, wccp::CacheConfig>>;

    static Result<Configs> configs_of(const CacheHost &host);
    Status open(const Configs &configs);
    void close_unused();
    void add(const GroupId &id, const std::pair<Membership, wccp::CacheConfig> &config);
    void take_over();
    void take(const Address &at, const wccp::Datagram &datagram);
    void deliver(const GroupId &id, Group &group, const wccp::CacheOutput &output);
    void send(const GroupId &id, const Group &group, const wccp::Outgoing &datagram);
    void note_probe(const GroupId &id, bool changed);

    [[nodiscard]] CacheDoors doors() const;
    void tell_kernel();
    void try_kernel_again();
    void look_after_kernel();
    void watch_pressure();
    void wait();
    void tick();
    void end_if_left();
    void notify_status() const;

    Json answer(const Json &request);
    Json answer_show(const std::string &wanted);
    Json drain(const std::string &wanted, bool drained);

    [[nodiscard]] wccp::Time now() const;

    boost::asio::io_context &io_;
    std::string config_file_;
    CacheHost config_;
    std::unique_ptr<Kernel> kernel_;
    Groups groups_;
    daemon::Listeners<Address> listeners_; // by local address, or multicast group
    std::optional<CacheDoors> told_;       // that the kernel has
    Pressure pressure_;
    std::uint32_t share_ = 0;
    std::uint64_t unwanted_ = 0; // datagrams for no service of ours
    boost::asio::steady_timer timer_;
    boost::asio::steady_timer retry_;
    boost::asio::steady_timer look_;
    boost::asio::steady_timer measure_;
    daemon::Control control_;
    std::random_device random_;
    std::function<void()> done_; // while it ends
    bool retrying_ = false;
};

} // namespace wlb::cached
