// SPDX-License-Identifier: GPL-2.0-only
// Requests put together attribute by attribute.
#pragma once

#include <linux/wlb.h>
#include <netlink/attr.h>

#include <cerrno>
#include <functional>

#include "wlb/message.h"

namespace wlb {

// Adds attributes until one does not fit; libnl's messages do not grow.
class Writer {
public:
    explicit Writer(nl_msg *message) : message_(message) {}

    void u8(int type, std::uint8_t value) { keep(nla_put_u8(message_, type, value)); }
    void u16(int type, std::uint16_t value) { keep(nla_put_u16(message_, type, value)); }
    void u32(int type, std::int64_t value)
    {
        keep(nla_put_u32(message_, type, static_cast<std::uint32_t>(value)));
    }
    void flag(int type) { keep(nla_put_flag(message_, type)); }
    void string(int type, const std::string &value)
    {
        keep(nla_put_string(message_, type, value.c_str()));
    }
    void address(int type, const Address &value)
    {
        keep(nla_put(message_, type, value.size(), value.data()));
    }
    void bytes(int type, const void *data, std::size_t size)
    {
        keep(nla_put(message_, type, static_cast<int>(size), data));
    }
    void ports(int type, const std::vector<std::uint16_t> &ports)
    {
        keep(nla_put(message_, type, static_cast<int>(ports.size() * sizeof(ports[0])),
                     ports.data()));
    }
    void prefix(int type, const Prefix &prefix)
    {
        nest(type, [&] {
            address(WLB_PREFIX_A_ADDRESS, prefix.address);
            u8(WLB_PREFIX_A_LENGTH, prefix.length);
        });
    }
    void rule(int type, const RedirectRule &rule)
    {
        nest(type, [&] {
            if (rule.deny)
                flag(WLB_RULE_A_DENY);
            if (rule.source)
                prefix(WLB_RULE_A_SOURCE, *rule.source);
            if (rule.destination)
                prefix(WLB_RULE_A_DESTINATION, *rule.destination);
        });
    }
    // An empty one is put all the same: so is a rule that matches every packet.
    template <class Fill> void nest(int type, Fill fill)
    {
        auto *const start = nla_nest_start(message_, type | NLA_F_NESTED);
        if (start == nullptr) {
            full_ = true;
            return;
        }
        fill();
        keep(nla_nest_end_keep_empty(message_, start));
    }
    [[nodiscard]] bool full() const { return full_; }

private:
    void keep(int error) { full_ = full_ || error < 0; }

    nl_msg *message_;
    bool full_ = false;
};

// A request that `fill` fills, several times if it does not fit at first.
Result<Message> build_request(int family, std::uint8_t command, int flags,
                              const std::function<void(Writer &)> &fill);

} // namespace wlb
