// SPDX-License-Identifier: GPL-2.0-only
// wlb-processd: has the kernel process packets as [processing] says, and keeps the copies
// that it makes.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "daemon/control.h"
#include "daemon/file.h"
#include "daemon/program.h"
#include "processd/sink.h"
#include "processd/tap.h"
#include "wlb/kernel.h"

namespace wlb::processd {

class Daemon : public daemon::Service {
public:
    Daemon(boost::asio::io_context &io, std::string config_file);

    // Rules that an earlier process has left in the kernel are replaced at once.
    Status start() override;
    Status reload() override;
    // Takes the rules away, then writes what copies are under way.
    void stop(const std::function<void()> &done) override;
    Json observe() override;
    [[nodiscard]] const daemon::Control &control() const override { return control_; }

private:
    struct Listener {
        Listener(boost::asio::io_context &io, std::unique_ptr<Tap> own)
            : tap(std::move(own)), readable(io, tap->fd())
        {
        }
        Listener(const Listener &) = delete;
        Listener &operator=(const Listener &) = delete;
        ~Listener() { readable.release(); } // the descriptor is the tap's

        std::unique_ptr<Tap> tap;
        boost::asio::posix::stream_descriptor readable;
        Sink *sink = nullptr;
    };
    using Sinks = std::map<std::string, std::unique_ptr<Sink>>;
    using Listeners = std::map<std::uint16_t, Listener>;

    Result<Processing> read_config() const;
    Status open(const Processing &processing, Sinks &sinks, Listeners &listeners);
    Status become(Processing processing);
    void connect();
    void listen(std::uint16_t group);
    static bool read(Listener &listener, unsigned most);
    void read_all();
    void flush_regularly();
    void look_after_kernel();
    Json answer(const Json &request);
    [[nodiscard]] Json show() const;

    boost::asio::io_context &io_;
    std::string config_file_;
    Processing config_;
    std::unique_ptr<Kernel> kernel_;
    std::shared_ptr<daemon::File> packet_socket_;
    Sinks sinks_; // by the copy's name
    Listeners listeners_;
    boost::asio::steady_timer flush_;
    boost::asio::steady_timer look_;
    daemon::Control control_;
};

} // namespace wlb::processd
