// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/toml_registry.h"

#include <array>
#include <charconv>

#include "wlb/probe_config.h"
#include "wlb/toml_text.h"

namespace wlb {

using namespace toml_text;

namespace {

constexpr std::size_t most_gateways = 16;
constexpr double least_load = 0.01; // hundredths are what the system tells
constexpr double most_load = 1e6;
constexpr double least_share = 0.01;

const std::string registry_example =
    "{ key-file = \"/etc/wlb/www.key\", listen = \"203.0.113.1\", replicas = \"any\" }";

void read_number(TomlWalk &walk, const toml::table &table, const std::string &path,
                 const std::string &key, std::optional<double> &target)
{
    const auto *node = walk.find(table, path, key);
    if (node == nullptr)
        return;
    if (const auto *whole = node->as_integer())
        target = static_cast<double>(whole->get());
    else if (const auto *number = node->as_floating_point())
        target = number->get();
    else
        walk.wrong_type(path + "." + key, *node, "a number");
}

void read_busy(TomlWalk &walk, const toml::table &parent, const std::string &parent_path,
               BusyLimits &busy)
{
    const auto *table = walk.inner(parent, parent_path, "busy", "{ accept-queue = 0.8 }");
    if (table == nullptr)
        return;
    const auto path = parent_path + ".busy";
    walk.keys(*table, path, {"accept-queue", "syn-queue", "load", "connections-per-second"});
    read_number(walk, *table, path, "accept-queue", busy.accept_queue);
    read_number(walk, *table, path, "syn-queue", busy.syn_queue);
    read_number(walk, *table, path, "load", busy.load);
    std::int64_t rate = 0;
    walk.integer(*table, path, "connections-per-second", rate);
    if (table->contains("connections-per-second"))
        busy.connections_per_second = rate;
    if (table->empty())
        walk.fail(path, *table,
                  "must have one of accept-queue, syn-queue, load and connections-per-second");
}

// The shortest that is read back as the same.
std::string fraction(double value)
{
    std::array<char, 32> digits{};
    const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    return {digits.data(), result.ptr};
}

void check_share(Checks &checks, const Subject &subject, const std::string &key,
                 const std::optional<double> &share)
{
    if (share && !(*share >= least_share && *share <= 1))
        checks.add(subject, key, key + " must be 0.01..1, a share of the queue");
}

void check_busy(Checks &checks, const Subject &subject, const BusyLimits &busy)
{
    check_share(checks, subject, "busy.accept-queue", busy.accept_queue);
    check_share(checks, subject, "busy.syn-queue", busy.syn_queue);
    if (busy.load && !(*busy.load >= least_load && *busy.load <= most_load))
        checks.add(subject, "busy.load", "busy.load must be 0.01..1000000");
    if (busy.connections_per_second)
        checks.range(subject, "busy.connections-per-second", *busy.connections_per_second, 1,
                     100000000);
}

} // namespace

void read_registry(TomlWalk &walk, const toml::table &origin, const std::string &parent_path,
                   std::optional<Registry> &target)
{
    const auto *table = walk.inner(origin, parent_path, "registry", registry_example);
    if (table == nullptr)
        return;
    const auto path = parent_path + ".registry";
    auto &registry = target.emplace();
    walk.keys(*table, path, {"key-file", "listen", "replicas", "interval", "max"});
    walk.string(*table, path, "key-file", registry.key_file);
    walk.value(*table, path, "listen", &parse_endpoint, registry.listen);
    walk.texts_or_any(*table, path, "replicas", "a list of prefixes", &Prefix::parse,
                      registry.replicas, registry.any_replica);
    walk.whole_milliseconds(*table, path, "interval", registry.interval);
    walk.integer(*table, path, "max", registry.max);
}

void read_registration(TomlWalk &walk, const toml::table &served, const std::string &path,
                       Registration &registration)
{
    walk.texts(served, path, "gateways", "a list of addresses, each maybe with a port", false,
               &parse_endpoint, registration.gateways);
    walk.string(served, path, "key-file", registration.key_file);
    walk.integer(served, path, "weight", registration.weight);
    read_probe(walk, served, path, "{ tcp = \"127.0.0.1:80\" }", registration.probe);
    read_busy(walk, served, path, registration.busy);
    if (walk.has_failed(path + ".gateways"))
        for (const auto *key : {".key-file", ".weight"})
            walk.excuse(path + key); // gateways are there, but not read
}

void check_registry(Checks &checks, const Subject &subject, const Origin &origin,
                    const std::vector<Origin> &others)
{
    if (!origin.registry)
        return;
    const auto &registry = *origin.registry;
    if (registry.key_file.empty())
        checks.add(subject, "registry.key-file",
                   "registry.key-file is missing: the file of the keys that replicas sign with");
    else
        checks.absolute(subject, "registry.key-file", registry.key_file);
    if (!registry.listen) {
        checks.add(subject, "registry.listen",
                   "registry.listen is missing: this gateway's address that replicas know, as in "
                   "\"203.0.113.1\" or \"203.0.113.1:2061\"");
    } else {
        checks.host(subject, "registry.listen", "registry.listen", registry.listen->address);
        if (!origin.servers.empty())
            checks.family(subject, "registry.listen", "registry.listen", registry.listen->address,
                          "server", origin.servers.front());
    }
    checks.prefixes(subject, "registry.replicas", registry.replicas);
    if (!registry.any_replica && registry.replicas.empty())
        checks.add(subject, "registry.replicas",
                   "registry.replicas is missing: who may register, a list of prefixes; to let "
                   "everybody who has the key say \"any\"");
    checks.period(subject, "registry.interval", registry.interval, milliseconds(100), seconds(60));
    checks.range(subject, "registry.max", registry.max, 1, WLB_MAX_REPLICAS);
    for (const auto &other : others) {
        if (&other == &origin)
            break;
        if (other.registry && other.registry->listen == registry.listen &&
            other.registry->key_file == registry.key_file &&
            other.registry->interval != registry.interval)
            checks.add(subject, "registry.interval",
                       "registry.interval is " + format_duration(registry.interval) +
                           "; with the listen and key-file of origin \"" + other.name +
                           "\" it must be that one's, " +
                           format_duration(other.registry->interval));
    }
}

void check_registration(Checks &checks, const Subject &subject, const Served &served)
{
    const auto &registration = served.registration;
    const auto &gateways = registration.gateways;
    checks.limit(subject, "gateways", gateways, most_gateways);
    for (std::size_t i = 0; i < gateways.size(); ++i) {
        const auto key = at("gateways", i);
        checks.host(subject, key, "gateways", gateways[i].address);
        if (served.local)
            checks.family(subject, key, "gateways", gateways[i].address, "local", *served.local);
        for (std::size_t j = 0; j < i; ++j)
            if (gateways[j].address == gateways[i].address)
                checks.add(subject, key,
                           "gateways: " + gateways[i].address.text() + " is given twice");
    }
    if (!gateways.empty() && registration.key_file.empty())
        checks.add(subject, "key-file",
                   "key-file is missing: the file of the keys that gateways sign with");
    if (!registration.key_file.empty()) {
        checks.absolute(subject, "key-file", registration.key_file);
        if (gateways.empty())
            checks.add(subject, "key-file", "key-file: only with gateways");
    }
    if (registration.weight != Registration().weight && gateways.empty())
        checks.add(subject, "weight", "weight: only with gateways");
    checks.range(subject, "weight", registration.weight, 0, 65535);
    if (registration.probe)
        check_probe(checks, subject, *registration.probe);
    check_busy(checks, subject, registration.busy);
}

std::string registry_toml(const std::optional<Registry> &registry)
{
    if (!registry)
        return "";
    return line(
        "registry",
        Inner()
            .add("key-file", quote(registry->key_file))
            .add("listen", registry->listen, quoted_text<Endpoint>)
            .add("replicas", registry->any_replica ? quote("any") : prefixes(registry->replicas))
            .add("interval", duration(registry->interval))
            .add("max", number(registry->max))
            .text());
}

std::string registration_toml(const Registration &registration)
{
    std::string out;
    if (!registration.gateways.empty())
        out += line("gateways", list(registration.gateways, quoted_text<Endpoint>)) +
               line("key-file", quote(registration.key_file)) +
               line("weight", number(registration.weight));
    if (registration.probe)
        out += line("probe", probe_toml(*registration.probe));
    const auto &busy = registration.busy;
    if (busy != BusyLimits())
        out += line("busy", Inner()
                                .add("accept-queue", busy.accept_queue, fraction)
                                .add("syn-queue", busy.syn_queue, fraction)
                                .add("load", busy.load, fraction)
                                .add("connections-per-second", busy.connections_per_second, number)
                                .text());
    return out;
}

std::string registry_defaults()
{
    const Registry registry;
    return "# replicas may register themselves, by wlb-gatewayd; key-file, listen and replicas "
           "(prefixes,\n"
           "# or \"any\") are required; interval: 100ms..60s between two questions; max: at most "
           "so "
           "many\n"
           "# registry = { key-file = \"/etc/wlb/www.key\", listen = \"203.0.113.1\", replicas = "
           "\"any\", interval = " +
           duration(registry.interval) + ", max = " + number(registry.max) + " }\n";
}

std::string registration_defaults()
{
    return "# the rest is wlb-replicad's: gateways to register at, port 2061 if none is said\n" +
           off("gateways", "[]") +
           "# with gateways required: lines of a number and a secret, the first signs\n"
           "# key-file = \"/etc/wlb/www.key\"\n"
           "# of more replicas than a gateway takes the heaviest\n" +
           off("weight", number(Registration().weight)) +
           "# whether the server works: http, tcp or command; absent: it always does\n"
           "# probe = { tcp = \"127.0.0.1:80\", interval = \"2s\", timeout = \"1s\", rise = 2, "
           "fall "
           "= 3 }\n"
           "# at any of these it is silent until all are below 80 %: shares of the listeners' "
           "queues, load\n"
           "# average, connections accepted by this host\n"
           "# busy = { accept-queue = 0.8, syn-queue = 0.8, load = 8.0, connections-per-second = "
           "2000 }\n";
}

} // namespace wlb
