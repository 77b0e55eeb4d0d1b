// SPDX-License-Identifier: GPL-2.0-only
// wlb-replicad: sockets, probes, clock and kernel around what a replica says of itself.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "daemon/control.h"
#include "daemon/listener.h"
#include "daemon/program.h"
#include "registry/replica.h"
#include "replicad/instance.h"
#include "replicad/measure.h"
#include "wlb/kernel.h"

namespace wlb::replicad {

class Daemon final : public daemon::Service {
public:
    Daemon(boost::asio::io_context &io, std::string config_file);

    Status start() override;
    Status reload() override;
    // No race is answered any more and gateways hear of it; connections go on.
    void stop(const std::function<void()> &done) override;
    Json observe() override;
    [[nodiscard]] const daemon::Control &control() const override { return control_; }

private:
    using Instances = std::map<std::string, std::unique_ptr<Instance>>;
    // Its own address, the port that it speaks from, the file of keys.
    using DoorId = std::tuple<Address, std::uint16_t, std::string>;
    using Doors = std::map<DoorId, registry::Registrant>;
    struct Configs {
        std::vector<Served> served;
        std::map<std::string, registry::Keys> keys; // by file
    };

    Result<Configs> read_configs() const;
    Status open(const Configs &configs);
    void close_unused();
    void take_on(const Configs &configs);
    void add(const Served &served, const Running *running);
    void note_probe(const std::string &name);
    // Tells kernel and gateways what has changed.
    void settle();
    void tell_kernel(Instance &instance);
    void announce();
    [[nodiscard]] bool all_known() const;
    void take(const Endpoint &at, const wccp::Datagram &datagram);
    void send(const DoorId &id, const std::vector<wccp::Outgoing> &datagrams);
    void measure();
    void look_after_kernel();
    void wait();
    void tick();
    void end();
    void notify_status() const;

    Json answer(const Json &request);
    Json answer_show(const std::string &wanted);

    [[nodiscard]] static registry::Time now();

    boost::asio::io_context &io_;
    std::string config_file_;
    std::unique_ptr<Kernel> kernel_;
    Instances instances_; // by name
    Doors doors_;
    daemon::Listeners<Endpoint> listeners_;
    Rate rate_;
    std::uint64_t boot_;
    unsigned measured_ = 0; // times
    bool speaking_ = false; // with gateways: before, nothing is known of some server
    boost::asio::steady_timer timer_;
    boost::asio::steady_timer measure_;
    boost::asio::steady_timer look_;
    boost::asio::steady_timer farewell_;
    daemon::Control control_;
    std::function<void()> done_; // while it ends
};

} // namespace wlb::replicad
