// SPDX-License-Identifier: GPL-2.0-only
// A group of NFLOG, by which the kernel hands out copies. It drops those that nobody reads
// in time, and never waits.
#pragma once

#include <netlink/netlink.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "processd/sink.h"
#include "wlb/result.h"

namespace wlb::processd {

class Tap {
public:
    using Take = std::function<void(Octets packet, std::chrono::nanoseconds time)>;

    // An error if the group is another program's.
    static Result<std::unique_ptr<Tap>> open(std::uint16_t group);

    [[nodiscard]] int fd() const;
    // What has come, so many messages of the kernel's at the most; false: there is no more.
    bool read(unsigned most, const Take &take);
    // Copies that the kernel had to drop.
    [[nodiscard]] std::uint64_t missed() const { return missed_; }

private:
    struct SocketDeleter {
        void operator()(nl_sock *socket) const { nl_socket_free(socket); }
    };

    Tap() = default;
    static int note(nl_msg *message, void *tap);
    void note(nlmsghdr *header);

    std::unique_ptr<nl_sock, SocketDeleter> socket_;
    const Take *take_ = nullptr; // while it reads
    std::optional<std::uint32_t> next_;
    std::uint64_t missed_ = 0;
};

} // namespace wlb::processd
