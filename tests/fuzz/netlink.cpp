// SPDX-License-Identifier: GPL-2.0-only
// userspace/wlb/decode.cpp, group.cpp, doors.cpp and refusal.cpp: what the module answers.
// Input: a byte that says what is awaited, then the message behind its header.
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/wlb.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "check.h"
#include "wlb/message.h"
#include "wlb/validate.h"

using namespace wlb;

namespace {

using Bytes = std::vector<std::uint8_t>;

// One attribute, as the format says (netlink(7)): length and type of 16 bits each, the
// length without the padding to four bytes.
struct Attribute {
    int type;
    Bytes value;
};

// Nothing if some attribute does not fit.
std::optional<std::vector<Attribute>> cut(const Bytes &bytes, std::size_t at)
{
    std::vector<Attribute> attributes;
    while (at < bytes.size()) {
        if (bytes.size() - at < 4)
            return std::nullopt;
        const std::size_t length = bytes[at] + bytes[at + 1] * 256U;
        const int type = bytes[at + 2] + (bytes[at + 3] & 0x3f) * 256;
        if (length < 4 || length > bytes.size() - at)
            return std::nullopt;
        attributes.push_back(
            {type, Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(at) + 4,
                         bytes.begin() + static_cast<std::ptrdiff_t>(at + length))});
        at += (length + 3) / 4 * 4;
    }
    return attributes;
}

// The numbers and addresses of one nest by type, each as the last attribute has it.
class Model {
public:
    explicit Model(const std::optional<std::vector<Attribute>> &attributes)
        : good_(attributes.has_value())
    {
        if (attributes)
            attributes_ = *attributes;
    }

    std::uint64_t number(int type, std::size_t width)
    {
        std::uint64_t value = 0;
        for (const auto &attribute : attributes_) {
            if (attribute.type != type)
                continue;
            good_ = good_ && attribute.value.size() == width;
            value = 0;
            for (std::size_t i = std::min<std::size_t>(8, attribute.value.size()); i-- > 0;)
                value = value << 8 | attribute.value[i];
        }
        return value;
    }

    std::optional<Bytes> address(int type)
    {
        std::optional<Bytes> value;
        for (const auto &attribute : attributes_) {
            if (attribute.type != type)
                continue;
            value = attribute.value;
            good_ = good_ && (value->size() == 4 || value->size() == 16);
        }
        return value;
    }

    [[nodiscard]] bool has(int type) const
    {
        return std::any_of(attributes_.begin(), attributes_.end(),
                           [&](const auto &attribute) { return attribute.type == type; });
    }

    [[nodiscard]] std::vector<Bytes> all(int type) const
    {
        std::vector<Bytes> values;
        for (const auto &attribute : attributes_)
            if (attribute.type == type)
                values.push_back(attribute.value);
        return values;
    }

    [[nodiscard]] bool good() const { return good_; }

private:
    bool good_;
    std::vector<Attribute> attributes_;
};

bool same(const Address &address, const std::optional<Bytes> &bytes)
{
    const Bytes got(address.data(), address.data() + address.size());
    return got == bytes.value_or(Bytes(4));
}

// A message in a buffer of exactly its size.
class Sent {
public:
    Sent(std::uint16_t type, std::uint16_t flags, const Bytes &body)
        : bytes_(new std::uint8_t[sizeof(nlmsghdr) + body.size()])
    {
        nlmsghdr header{};
        header.nlmsg_len = static_cast<std::uint32_t>(sizeof(nlmsghdr) + body.size());
        header.nlmsg_type = type;
        header.nlmsg_flags = flags;
        std::memcpy(bytes_.get(), &header, sizeof(header));
        std::copy(body.begin(), body.end(), bytes_.get() + sizeof(header));
    }

    [[nodiscard]] const nlmsghdr *get() const
    {
        return reinterpret_cast<const nlmsghdr *>(bytes_.get());
    }

private:
    std::unique_ptr<std::uint8_t[]> bytes_;
};

Model top_of(const Bytes &body)
{
    return Model(body.size() < GENL_HDRLEN ? std::nullopt : cut(body, GENL_HDRLEN));
}

void flow(const nlmsghdr *message, const Bytes &body)
{
    const auto got = decode_flow(message);
    const Model top = top_of(body);
    const auto flows = top.all(WLB_A_FLOW);
    bool good = top.good() && !flows.empty();
    if (flows.size() > 1)
        return; // the module sends one; what several say together is nobody's promise
    if (good) {
        Model m(cut(flows[0], 0));
        const auto client = m.address(WLB_FLOW_A_CLIENT), server = m.address(WLB_FLOW_A_SERVER),
                   winner = m.address(WLB_FLOW_A_WINNER);
        const auto client_port = m.number(WLB_FLOW_A_CLIENT_PORT, 2),
                   server_port = m.number(WLB_FLOW_A_SERVER_PORT, 2),
                   state = m.number(WLB_FLOW_A_STATE, 1), expires = m.number(WLB_FLOW_A_EXPIRES, 4),
                   isn = m.number(WLB_FLOW_A_ISN, 4), mode = m.number(WLB_FLOW_A_RETURN, 1),
                   via = m.number(WLB_FLOW_A_VIA, 1);
        const Track track{static_cast<std::uint32_t>(m.number(WLB_FLOW_A_CLIENT_END, 4)),
                          static_cast<std::uint32_t>(m.number(WLB_FLOW_A_CLIENT_ACK, 4)),
                          static_cast<std::uint32_t>(m.number(WLB_FLOW_A_SERVER_END, 4)),
                          static_cast<std::uint32_t>(m.number(WLB_FLOW_A_SERVER_ACK, 4)),
                          static_cast<std::uint8_t>(m.number(WLB_FLOW_A_FLAGS, 1)),
                          static_cast<std::uint16_t>(m.number(WLB_FLOW_A_NEW_ISN, 2))};
        bool tracked = false;
        for (int type = WLB_FLOW_A_CLIENT_END; type <= WLB_FLOW_A_NEW_ISN; ++type)
            tracked = tracked || m.has(type);
        good = m.good();
        if (good) {
            CHECK(got);
            CHECK(same(got->tuple.client, client) && same(got->tuple.server, server));
            CHECK(got->winner.has_value() == winner.has_value());
            CHECK(!winner || same(*got->winner, winner));
            CHECK(got->tuple.client_port == client_port && got->tuple.server_port == server_port);
            CHECK(got->state == state && got->expires_ms == expires && got->isn == isn);
            CHECK(got->return_mode.has_value() == m.has(WLB_FLOW_A_RETURN));
            CHECK(got->return_mode.value_or(0) == mode);
            CHECK(got->via.has_value() == m.has(WLB_FLOW_A_VIA) && got->via.value_or(0) == via);
            CHECK(got->track.has_value() == tracked && got->track.value_or(Track{}) == track);
        }
    }
    CHECK(static_cast<bool>(got) == good);
}

bool answers_good(const RaceRecord *race, const std::vector<Bytes> &answers)
{
    CHECK(race == nullptr || race->answers.size() == answers.size());
    bool good = true;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        Model m(cut(answers[i], 0));
        const auto address = m.address(WLB_ANSWER_A_ADDRESS);
        const auto delay = m.number(WLB_ANSWER_A_DELAY, 4);
        good = good && m.good();
        if (race == nullptr)
            continue;
        const auto &got = race->answers[i];
        CHECK(same(got.address, address) && got.delay_us == delay);
        CHECK(got.won == m.has(WLB_ANSWER_A_WON));
    }
    return good;
}

void race(const nlmsghdr *message, const Bytes &body)
{
    const auto got = decode_race(message);
    const Model top = top_of(body);
    const auto races = top.all(WLB_A_RACE);
    bool good = top.good() && !races.empty();
    if (races.size() > 1)
        return;
    if (good) {
        Model m(cut(races[0], 0));
        const auto client = m.address(WLB_RACE_A_CLIENT), server = m.address(WLB_RACE_A_SERVER);
        const auto id = m.number(WLB_RACE_A_ID, 8), time = m.number(WLB_RACE_A_TIME, 8),
                   client_port = m.number(WLB_RACE_A_CLIENT_PORT, 2),
                   server_port = m.number(WLB_RACE_A_SERVER_PORT, 2);
        good = answers_good(got ? &*got : nullptr, m.all(WLB_RACE_A_ANSWER)) && m.good();
        if (good) {
            CHECK(got);
            CHECK(same(got->tuple.client, client) && same(got->tuple.server, server));
            CHECK(got->tuple.client_port == client_port && got->tuple.server_port == server_port);
            CHECK(got->id == id && got->time_ns == time);
        }
    }
    CHECK(static_cast<bool>(got) == good);
}

bool answerers_good(const Learned *learned, const std::vector<Bytes> &answerers)
{
    CHECK(learned == nullptr || learned->answerers.size() == answerers.size());
    bool good = true;
    for (std::size_t i = 0; i < answerers.size(); ++i) {
        Model m(cut(answerers[i], 0));
        const auto address = m.address(WLB_ANSWERER_A_ADDRESS);
        const auto via = m.number(WLB_ANSWERER_A_VIA, 1), rtt = m.number(WLB_ANSWERER_A_RTT, 4),
                   age = m.number(WLB_ANSWERER_A_AGE, 4),
                   answers = m.number(WLB_ANSWERER_A_ANSWERS, 4),
                   wins = m.number(WLB_ANSWERER_A_WINS, 4),
                   asked = m.number(WLB_ANSWERER_A_ASKED, 4),
                   missed = m.number(WLB_ANSWERER_A_MISSED, 4),
                   silent = m.number(WLB_ANSWERER_A_SILENT, 4);
        good = good && m.good();
        if (learned == nullptr)
            continue;
        const auto &got = learned->answerers[i];
        CHECK(same(got.address, address) && got.via == via && got.rtt_us == rtt);
        CHECK(got.raced == m.has(WLB_ANSWERER_A_RACED) && got.age_ms == age);
        CHECK(got.answers == answers && got.wins == wins && got.asked == asked);
        CHECK(got.missed == missed && got.silent_ms.value_or(0) == silent);
        CHECK(got.silent_ms.has_value() == m.has(WLB_ANSWERER_A_SILENT));
    }
    return good;
}

void learned(const nlmsghdr *message, const Bytes &body)
{
    const auto got = decode_learned(message);
    const Model top = top_of(body);
    const auto origins = top.all(WLB_A_LEARNED);
    bool good = top.good() && !origins.empty();
    if (origins.size() > 1)
        return;
    if (good) {
        Model m(cut(origins[0], 0));
        const auto server = m.address(WLB_LEARNED_A_SERVER);
        const auto port = m.number(WLB_LEARNED_A_SERVER_PORT, 2);
        good = answerers_good(got ? &*got : nullptr, m.all(WLB_LEARNED_A_ANSWERER)) && m.good();
        if (good) {
            CHECK(got);
            CHECK(same(got->server, server) && got->server_port == port);
        }
    }
    CHECK(static_cast<bool>(got) == good);
}

void stats(const nlmsghdr *message, const Bytes &body)
{
    const auto got = decode_stats(message);
    Model top = top_of(body);
    const auto nests = top.all(WLB_A_STATS);
    const auto flows = top.number(WLB_A_FLOWS, 4), racing = top.number(WLB_A_RACING, 4),
               held = top.number(WLB_A_HELD, 4);
    bool good = top.good() && !nests.empty();
    if (nests.size() > 1)
        return;
    if (good) {
        const auto counters = cut(nests[0], 0);
        Model m(counters);
        std::vector<std::uint64_t> values(__WLB_STAT_MAX);
        std::size_t unknown = 0;
        for (int stat = 0; stat < __WLB_STAT_MAX; ++stat)
            values[static_cast<std::size_t>(stat)] = m.number(stat + 1, 8);
        if (counters)
            for (const auto &counter : *counters)
                if (counter.type > __WLB_STAT_MAX) {
                    m.number(counter.type, 8);
                    ++unknown;
                }
        good = m.good();
        if (good) {
            CHECK(got);
            CHECK(got->flows == flows && got->racing == racing && got->held == held);
            CHECK(got->counters.size() == values.size() + unknown);
            for (std::size_t i = 0; i < values.size(); ++i)
                CHECK(got->counters[i].value == values[i]);
        }
    }
    CHECK(static_cast<bool>(got) == good);
}

void count(const nlmsghdr *message, const Bytes &body)
{
    const auto got = decode_count(message);
    Model top = top_of(body);
    const auto want = top.number(WLB_A_COUNT, 4);
    CHECK(static_cast<bool>(got) == (top.good() && top.has(WLB_A_COUNT)));
    CHECK(!got || *got == want);
}

void check_prefixes(const std::vector<Prefix> &prefixes)
{
    for (const auto &prefix : prefixes)
        CHECK(prefix.length <= prefix.address.bits());
}

void check_rules(const std::vector<RedirectRule> &rules)
{
    for (const auto &rule : rules) {
        check_prefixes(rule.source ? std::vector{*rule.source} : std::vector<Prefix>{});
        check_prefixes(rule.destination ? std::vector{*rule.destination} : std::vector<Prefix>{});
    }
}

// What could run survives being sent back, as `wlbctl ... add` does.
void config(const nlmsghdr *message, const Bytes &body)
{
    Running running;
    const auto got = decode_config(message, running);
    CHECK(!got || top_of(body).good());
    if (got) {
        for (const auto &service : running.config.client_gateway.services) {
            check_prefixes(service.replicas);
            check_prefixes(service.never);
        }
        for (const auto &served : running.config.served)
            check_prefixes(served.from);
    }
    if (!got || !validate(running.config).empty())
        return;
    const auto sent = encode_config(42, running.config, WLB_ROLE_ALL, running.generation);
    CHECK(sent);
    Running again;
    CHECK(decode_config(nlmsg_hdr(sent->get()), again));
    CHECK(again.config == running.config && again.generation == running.generation);
}

// What was read of the cache router survives being sent back, as by a daemon that
// starts anew.
void groups(const nlmsghdr *message, const Bytes &body)
{
    RunningGroups running;
    const auto got = decode_groups(message, running);
    CHECK(!got || top_of(body).good());
    if (!got)
        return;
    CHECK(running.groups.size() == top_of(body).all(WLB_A_GROUP).size());
    RedirectGroups kept{running.check_all, running.lease, {}};
    for (const auto &[group, counters] : running.groups) {
        CHECK(counters.size() >= __WLB_GROUP_STAT_MAX);
        check_rules(group.rules);
        kept.groups.push_back(group);
    }
    const auto sent = encode_groups(42, kept);
    CHECK(sent);
    RunningGroups again;
    CHECK(decode_groups(nlmsg_hdr(sent->get()), again));
    CHECK(again.check_all == kept.check_all && again.lease == kept.lease &&
          again.groups.size() == kept.groups.size());
    for (std::size_t i = 0; i < kept.groups.size(); ++i)
        CHECK(again.groups[i].group == kept.groups[i]);
}

void assignments(const nlmsghdr *message, const Bytes &body)
{
    std::vector<RunningAssignment> running;
    const auto got = decode_assignments(message, running);
    CHECK(!got || top_of(body).good());
    if (!got)
        return;
    CHECK(running.size() == top_of(body).all(WLB_A_ASSIGNMENT).size());
    for (const auto &[assignment, counters] : running) {
        CHECK(counters.size() == assignment.members.size());
        if (assignment.masks.size() > WLB_MAX_MASKS)
            continue; // the module has no such, and a value cannot name so many
        const auto sent = encode_assignment(42, assignment);
        CHECK(sent);
        std::vector<RunningAssignment> again;
        CHECK(decode_assignments(nlmsg_hdr(sent->get()), again));
        CHECK(again.size() == 1 && again[0].assignment == assignment);
    }
}

// An empty door of 4 bytes goes back with 44, and all go back in one attribute of 64 kB.
constexpr std::size_t most_doors = 5000; // bytes of them

void cache(const nlmsghdr *message, const Bytes &body)
{
    RunningDoors running;
    const auto got = decode_cache(message, running);
    CHECK(!got || top_of(body).good());
    if (!got)
        return;
    const auto &doors = running.cache.doors;
    CHECK(running.counters.size() == doors.size());
    check_rules(running.cache.rules);
    if (doors.empty() || body.size() > most_doors)
        return;
    const auto sent = encode_cache(42, running.cache);
    CHECK(sent);
    RunningDoors again;
    CHECK(decode_cache(nlmsg_hdr(sent->get()), again));
    CHECK(again.cache == running.cache);
}

void bypass(const nlmsghdr *message, const Bytes &body)
{
    const auto got = decode_bypass(message);
    const Model top = top_of(body);
    const auto bypasses = top.all(WLB_A_BYPASS);
    bool good = top.good() && !bypasses.empty();
    if (bypasses.size() > 1)
        return;
    if (good) {
        Model m(cut(bypasses[0], 0));
        const auto source = m.address(WLB_BYPASS_A_SOURCE),
                   destination = m.address(WLB_BYPASS_A_DESTINATION);
        const auto lifetime = m.number(WLB_BYPASS_A_LIFETIME, 4);
        good = m.good();
        if (good) {
            CHECK(got);
            CHECK(got->source.has_value() == source.has_value());
            CHECK(!source || same(*got->source, source));
            CHECK(same(got->destination, destination));
            CHECK(got->lifetime.count() == static_cast<std::int64_t>(lifetime));
        }
    }
    CHECK(static_cast<bool>(got) == good);
}

// One replica in force; of attributes that are there twice it is not said which counts.
void replica(const nlmsghdr *message, const Bytes &body)
{
    const auto got = decode_replica(message);
    const Model top = top_of(body);
    const auto replicas = top.all(WLB_A_REPLICA);
    if (!top.good() || replicas.empty()) {
        CHECK(!got);
        return;
    }
    if (!got)
        return;
    CHECK(!got->origin.empty());
    CHECK(got->configured == top.has(WLB_A_CONFIGURED));
    const auto sent = encode_replicas(42, got->origin, {got->replica});
    CHECK(sent);
    const auto again = decode_replica(nlmsg_hdr(sent->get()));
    CHECK(again && again->origin == got->origin && again->replica == got->replica);
    CHECK(!again->configured && again->clones == 0);
}

// The kernel's errnos are small; libnl takes no error message that is shorter.
constexpr std::int32_t most_errno = 4095;

void refusal(Bytes body, std::uint16_t flags)
{
    if (body.size() < sizeof(nlmsgerr))
        return;
    std::int32_t code = 0;
    std::memcpy(&code, body.data(), sizeof(code));
    code = -static_cast<std::int32_t>(static_cast<std::uint32_t>(code) % (most_errno + 1));
    std::memcpy(body.data(), &code, sizeof(code));

    // a request of each kind of object, to be pointed into
    Config config;
    config.client_gateway.services = {
        {"web", {80}, false, {*Prefix::parse("10.0.0.0/8")}, false, {}, seconds(1)}};
    Origin origin;
    origin.name = "www";
    origin.servers = {*Address::parse("203.0.113.10")};
    origin.ports = {80};
    origin.replicas = {{*Address::parse("198.51.100.7"), Via::gre, microseconds(0)}};
    config.origins = {origin};
    config.served = {{"s",
                      origin.servers,
                      {80},
                      *Address::parse("10.0.0.1"),
                      Return::spoof,
                      Via::ipip,
                      true,
                      {Prefix{}}}};
    const auto request = encode_config(42, config, WLB_ROLE_ALL, std::nullopt);
    // nothing behind its end may be read
    const auto *const first = reinterpret_cast<const std::uint8_t *>(nlmsg_hdr(request->get()));
    const Sent exact(42, 0,
                     Bytes(first + sizeof(nlmsghdr), first + nlmsg_hdr(request->get())->nlmsg_len));

    const Sent error(NLMSG_ERROR, flags, body);
    const auto explained = decode_refusal(error.get(), exact.get());
    CHECK(explained.code == -code);
    CHECK(!explained.message.empty());
    CHECK(decode_refusal(error.get(), nullptr).code == -code);
}

void dump_end(Bytes body, std::uint16_t flags)
{
    std::int32_t code = 0;
    if (body.size() >= sizeof(code)) {
        std::memcpy(&code, body.data(), sizeof(code));
        code %= most_errno + 1;
        std::memcpy(body.data(), &code, sizeof(code));
    }
    const auto explained = decode_dump_end(Sent(NLMSG_DONE, flags, body).get());
    CHECK(explained.code == (code < 0 ? -code : 0));
    CHECK(explained.message.empty() == (code >= 0));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    if (size == 0)
        return 0;
    const Bytes body(data + 1, data + size);
    const Sent message(42, 0, body);
    const auto flags = static_cast<std::uint16_t>((data[0] & 0x80 ? NLM_F_CAPPED : 0) |
                                                  (data[0] & 0x40 ? NLM_F_ACK_TLVS : 0));
    switch (data[0] % 8) {
    case 0:
        config(message.get(), body);
        break;
    case 1:
        flow(message.get(), body);
        break;
    case 2:
        race(message.get(), body);
        break;
    case 3:
        stats(message.get(), body);
        break;
    case 4:
        if (data[0] >> 6 == 1)
            learned(message.get(), body);
        else if (data[0] >> 6 == 2)
            replica(message.get(), body);
        else
            count(message.get(), body);
        break;
    case 5:
        refusal(body, flags);
        break;
    case 6:
        dump_end(body, flags);
        break;
    default:
        switch (data[0] >> 6) {
        case 0:
            assignments(message.get(), body);
            break;
        case 1:
            groups(message.get(), body);
            break;
        case 2:
            cache(message.get(), body);
            break;
        default:
            bypass(message.get(), body);
            break;
        }
        break;
    }
    return 0;
}
