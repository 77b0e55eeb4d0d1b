// SPDX-License-Identifier: GPL-2.0-only
// wlb-routerd: WCCP's messages on one side, the kernel's tables on the other, and a clock.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "daemon/control.h"
#include "daemon/listener.h"
#include "daemon/program.h"
#include "routerd/group.h"
#include "routerd/show.h"
#include "wlb/kernel.h"

namespace wlb::routerd {

class Daemon : public daemon::Service {
public:
    Daemon(boost::asio::io_context &io, std::string config_file);

    // Takes over what an earlier process has left in the kernel.
    Status start() override;
    // The new configuration, or the error and everything as before. Members stay.
    Status reload() override;
    // Redirection ends: traffic goes its way without caches.
    void stop(const std::function<void()> &done) override;
    Json observe() override;
    [[nodiscard]] const daemon::Control &control() const override { return control_; }

private:
    struct Group {
        CacheGroup config;
        wccp::RouterGroup protocol;
        std::vector<std::pair<Address, std::string>> joined; // multicast
        bool pending = false;             // the kernel does not have its assignment yet
        std::vector<RedirectMember> told; // that the kernel has
        // Caches that have said that they leave, and until when they keep connections.
        std::map<Address, std::pair<RedirectMember, wccp::Time>> leaving;
    };
    using Configs = std::map<GroupId, std::pair<CacheGroup, wccp::GroupConfig>>;

    static Result<Configs> configs_of(const CacheRouter &router);
    void add_new(const Configs &configs);
    Status take_over();
    void join(const GroupId &id, Group &group);
    void leave(const GroupId &id, Group &group);

    void take(bool ipv6, const wccp::Datagram &datagram);
    void deliver(const GroupId &id, Group &group, const wccp::Output &output);
    static void note_sent(const GroupId &id, const Status &status);
    void send(const GroupId &id, const Group &group, const wccp::Outgoing &datagram);
    void note_leaving(Group &group, const wccp::Output &output) const;
    [[nodiscard]] std::vector<RedirectMember> leaving(Group &group) const;
    void tell_kernel(const GroupId &id, Group &group);
    void try_kernel_again();
    void wait();
    void tick();
    void wait_lease();
    void notify_status() const;

    Json answer(const Json &request);
    Json answer_show(const Json &request, const std::string &command);
    static Result<FlowQuestion> read_flow(const Json &request);

    [[nodiscard]] wccp::Time now() const;

    std::string config_file_;
    CacheRouter config_;
    std::unique_ptr<Kernel> kernel_;
    std::map<GroupId, Group> groups_;
    daemon::Listeners<bool> listeners_; // by whether they are of IPv6
    std::uint64_t unwanted_ = 0;        // datagrams for no service of ours
    boost::asio::steady_timer timer_;
    boost::asio::steady_timer retry_;
    boost::asio::steady_timer lease_;
    daemon::Control control_;
    std::random_device random_;
    bool retrying_ = false;
};

} // namespace wlb::routerd
