// SPDX-License-Identifier: GPL-2.0-only
// What becomes of a packet, role by role, by the rules that are in force. What the kernel
// decides by code that it shares (include/wlb) is decided by that code.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wlb/kernel.h"
#include "wlb/output.h"
#include "wlbctl/run.h"

namespace wlb::cli {

struct Packet {
    enum Kind : std::uint8_t { syn, tagged_syn, segment, other };
    Kind kind = syn;
    std::uint8_t protocol = 0;
    Address source;
    Address destination;
    std::optional<std::uint16_t> sport; // absent: any, or it has none
    std::optional<std::uint16_t> dport;
    std::optional<Address> from; // who has sent it to this host in GRE, IPIP or by L2
    std::string in;              // interface; "": this host sends it
    std::string out;             // interface; "": see `unrouted`
    bool local = false;          // for this host
    std::string unrouted;        // why no route is known

    [[nodiscard]] bool is_syn() const { return kind == syn || kind == tagged_syn; }
    [[nodiscard]] bool is_forwarded() const { return !in.empty() && !out.empty(); }
};

// What the kernel reports in the packet's network namespace.
struct InForce {
    Running running;
    Stats stats;
    std::vector<Flow> flows; // between the packet's ends
    std::vector<Learned> learned;
    std::vector<ReplicaInForce> replicas;
    RunningGroups groups;
    std::vector<RunningAssignment> assignments;
    RunningDoors doors;
    std::vector<Bypass> bypasses;
    std::vector<RunningProcessRule> process;
    Json gatewayd; // what wlb-gatewayd shows, or null
};

// One role's say.
struct Part {
    explicit Part(const char *name) : role(name) {}

    void step(const std::string &rule, const std::string &says) { steps.emplace_back(rule, says); }
    // Returns itself, for the last line of who has decided.
    Part &decide(const std::string &word, const std::string &why);

    std::string role;
    std::vector<std::pair<std::string, std::string>> steps;
    std::string verdict; // one word
    std::string text;    // the verdict for people
    Json facts = Json::object();
    bool ends = false; // no other role sees the packet
};

using Run = std::function<Result<std::string>(const Words &words)>;

Part explain_client_gateway(const Packet &packet, const InForce &kernel);
Part explain_server_gateway(const Packet &packet, const InForce &kernel);
Part explain_replica(const Packet &packet, const InForce &kernel, const Run &run);
Part explain_cache_router(const Packet &packet, const InForce &kernel, const Run &run);
Part explain_cache(const Packet &packet, const InForce &kernel, const Run &run);
Part explain_process(const Packet &packet, const InForce &kernel);

// Every role that is on, in the order in which the packet meets them.
std::vector<Part> explain(const Packet &packet, const InForce &kernel, const Run &run);

// What `ip route get` tells of the way to an address; null if it refuses.
Json route_to(const Run &run, const Address &address);
std::string protocol_name(std::uint8_t protocol);

} // namespace wlb::cli
