// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/flow_file.h"

#include <linux/wlb.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "wlb/config.h"
#include "wlb/output.h"

namespace wlb {

namespace {

constexpr int version = 1;

struct Flag {
    std::uint8_t bit;
    const char *name;
};

constexpr std::array<Flag, 5> flags{{{WLB_FLOW_F_FIN_CLIENT, "fin-client"},
                                     {WLB_FLOW_F_FIN_SERVER, "fin-server"},
                                     {WLB_FLOW_F_RST, "rst"},
                                     {WLB_FLOW_F_REOPEN, "reopen"},
                                     {WLB_FLOW_F_ASKED, "asked"}}};

struct State {
    std::uint8_t state;
    const char *name;
};

constexpr std::array<State, 3> states{
    {{WLB_FLOW_WON, "won"}, {WLB_FLOW_TOMBSTONE, "tombstone"}, {WLB_FLOW_CLOSING, "closing"}}};

Json to_json(std::uint8_t set)
{
    auto names = Json::array();
    for (const auto &flag : flags)
        if ((set & flag.bit) != 0)
            names.push_back(flag.name);
    return names;
}

// The members of one object, each of which must be known and be taken once; what is
// wrong with the first that is.
class Members {
public:
    explicit Members(const Json &object) : object_(object) {}

    // Null where it may be absent.
    const Json *take(const char *name, bool required)
    {
        const auto found = object_.find(name);
        known_.emplace_back(name);
        const bool present = found != object_.end() && !found->is_null();
        if (!present && required)
            complain(name, "is missing");
        return present ? &*found : nullptr;
    }

    template <class T> T number(const char *name, T least = 0)
    {
        constexpr auto most = std::numeric_limits<T>::max();
        const auto *value = take(name, true);
        if (value == nullptr)
            return least;
        if (value->is_number_unsigned() && value->get<std::uint64_t>() >= least &&
            value->get<std::uint64_t>() <= most)
            return value->get<T>();
        complain(name, "must be a whole number of " + std::to_string(least) + ".." +
                           std::to_string(most));
        return least;
    }

    std::optional<std::string> string(const char *name, bool required)
    {
        const auto *value = take(name, required);
        if (value == nullptr)
            return std::nullopt;
        if (value->is_string())
            return value->get<std::string>();
        complain(name, "must be a string");
        return std::nullopt;
    }

    template <class T>
    std::optional<T> parsed(const char *name, bool required, Result<T> (*parse)(std::string_view))
    {
        const auto text = string(name, required);
        if (!text)
            return std::nullopt;
        const auto result = parse(*text);
        if (result)
            return *result;
        complain(name, result.error().message);
        return std::nullopt;
    }

    Address address(const char *name)
    {
        return parsed(name, true, &Address::parse).value_or(Address());
    }

    void none(const char *name, const char *why)
    {
        if (take(name, false) != nullptr)
            complain(name, why);
    }

    // Whatever was not asked for is a mistake, or of a newer version.
    void nothing_else()
    {
        for (const auto &[name, value] : object_.items())
            if (std::find(known_.begin(), known_.end(), name) == known_.end())
                complain(name, "is not known");
    }

    void complain(const std::string &name, const std::string &message)
    {
        if (complaint_.empty())
            complaint_ = name + ": " + message;
    }
    [[nodiscard]] const std::string &complaint() const { return complaint_; }

private:
    const Json &object_;
    std::vector<std::string> known_;
    std::string complaint_;
};

Result<std::uint8_t> parse_state(std::string_view text)
{
    for (const auto &state : states)
        if (text == state.name)
            return state.state;
    return Error{"\"" + std::string(text) + "\" must be \"won\", \"tombstone\" or \"closing\""};
}

std::uint8_t read_flags(Members &in)
{
    std::uint8_t set = 0;
    const auto *const list = in.take("flags", true);
    if (list == nullptr)
        return set;
    bool good = list->is_array();
    for (std::size_t i = 0; good && i < list->size(); ++i) {
        const auto found = std::find_if(flags.begin(), flags.end(),
                                        [&](const auto &flag) { return list->at(i) == flag.name; });
        good = found != flags.end();
        if (good)
            set = static_cast<std::uint8_t>(set | found->bit);
    }
    if (!good)
        in.complain("flags", "must be a list of \"fin-client\", \"fin-server\", \"rst\", "
                             "\"reopen\", \"asked\"");
    return set;
}

void read_carried(Members &in, Flow &flow)
{
    const auto mode = in.parsed("return", true, &parse_return).value_or(Return::nat);
    flow.return_mode = static_cast<std::uint8_t>(mode);
    if (mode == Return::nat)
        in.none("via", "must be null with \"return\": \"nat\"");
    else if (const auto via = in.parsed("via", true, &parse_via))
        flow.via = static_cast<std::uint8_t>(*via);
    auto &track = flow.track.emplace();
    track.client_end = in.number<std::uint32_t>("client_end");
    track.client_ack = in.number<std::uint32_t>("client_ack");
    track.server_end = in.number<std::uint32_t>("server_end");
    track.server_ack = in.number<std::uint32_t>("server_ack");
    track.flags = read_flags(in);
    track.new_isn = in.number<std::uint16_t>("new_isn");
}

Result<Flow> read_flow(const Json &object)
{
    Members in(object);
    Flow flow;
    flow.tuple.client = in.address("client");
    flow.tuple.client_port = in.number<std::uint16_t>("client_port", 1);
    flow.tuple.server = in.address("server");
    flow.tuple.server_port = in.number<std::uint16_t>("server_port", 1);
    flow.winner = in.address("winner");
    flow.state = in.parsed("state", true, &parse_state).value_or(std::uint8_t{WLB_FLOW_WON});
    flow.expires_ms = in.number<std::uint32_t>("expires_ms", 1);
    flow.isn = in.number<std::uint32_t>("isn");
    if (flow.state != WLB_FLOW_TOMBSTONE) {
        read_carried(in, flow);
    } else {
        in.none("return", "must be null of a tombstone");
        in.none("via", "must be null of a tombstone");
    }
    in.nothing_else();
    if (!in.complaint().empty())
        return Error{in.complaint()};
    return flow;
}

// Takes flows out of the document as they are read: it would need ten times their memory.
class Taker {
public:
    bool operator()(int depth, Json::parse_event_t event, Json &value)
    {
        if (depth == 1 && event == Json::parse_event_t::key)
            in_flows_ = value == "flows";
        if (depth != 2 || event != Json::parse_event_t::object_end || !in_flows_)
            return true;
        const auto flow = error_.empty() ? read_flow(value) : Result<Flow>(Flow{});
        if (!flow)
            error_ = "flows[" + std::to_string(flows_.size()) + "]: " + flow.error().message;
        else if (error_.empty())
            flows_.push_back(*flow);
        return false;
    }

    Result<std::vector<Flow>> result(const Json &rest)
    {
        if (!rest.is_object())
            return Error{"must be an object of \"version\" and \"flows\""};
        Members in(rest);
        if (in.number<std::uint32_t>("version") != version && in.complaint().empty())
            in.complain("version", "this wlbctl reads version " + std::to_string(version));
        const auto *const list = in.take("flows", true);
        if (list != nullptr && (!list->is_array() || !list->empty()))
            in.complain("flows", "must be a list of objects");
        in.nothing_else();
        if (!in.complaint().empty())
            return Error{in.complaint()};
        if (!error_.empty())
            return Error{error_};
        return std::move(flows_);
    }

private:
    bool in_flows_ = false;
    std::vector<Flow> flows_;
    std::string error_;
};

} // namespace

void FlowFile::add(const Flow &flow)
{
    if (flow.state == WLB_FLOW_RACING)
        return;
    auto object = wlb::to_json(flow);
    if (flow.track) {
        object["client_end"] = flow.track->client_end;
        object["client_ack"] = flow.track->client_ack;
        object["server_end"] = flow.track->server_end;
        object["server_ack"] = flow.track->server_ack;
        object["flags"] = to_json(flow.track->flags);
        object["new_isn"] = flow.track->new_isn;
    }
    lines_ += (lines_.empty() ? "\n" : ",\n") + object.dump();
}

std::string FlowFile::text() &&
{
    lines_.insert(0, "{\"version\":" + std::to_string(version) + ",\"flows\":[");
    return std::move(lines_) + "\n]}\n";
}

Result<std::vector<Flow>> parse_flows(std::string_view text)
{
    Taker taker;
    try {
        const auto rest = Json::parse(text, [&](int depth, Json::parse_event_t event, Json &value) {
            return taker(depth, event, value);
        });
        return taker.result(rest);
    } catch (const Json::exception &error) {
        // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
        const std::string what = error.what();
        const auto end = what.find("] ");
        return Error{end == std::string::npos ? what : what.substr(end + 2)};
    }
}

} // namespace wlb
