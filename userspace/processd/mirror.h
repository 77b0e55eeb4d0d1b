// SPDX-License-Identifier: GPL-2.0-only
// Copies that go out of an interface, to whoever is at its other end: a monitor's link. With
// Ethernet they are broadcast there, which no host takes for its own.
#pragma once

#include <memory>

#include "daemon/file.h"
#include "processd/sink.h"
#include "wlb/result.h"

namespace wlb::processd {

class Mirror : public Sink {
public:
    // To send by any interface; needs CAP_NET_RAW, which the daemon gives up.
    static Result<std::shared_ptr<daemon::File>> socket();

    Mirror(ProcessCopy copy, std::shared_ptr<daemon::File> socket);

    // What is longer than the interface's MTU is cut. There may be no such interface yet.
    void take(Octets packet, std::chrono::nanoseconds time) override;
    [[nodiscard]] Json show() const override;

private:
    [[nodiscard]] bool find();

    std::shared_ptr<daemon::File> socket_;
    int index_ = 0; // of the interface; 0: not known
    std::size_t mtu_ = 0;
    std::uint64_t packets_ = 0;
    std::uint64_t octets_ = 0;
    std::uint64_t cut_ = 0;
    std::uint64_t failed_ = 0;
    std::string error_;
};

} // namespace wlb::processd
