// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/kernel.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/wlb.h>
#include <netlink/errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/socket.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <tuple>

#include "wlb/netns.h"

namespace wlb {

namespace {

constexpr int attempts = 5; // at dumps that come torn, at writes that come late
constexpr int receive_buffer = 1 << 20;

struct SocketDeleter {
    void operator()(nl_sock *socket) const { nl_socket_free(socket); }
};
using Socket = std::unique_ptr<nl_sock, SocketDeleter>;

struct CallbackDeleter {
    void operator()(nl_cb *callbacks) const { nl_cb_put(callbacks); }
};
using Callbacks = std::unique_ptr<nl_cb, CallbackDeleter>;

Error libnl_error(const std::string &what, int error)
{
    if (error == -NLE_PERM)
        return Error{"needs CAP_NET_ADMIN (run as root)", EPERM};
    return Error{what + ": " + nl_geterror(error)};
}

// One request and its replies.
class Exchange {
public:
    Exchange(nl_sock *socket, const nlmsghdr *request, std::function<Status(const nlmsghdr *)> take)
        : socket_(socket), request_(request), take_(std::move(take))
    {
    }

    Result<Dump> run()
    {
        const Callbacks callbacks(nl_cb_alloc(NL_CB_CUSTOM));
        if (!callbacks)
            return Error{"out of memory", ENOMEM};
        auto *const cb = callbacks.get();
        nl_cb_err(cb, NL_CB_CUSTOM, &Exchange::on_error, this);
        nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, &Exchange::on_valid, this);
        nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, &Exchange::on_end, this);
        nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, &Exchange::on_finish, this);
        nl_cb_set(cb, NL_CB_DUMP_INTR, NL_CB_CUSTOM, &Exchange::on_torn, this);
        while (!ended_) {
            const int result = nl_recvmsgs(socket_, cb);
            if (result < 0 && !ended_) // libnl returns the error that on_error took, too
                return libnl_error("cannot read from the wlb module", result);
        }
        if (failed_)
            return *failed_;
        return torn_ ? Dump::torn : Dump::consistent;
    }

private:
    static Exchange &self(void *argument) { return *static_cast<Exchange *>(argument); }

    static int on_valid(nl_msg *message, void *argument)
    {
        auto &exchange = self(argument);
        // After a failure the rest is read only to get at its end.
        if (exchange.failed_)
            return NL_OK;
        if (const auto status = exchange.take_(nlmsg_hdr(message)); !status)
            exchange.failed_ = status.error();
        return NL_OK;
    }

    static int on_end(nl_msg * /*message*/, void *argument)
    {
        self(argument).ended_ = true;
        return NL_STOP;
    }

    static int on_finish(nl_msg *message, void *argument)
    {
        auto end = decode_dump_end(nlmsg_hdr(message));
        if (end.code != 0 && !self(argument).failed_)
            self(argument).failed_ = std::move(end);
        return on_end(message, argument);
    }

    static int on_torn(nl_msg * /*message*/, void *argument)
    {
        self(argument).torn_ = true;
        return NL_OK;
    }

    static int on_error(sockaddr_nl * /*from*/, nlmsgerr *error, void *argument)
    {
        auto &exchange = self(argument);
        const auto *const message = reinterpret_cast<const nlmsghdr *>(
            reinterpret_cast<const char *>(error) - NLMSG_HDRLEN);
        exchange.failed_ = decode_refusal(message, exchange.request_);
        exchange.ended_ = true;
        return NL_STOP;
    }

    nl_sock *socket_;
    const nlmsghdr *request_;
    std::function<Status(const nlmsghdr *)> take_;
    std::optional<Error> failed_;
    bool ended_ = false;
    bool torn_ = false;
};

class NetlinkKernel final : public Kernel {
public:
    NetlinkKernel(Socket socket, int family) : socket_(std::move(socket)), family_(family) {}

    Result<Running> read_config() override
    {
        Running running;
        const auto status = whole_dump(
            WLB_CMD_CONF_GET, [&] { running = Running{}; },
            [&](const nlmsghdr *reply) { return decode_config(reply, running); });
        if (!status)
            return status.error();
        return running;
    }

    Status write_config(const Config &config, std::uint32_t roles,
                        std::uint32_t generation) override
    {
        return send(encode_config(family_, config, roles, generation));
    }

    Status set_busy(bool busy, const std::optional<std::string> &name) override
    {
        return send(encode_busy(family_, busy, name));
    }

    Status set_replicas(const std::string &origin, const std::vector<Replica> &replicas) override
    {
        return send(encode_replicas(family_, origin, replicas));
    }

    Status unset_replicas(const std::string &origin) override
    {
        return send(encode_configured_replicas(family_, origin));
    }

    Result<std::vector<ReplicaInForce>> read_replicas() override
    {
        return whole_list<ReplicaInForce>(WLB_CMD_REPLICA_GET, decode_replica);
    }

    Result<Dump> read_flows(const std::function<void(const Flow &)> &take) override
    {
        return exchange(make_request(family_, WLB_CMD_FLOW_GET, NLM_F_DUMP),
                        [&](const nlmsghdr *reply) -> Status {
                            const auto flow = decode_flow(reply);
                            if (!flow)
                                return flow.error();
                            take(*flow);
                            return Done{};
                        });
    }

    Status restore_flow(const Flow &flow) override { return send(encode_flow(family_, flow)); }

    Result<std::uint32_t> flush_flows(const FlowFilter &filter) override
    {
        return ask<std::uint32_t>(encode_flush(family_, filter), decode_count);
    }

    Result<Stats> read_stats() override
    {
        return ask<Stats>(make_request(family_, WLB_CMD_STATS_GET), decode_stats);
    }

    Result<std::vector<RaceRecord>> read_races() override
    {
        auto races = whole_list<RaceRecord>(WLB_CMD_RACE_GET, decode_race);
        if (races)
            std::sort(races->begin(), races->end(),
                      [](const auto &a, const auto &b) { return a.id < b.id; });
        return races;
    }

    Result<std::vector<Learned>> read_learned() override
    {
        auto all = whole_list<Learned>(WLB_CMD_LEARNED_GET, decode_learned);
        if (!all)
            return all;
        std::sort(all->begin(), all->end(), [](const auto &a, const auto &b) {
            return std::tie(a.server, a.server_port) < std::tie(b.server, b.server_port);
        });
        for (auto &learned : *all)
            std::sort(learned.answerers.begin(), learned.answerers.end(),
                      [](const auto &a, const auto &b) {
                          return std::tie(a.rtt_us, a.address) < std::tie(b.rtt_us, b.address);
                      });
        return all;
    }

    Result<std::uint32_t> forget_learned(const std::optional<Address> &server) override
    {
        return ask<std::uint32_t>(encode_forget(family_, server), decode_count);
    }

    Status set_groups(const RedirectGroups &groups) override
    {
        return send(encode_groups(family_, groups));
    }

    Result<RunningGroups> read_groups() override
    {
        RunningGroups groups;
        const auto status = whole_dump(
            WLB_CMD_GROUP_GET, [&] { groups = RunningGroups{}; },
            [&](const nlmsghdr *reply) { return decode_groups(reply, groups); });
        if (!status)
            return status.error();
        return groups;
    }

    Status renew_lease() override { return send(encode_renewal(family_)); }

    Status set_assignment(const RedirectAssignment &assignment) override
    {
        return send(encode_assignment(family_, assignment));
    }

    Status clear_assignment(const std::string &group, bool ipv6) override
    {
        return send(encode_no_assignment(family_, group, ipv6));
    }

    Result<std::vector<RunningAssignment>> read_assignments() override
    {
        std::vector<RunningAssignment> assignments;
        const auto status = whole_dump(
            WLB_CMD_ASSIGN_GET, [&] { assignments.clear(); },
            [&](const nlmsghdr *reply) { return decode_assignments(reply, assignments); });
        if (!status)
            return status.error();
        return assignments;
    }

    Status set_cache(const CacheDoors &cache) override
    {
        return send(encode_cache(family_, cache));
    }

    Result<RunningDoors> read_cache() override
    {
        RunningDoors running;
        const auto status = whole_dump(
            WLB_CMD_CACHE_GET, [&] { running = RunningDoors{}; },
            [&](const nlmsghdr *reply) { return decode_cache(reply, running); });
        if (!status)
            return status.error();
        return running;
    }

    Status add_bypass(const Bypass &bypass) override
    {
        return send(encode_bypass(family_, bypass));
    }

    Status remove_bypass(const std::optional<Bypass> &bypass) override
    {
        return send(encode_no_bypass(family_, bypass));
    }

    Result<std::vector<Bypass>> read_bypasses() override
    {
        auto bypasses = whole_list<Bypass>(WLB_CMD_BYPASS_GET, decode_bypass);
        if (bypasses)
            std::sort(bypasses->begin(), bypasses->end(), [](const auto &a, const auto &b) {
                return std::tie(a.destination, a.source) < std::tie(b.destination, b.source);
            });
        return bypasses;
    }

    Status set_process(const std::vector<RunningProcessRule> &rules) override
    {
        return send(encode_process(family_, rules));
    }

    Result<std::vector<RunningProcessRule>> read_process() override
    {
        return whole_list<RunningProcessRule>(WLB_CMD_PROCESS_GET, decode_process);
    }

    Status watch_races(int stop_fd, const std::function<bool(const RaceRecord &)> &take,
                       const std::function<void()> &lost) override;

private:
    static Status no_reply(const nlmsghdr * /*reply*/) { return Done{}; }

    Result<Dump> exchange(const Result<Message> &request,
                          const std::function<Status(const nlmsghdr *)> &take)
    {
        if (!request)
            return request.error();
        nl_msg *const message = request->get();
        make_room(nlmsg_hdr(message)->nlmsg_len);
        const int sent = nl_send_auto(socket_.get(), message);
        if (sent < 0)
            return libnl_error("cannot write to the wlb module", sent);
        return Exchange(socket_.get(), nlmsg_hdr(message), take).run();
    }

    Status send(const Result<Message> &request)
    {
        const auto result = exchange(request, no_reply);
        if (!result)
            return result.error();
        return Done{};
    }

    template <class T>
    Result<T> ask(const Result<Message> &request, Result<T> (*decode)(const nlmsghdr *))
    {
        std::optional<T> answer;
        const auto result = exchange(request, [&](const nlmsghdr *reply) -> Status {
            auto decoded = decode(reply);
            if (!decoded)
                return decoded.error();
            answer = std::move(*decoded);
            return Done{};
        });
        if (!result)
            return result.error();
        if (!answer)
            return Error{"the wlb module did not answer"};
        return *answer;
    }

    Status whole_dump(std::uint8_t command, const std::function<void()> &restart,
                      const std::function<Status(const nlmsghdr *)> &take)
    {
        for (int i = 0; i < attempts; ++i) {
            restart();
            const auto dump = exchange(make_request(family_, command, NLM_F_DUMP), take);
            if (!dump)
                return dump.error();
            if (*dump == Dump::consistent)
                return Done{};
        }
        return Error{"it changed each time it was read; try again", EAGAIN};
    }

    // A dump of one object per message.
    template <class T>
    Result<std::vector<T>> whole_list(std::uint8_t command, Result<T> (*decode)(const nlmsghdr *))
    {
        std::vector<T> list;
        const auto status = whole_dump(
            command, [&] { list.clear(); },
            [&](const nlmsghdr *reply) -> Status {
                auto object = decode(reply);
                if (!object)
                    return object.error();
                list.push_back(std::move(*object));
                return Done{};
            });
        if (!status)
            return status.error();
        return list;
    }

    // A netlink message must fit into the socket's send buffer whole. Whoever
    // may write configurations may also pass the system's limit on buffers.
    void make_room(std::uint32_t length)
    {
        const int size = static_cast<int>(length) * 2;
        if (size > send_buffer_ && setsockopt(nl_socket_get_fd(socket_.get()), SOL_SOCKET,
                                              SO_SNDBUFFORCE, &size, sizeof(size)) == 0)
            send_buffer_ = size;
    }

    Socket socket_;
    int family_;
    int send_buffer_ = 32768; // what libnl sets
};

// A subscription: notifications until told to stop.
struct Watch {
    const std::function<bool(const RaceRecord &)> &take;
    std::optional<Error> failed;
    bool enough = false;

    static int on_valid(nl_msg *message, void *argument)
    {
        auto &watch = *static_cast<Watch *>(argument);
        const auto race = decode_race(nlmsg_hdr(message));
        if (!race)
            watch.failed = race.error();
        else
            watch.enough = !watch.take(*race);
        return watch.failed || watch.enough ? NL_STOP : NL_OK;
    }
};

Status NetlinkKernel::watch_races(int stop_fd, const std::function<bool(const RaceRecord &)> &take,
                                  const std::function<void()> &lost)
{
    auto *const socket = socket_.get();
    const int group = genl_ctrl_resolve_grp(socket, WLB_GENL_NAME, WLB_GENL_MCGRP_RACE);
    if (group < 0)
        return libnl_error("cannot find the group of race events", group);
    nl_socket_disable_seq_check(socket);
    if (const int error = nl_socket_add_membership(socket, group); error < 0)
        return libnl_error("cannot join the group of race events", error);
    nl_socket_set_nonblocking(socket);

    Watch watch{take, std::nullopt, false};
    const Callbacks callbacks(nl_cb_alloc(NL_CB_CUSTOM));
    if (!callbacks)
        return Error{"out of memory", ENOMEM};
    nl_cb_set(
        callbacks.get(), NL_CB_SEQ_CHECK, NL_CB_CUSTOM,
        [](nl_msg *, void *) -> int { return NL_OK; }, nullptr);
    nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, &Watch::on_valid, &watch);

    std::array<pollfd, 2> fds{{{nl_socket_get_fd(socket), POLLIN, 0}, {stop_fd, POLLIN, 0}}};
    while (!watch.enough) {
        if (poll(fds.data(), fds.size(), -1) < 0) {
            if (errno == EINTR)
                continue;
            return Error{std::string("poll: ") + std::strerror(errno), errno};
        }
        if (fds[1].revents != 0)
            break;
        const int result = nl_recvmsgs(socket, callbacks.get());
        if (watch.failed)
            return *watch.failed;
        if (result == -NLE_NOMEM) // ENOBUFS: the receive buffer ran over
            lost();
        else if (result < 0 && result != -NLE_AGAIN)
            return libnl_error("cannot read race events", result);
    }
    return Done{};
}

} // namespace

Result<std::unique_ptr<Kernel>> connect_kernel(const std::string &netns)
{
    if (!netns.empty())
        if (const auto entered = enter_namespace(netns); !entered)
            return entered.error();

    Socket socket(nl_socket_alloc());
    if (!socket)
        return Error{"out of memory", ENOMEM};
    if (const int error = genl_connect(socket.get()); error < 0)
        return libnl_error("cannot open a netlink socket", error);
    const int family = genl_ctrl_resolve(socket.get(), WLB_GENL_NAME);
    if (family == -NLE_OBJ_NOTFOUND)
        return Error{"wlb module is not loaded (modprobe wlb)", ENOENT};
    if (family < 0)
        return libnl_error("cannot look for the wlb module", family);

    // These make errors and floods of events clearer; nothing depends on them.
    const int fd = nl_socket_get_fd(socket.get());
    const int on = 1;
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof(receive_buffer));
    return std::unique_ptr<Kernel>(std::make_unique<NetlinkKernel>(std::move(socket), family));
}

Status update_config(Kernel &kernel, std::uint32_t roles,
                     const std::function<Result<bool>(Config &)> &change)
{
    for (int i = 0; i < attempts; ++i) {
        auto running = kernel.read_config();
        if (!running)
            return running.error();
        const auto changed = change(running->config);
        if (!changed)
            return changed.error();
        if (!*changed)
            return Done{};
        auto written = kernel.write_config(running->config, roles, running->generation);
        if (written || written.error().code != ESTALE)
            return written;
    }
    return Error{"the configuration was changed by somebody else each time; try again", ESTALE};
}

} // namespace wlb
