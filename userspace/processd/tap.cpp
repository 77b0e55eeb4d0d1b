// SPDX-License-Identifier: GPL-2.0-only
#include "processd/tap.h"

#include <netlink/msg.h>
#include <netlink/netfilter/log.h>
#include <netlink/netfilter/log_msg.h>
#include <netlink/netfilter/nfnl.h>
#include <sys/socket.h>

#include <cerrno>

namespace wlb::processd {

namespace {

constexpr int socket_buffer = 8 << 20;
constexpr std::uint32_t batch = 128 << 10; // of the kernel's, which has at most that
constexpr std::uint32_t most_wait = 10;    // hundredths of a second until it hands out a part

Error failure(std::uint16_t group, int error)
{
    const auto name = "group " + std::to_string(group) + " of NFLOG";
    if (-error == NLE_PERM)
        return Error{name + " is another program's; see nflog-group", EPERM};
    return Error{name + ": " + nl_geterror(error)};
}

template <class T, void (*release)(T *)> struct Put {
    void operator()(T *object) const { release(object); }
};
using Log = std::unique_ptr<nfnl_log, Put<nfnl_log, nfnl_log_put>>;
using LogMessage = std::unique_ptr<nfnl_log_msg, Put<nfnl_log_msg, nfnl_log_msg_put>>;

} // namespace

Result<std::unique_ptr<Tap>> Tap::open(std::uint16_t group)
{
    std::unique_ptr<Tap> tap(new Tap);
    tap->socket_.reset(nl_socket_alloc());
    const Log log(nfnl_log_alloc());
    auto *const socket = tap->socket_.get();
    if (socket == nullptr || !log)
        return Error{"out of memory", ENOMEM};
    if (const auto error = nfnl_connect(socket); error < 0)
        return failure(group, error);
    nl_socket_disable_seq_check(socket);
    nl_socket_set_msg_buf_size(socket, batch + (64U << 10U));
    nfnl_log_set_group(log.get(), group);
    nfnl_log_set_copy_mode(log.get(), NFNL_LOG_COPY_PACKET);
    nfnl_log_set_copy_range(log.get(), 0xffff); // the rule says how much
    nfnl_log_set_alloc_size(log.get(), batch);
    nfnl_log_set_flush_timeout(log.get(), most_wait);
    nfnl_log_set_flags(log.get(), NFNL_LOG_FLAG_SEQ);
    if (const auto error = nfnl_log_create(socket, log.get()); error < 0)
        return failure(group, error);
    // More than rmem_max lets: bursts come faster than disks write.
    const int size = socket_buffer;
    (void)setsockopt(nl_socket_get_fd(socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, &Tap::note, tap.get());
    nl_socket_set_nonblocking(socket);
    return tap;
}

int Tap::fd() const
{
    return nl_socket_get_fd(socket_.get());
}

bool Tap::read(unsigned most, const Take &take)
{
    take_ = &take;
    bool more = true;
    for (unsigned i = 0; i < most && more; ++i) {
        // Where the socket was full, the sequence numbers tell how many are missing.
        const auto error = nl_recvmsgs_default(socket_.get());
        more = error >= 0 || -error == NLE_NOMEM;
    }
    take_ = nullptr;
    return more;
}

int Tap::note(nl_msg *message, void *tap)
{
    static_cast<Tap *>(tap)->note(nlmsg_hdr(message));
    return NL_OK;
}

void Tap::note(nlmsghdr *header)
{
    nfnl_log_msg *raw = nullptr;
    if (take_ == nullptr || nfnlmsg_log_msg_parse(header, &raw) < 0)
        return;
    const LogMessage message(raw);
    if (nfnl_log_msg_test_seq(raw) != 0) {
        const auto sequence = nfnl_log_msg_get_seq(raw);
        missed_ += sequence - next_.value_or(sequence);
        next_ = sequence + 1;
    }
    int length = 0;
    const auto *data = static_cast<const std::uint8_t *>(nfnl_log_msg_get_payload(raw, &length));
    if (data == nullptr || length <= 0)
        return;
    const auto *const stamp = nfnl_log_msg_get_timestamp(raw);
    const auto time = stamp != nullptr ? std::chrono::seconds(stamp->tv_sec) +
                                             std::chrono::microseconds(stamp->tv_usec)
                                       : std::chrono::system_clock::now().time_since_epoch();
    (*take_)({data, static_cast<std::size_t>(length)}, time);
}

} // namespace wlb::processd
