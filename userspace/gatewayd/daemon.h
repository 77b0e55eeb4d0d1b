// SPDX-License-Identifier: GPL-2.0-only
// wlb-gatewayd: sockets, clock and kernel around the registry.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "daemon/control.h"
#include "daemon/listener.h"
#include "daemon/program.h"
#include "gatewayd/realm.h"
#include "wlb/kernel.h"

namespace wlb::gatewayd {

class Daemon final : public daemon::Service {
public:
    Daemon(boost::asio::io_context &io, std::string config_file);

    Status start() override;
    Status reload() override;
    // Clones go to the replicas of the configuration again: nobody looks after others.
    void stop(const std::function<void()> &done) override;
    Json observe() override;
    [[nodiscard]] const daemon::Control &control() const override { return control_; }

private:
    using Realms = std::map<RealmId, registry::Gateway>;
    using Configs = std::map<RealmId, registry::GatewayConfig>;

    Result<Configs> read_configs() const;
    Status open(const Configs &configs);
    void close_unused();
    registry::Gateway &add(const RealmId &id, const registry::GatewayConfig &config);
    void take(const Endpoint &at, const wccp::Datagram &datagram);
    void deliver(const RealmId &id, const registry::GatewayOutput &output);
    void tick();
    void wait();

    [[nodiscard]] registry::Tables wanted() const;
    // Tables that have been set, all of them or of an earlier process.
    Result<registry::Tables> read_tables();
    void tell(const std::string &origin, const std::vector<Replica> &replicas);
    void give_back(const std::string &origin);
    void try_again();
    void look_after_kernel();
    void notify_status() const;

    Json answer(const Json &request);
    Json answer_show(const std::string &wanted);

    [[nodiscard]] static registry::Time now();

    std::string config_file_;
    std::unique_ptr<Kernel> kernel_;
    Realms realms_;
    daemon::Listeners<Endpoint> listeners_;
    std::set<std::string> untold_; // origins whose table the kernel has not taken
    std::uint64_t boot_;           // of this process, for its messages
    boost::asio::steady_timer timer_;
    boost::asio::steady_timer retry_;
    boost::asio::steady_timer look_;
    daemon::Control control_;
    bool ending_ = false;
};

} // namespace wlb::gatewayd
