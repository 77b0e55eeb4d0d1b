// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "daemon/secret_file.h"
#include "gatewayd/realm.h"
#include "sample.h"
#include "wlb/diff.h"
#include "wlb/toml_reader.h"
#include "wlb/toml_writer.h"

using namespace wlb;
using test::address;

namespace {

std::string origin(const std::string &registry, const std::string &more = "")
{
    return "[[server-gateway.origin]]\nname = \"www\"\nserver = \"203.0.113.10\"\nports = [80]\n" +
           more + "registry = " + registry + "\n";
}

std::string replica(const std::string &keys)
{
    return "[[replica.origin]]\nserver = \"203.0.113.10\"\nports = [80]\n"
           "local = \"198.51.100.7\"\nclones-from = [\"203.0.113.1\"]\n" +
           keys + "\n";
}

const std::string good_registry =
    R"({ key-file = "/k", listen = "203.0.113.1", replicas = ["198.51.100.0/24"] })";
const std::string good_replica = "gateways = [\"203.0.113.1\"]\nkey-file = \"/k\"\n";

void refused(const std::string &text, std::size_t line, const std::string &words)
{
    INFO(text);
    const auto parsed = parse_config(text);
    REQUIRE(parsed.errors.size() == 1);
    CHECK(parsed.errors[0].line == line);
    CHECK(parsed.errors[0].column >= 1);
    INFO(parsed.errors[0].message);
    CHECK(parsed.errors[0].message.find(words) != std::string::npos);
}

void refused_registry(const std::string &registry, const std::string &words)
{
    refused(origin(registry), 5, words);
}

void refused_replica(const std::string &keys, const std::string &words)
{
    refused(replica(keys), 6, words);
}

// A file of keys that is gone at the end.
class KeyFile {
public:
    explicit KeyFile(const std::string &text)
    {
        const int fd = mkstemp(path_.data());
        REQUIRE(fd >= 0);
        REQUIRE(write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        close(fd);
    }
    KeyFile(const KeyFile &) = delete;
    KeyFile &operator=(const KeyFile &) = delete;
    ~KeyFile() { unlink(path_.c_str()); }
    [[nodiscard]] const std::string &path() const { return path_; }

private:
    std::string path_ = "keys-XXXXXX";
};

} // namespace

TEST_CASE("registry: its configuration is read and written", "[config][registry]")
{
    const auto text =
        origin(
            R"({ key-file = "/etc/wlb/www.key", listen = "203.0.113.1:5000", replicas = "any", interval = "250ms", max = 7 })") +
        "\n" +
        replica("gateways = [\"203.0.113.1:5000\", \"203.0.113.2\"]\n"
                "key-file = \"/etc/wlb/www.key\"\nweight = 9\n"
                "probe = { tcp = \"198.51.100.7:80\", interval = \"1s\", timeout = \"500ms\", "
                "rise = 4, fall = 5 }\n"
                "busy = { accept-queue = 0.75, syn-queue = 1, load = 8, connections-per-second = "
                "2000 }\n");
    const auto parsed = parse_config(text);
    REQUIRE(parsed.errors.empty());
    const auto &registry = parsed.config.origins.at(0).registry;
    REQUIRE(registry);
    CHECK(registry->key_file == "/etc/wlb/www.key");
    CHECK(registry->listen == Endpoint{address("203.0.113.1"), 5000});
    CHECK(registry->any_replica);
    CHECK(registry->interval == milliseconds(250));
    CHECK(registry->max == 7);
    const auto &own = parsed.config.served.at(0).registration;
    CHECK(own.gateways ==
          std::vector<Endpoint>{{address("203.0.113.1"), 5000}, {address("203.0.113.2"), 2061}});
    CHECK(own.weight == 9);
    REQUIRE(own.probe);
    CHECK(own.probe->rise == 4);
    CHECK(own.busy.accept_queue == 0.75);
    CHECK(own.busy.syn_queue == 1.0);
    CHECK(own.busy.load == 8.0);
    CHECK(own.busy.connections_per_second == 2000);
    CHECK(own.wanted());
    const auto again = parse_config(to_toml(parsed.config));
    REQUIRE(again.errors.empty());
    CHECK(again.config == parsed.config);
    // The kernel has nothing to do with it.
    auto without = parsed.config;
    without.origins[0].registry.reset();
    without.served[0].registration = {};
    CHECK_FALSE(without == parsed.config);
    CHECK(diff(without, parsed.config).empty());
    CHECK_FALSE(without.served[0].registration.wanted());
}

TEST_CASE("registry: defaults", "[config][registry]")
{
    const auto parsed = parse_config(origin(good_registry) + replica(good_replica));
    REQUIRE(parsed.errors.empty());
    const auto &registry = *parsed.config.origins.at(0).registry;
    CHECK(registry.listen == Endpoint{address("203.0.113.1"), 2061});
    CHECK(registry.interval == milliseconds(1000));
    CHECK(registry.max == 32);
    CHECK(parsed.config.served.at(0).registration.weight == 1);
    const auto six = parse_endpoint("2001:db8::1");
    REQUIRE(six);
    CHECK(six->text() == "[2001:db8::1]:2061");
    CHECK(parse_endpoint("[2001:db8::1]:7")->port == 7);
}

TEST_CASE("registry: what is refused, and where", "[config][registry]")
{
    refused_registry("true", "must be a table");
    refused_registry(R"({ listen = "203.0.113.1", replicas = "any" })", "key-file is missing");
    refused_registry(R"({ key-file = "k", listen = "203.0.113.1", replicas = "any" })", "key-file");
    refused_registry(R"({ key-file = "/k", replicas = "any" })", "listen is missing");
    refused_registry(R"({ key-file = "/k", listen = "x", replicas = "any" })",
                     "must be an address");
    refused_registry(R"({ key-file = "/k", listen = "2001:db8::1", replicas = "any" })",
                     "must be IPv4 as the server");
    refused_registry(R"({ key-file = "/k", listen = "224.0.0.1", replicas = "any" })", "listen");
    refused_registry(R"({ key-file = "/k", listen = "203.0.113.1" })", "replicas is missing");
    refused_registry(R"({ key-file = "/k", listen = "203.0.113.1", replicas = "all" })", "\"any\"");
    refused_registry(
        R"({ key-file = "/k", listen = "203.0.113.1", replicas = ["198.51.100.1/24"] })",
        "198.51.100.1/24");
    refused_registry(
        R"({ key-file = "/k", listen = "203.0.113.1", replicas = "any", interval = "99ms" })",
        "interval");
    refused_registry(R"({ key-file = "/k", listen = "203.0.113.1", replicas = "any", max = 33 })",
                     "max");
    refused_registry(R"({ key-file = "/k", listen = "203.0.113.1", replicas = "any", port = 1 })",
                     "port");
    refused(origin(good_registry) +
                "[[server-gateway.origin]]\nname = \"b\"\nserver = \"203.0.113.11\"\n"
                "ports = [80]\nregistry = { key-file = \"/k\", listen = \"203.0.113.1\", "
                "replicas = \"any\", interval = \"2s\" }\n",
            10, "of origin \"www\" it must be that one's, 1s");

    refused(replica("gateways = [\"203.0.113.1\"]"), 1, "key-file is missing");
    refused_replica("key-file = \"/k\"", "only with gateways");
    refused_replica("weight = 2", "only with gateways");
    refused_replica("gateways = \"203.0.113.1\"", "a list of addresses");
    refused_replica("gateways = [\"host\"]\nkey-file = \"/k\"", "must be an address");
    refused_replica("gateways = [\"2001:db8::1\"]\nkey-file = \"/k\"", "must be IPv4 as the local");
    refused_replica("gateways = [\"203.0.113.1\", \"203.0.113.1:7\"]\nkey-file = \"/k\"",
                    "given twice");
    refused_replica("weight = 65536\n" + good_replica, "65535");
    refused_replica("busy = { }", "must have one of");
    refused_replica("busy = { accept-queue = 0 }", "0.01..1");
    refused_replica("busy = { syn-queue = 1.1 }", "0.01..1");
    refused_replica("busy = { load = 0 }", "load");
    refused_replica("busy = { load = \"8\" }", "a number");
    refused_replica("busy = { connections-per-second = 0 }", "connections-per-second");
    refused_replica("busy = { cpu = 1 }", "cpu");
    refused_replica("probe = { interval = \"1s\" }", "must have one of http, tcp and command");
    refused_replica("probe = { tcp = \"127.0.0.1:80\", rise = 0 }", "rise");
    const std::string many = [] {
        std::string list;
        for (int i = 1; i <= 17; ++i)
            list += "\"203.0.113." + std::to_string(i + 20) + "\", ";
        return list;
    }();
    refused_replica("gateways = [" + many + "]\nkey-file = \"/k\"", "more than 16");
}

TEST_CASE("registry: a file of keys is nobody else's", "[registry]")
{
    const KeyFile file("1 sixteen-octets-or-more\n");
    const auto keys = daemon::read_keys(file.path());
    REQUIRE(keys);
    CHECK(keys->first().id == 1);
    for (const auto mode : {0604, 0602, 0601, 0620, 0610}) {
        REQUIRE(chmod(file.path().c_str(), static_cast<mode_t>(mode)) == 0);
        const auto open = daemon::read_keys(file.path());
        REQUIRE_FALSE(open);
        CHECK(open.error().message.find(": has mode 06") != std::string::npos);
        CHECK(open.error().message.find("must be 0600 or 0640") != std::string::npos);
    }
    REQUIRE(chmod(file.path().c_str(), 0640) == 0);
    CHECK(daemon::read_keys(file.path()));
    const auto device = daemon::read_keys("/dev/null");
    REQUIRE_FALSE(device);
    CHECK(device.error().message == "/dev/null: is no regular file");
    const std::string fifo = "keys.fifo";
    REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
    CHECK_FALSE(daemon::read_keys(fifo)); // and does not wait for who writes
    unlink(fifo.c_str());
    if (geteuid() == 0) {
        REQUIRE(chown(file.path().c_str(), 65534, 0) == 0);
        const auto other = daemon::read_keys(file.path());
        REQUIRE_FALSE(other);
        CHECK(other.error().message.find("belongs to user 65534; it must be root's") !=
              std::string::npos);
    }
    const auto absent = daemon::read_keys("/nonexistent/key");
    REQUIRE_FALSE(absent);
    CHECK(absent.error().message.find("No such file") != std::string::npos);
    const KeyFile broken("secret\n");
    const auto wrong = daemon::read_keys(broken.path());
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().message.find("line 1: must begin") != std::string::npos);
    CHECK(wrong.error().message.find("secret\n") == std::string::npos);
}

TEST_CASE("registry: origins of one place and file of keys are one realm", "[registry]")
{
    const KeyFile file("1 sixteen-octets-or-more\n");
    const KeyFile other("1 sixteen-octets-or-else\n");
    Config config;
    for (const auto *name : {"a", "b", "c", "d"}) {
        Origin origin;
        origin.name = name;
        origin.servers = {address("203.0.113.10")};
        origin.ports = {80};
        origin.registry.emplace();
        origin.registry->listen = Endpoint{address("203.0.113.1"), 2061};
        origin.registry->key_file = file.path();
        config.origins.push_back(origin);
    }
    config.origins[2].registry->key_file = other.path();
    config.origins[3].registry.reset();
    config.origins[1].registry->interval = milliseconds(200);
    config.origins[0].registry->interval = milliseconds(200);
    const auto realms = gatewayd::realms_of(config);
    REQUIRE(realms);
    REQUIRE(realms->size() == 2);
    const auto &first = realms->at({Endpoint{address("203.0.113.1"), 2061}, file.path()});
    CHECK(first.origins.size() == 2);
    CHECK(first.interval == milliseconds(200));
    config.origins[1].registry->key_file = "/nonexistent/key";
    const auto missing = gatewayd::realms_of(config);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().message.find("origin b: /nonexistent/key") == 0);
}
