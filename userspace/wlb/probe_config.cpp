// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/probe_config.h"

#include <algorithm>

#include "wlb/toml_text.h"

namespace wlb {

namespace {

void read_http(TomlWalk &walk, const toml::table &table, const std::string &path, Probe &probe)
{
    std::optional<HttpProbe> question;
    walk.value(table, path, "http", &parse_http_probe, question);
    auto http = question.value_or(HttpProbe());
    walk.numbers<std::uint16_t>(table, path, "status", 100, 599, http.status);
    const auto *status = table.get_as<toml::array>("status");
    if (status != nullptr && status->empty())
        walk.fail(path + ".status", *status,
                  "must have at least one item; without the key any below 500 is good");
    probe.question = http;
}

void check_command(Checks &checks, const Subject &subject,
                   const std::vector<std::string> &arguments)
{
    if (arguments.empty())
        checks.add(subject, "probe.command",
                   "probe.command must have at least one item, a program's path");
    else if (arguments.front().empty() || arguments.front().front() != '/')
        checks.add(subject, at("probe.command", 0),
                   "probe.command: \"" + arguments.front() + "\" must begin with a slash");
    for (std::size_t i = 0; i < arguments.size(); ++i)
        if (arguments[i].find('\0') != std::string::npos)
            checks.add(subject, at("probe.command", i),
                       "probe.command: a program is told no zero octets");
}

} // namespace

void read_probe(TomlWalk &walk, const toml::table &parent, const std::string &parent_path,
                const std::string &example, std::optional<Probe> &target)
{
    const auto path = parent_path + ".probe";
    const auto *table = walk.inner(parent, parent_path, "probe", example);
    if (table == nullptr)
        return;
    auto &probe = target.emplace();
    walk.keys(*table, path,
              {"http", "status", "tcp", "command", "interval", "timeout", "rise", "fall"});
    walk.whole_milliseconds(*table, path, "interval", probe.interval);
    probe.timeout = std::min(probe.timeout, probe.interval);
    walk.whole_milliseconds(*table, path, "timeout", probe.timeout);
    if (!table->contains("timeout"))
        walk.excuse(path + ".timeout"); // it can only be the interval that is wrong
    walk.integer(*table, path, "rise", probe.rise);
    walk.integer(*table, path, "fall", probe.fall);
    const bool http = table->contains("http");
    const bool tcp = table->contains("tcp");
    const bool command = table->contains("command");
    if (int{http} + int{tcp} + int{command} != 1) {
        walk.fail(path, *table, "must have one of http, tcp and command, as in " + example);
        walk.excuse(path + ".http");
        return;
    }
    if (http) {
        read_http(walk, *table, path, probe);
    } else if (tcp) {
        std::optional<TcpProbe> question;
        walk.value(*table, path, "tcp", &parse_tcp_probe, question);
        probe.question = question.value_or(TcpProbe());
    } else {
        CommandProbe question;
        walk.strings(*table, path, "command", "a list of a program's path and arguments",
                     question.arguments);
        probe.question = question;
    }
    if (!http && table->contains("status"))
        walk.fail(path + ".status", *table->get("status"), "only with http");
}

void check_probe(Checks &checks, const Subject &subject, const Probe &probe)
{
    checks.period(subject, "probe.interval", probe.interval, milliseconds(100),
                  std::chrono::hours(1));
    checks.period(subject, "probe.timeout", probe.timeout, milliseconds(10), seconds(60));
    if (probe.timeout > probe.interval)
        checks.add(subject, "probe.timeout",
                   "probe.timeout is " + format_duration(probe.timeout) +
                       ", must be at most the interval, " + format_duration(probe.interval));
    checks.range(subject, "probe.rise", probe.rise, 1, 100);
    checks.range(subject, "probe.fall", probe.fall, 1, 100);
    if (const auto *http = std::get_if<HttpProbe>(&probe.question))
        checks.host(subject, "probe.http", "probe.http", http->address);
    else if (const auto *tcp = std::get_if<TcpProbe>(&probe.question))
        checks.host(subject, "probe.tcp", "probe.tcp", tcp->address);
    else
        check_command(checks, subject, std::get<CommandProbe>(probe.question).arguments);
}

std::string probe_toml(const Probe &probe)
{
    using namespace toml_text;
    Inner out;
    if (const auto *http = std::get_if<HttpProbe>(&probe.question)) {
        out.add("http", quote(http->url()));
        if (!http->status.empty())
            out.add("status", numbers(http->status));
    } else if (const auto *tcp = std::get_if<TcpProbe>(&probe.question)) {
        out.add("tcp", quote(endpoint(tcp->address, tcp->port)));
    } else {
        out.add("command", strings(std::get<CommandProbe>(probe.question).arguments));
    }
    return out.add("interval", duration(probe.interval))
        .add("timeout", duration(probe.timeout))
        .add("rise", number(probe.rise))
        .add("fall", number(probe.fall))
        .text();
}

} // namespace wlb
