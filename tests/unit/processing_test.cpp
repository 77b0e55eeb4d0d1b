// SPDX-License-Identifier: GPL-2.0-only
// [processing]: read, checked, written, and on the wire.
#include <catch2/catch.hpp>

#include <netlink/attr.h>
#include <netlink/genl/genl.h>

#include "refusals.h"
#include "sample.h"
#include "wlb/message.h"
#include "wlb/processing.h"
#include "wlb/toml_writer.h"
#include "wlb/validate.h"

using namespace wlb;
using test::address;
using test::check;
using test::errors;
using test::prefix;

namespace {

constexpr int family = 42;

// Valid, but for what is on line 2.
std::string rule(const std::string &extra)
{
    return "[[processing.rule]]\n" + extra + "\non = ['returned']\n";
}

std::string copy(const std::string &extra, const std::string &place = "file = '/x'\n")
{
    return "[[processing.copy]]\n" + extra + "\n" + place + rule("");
}

std::string named(const std::string &extra)
{
    return copy(extra, "name = 'a'\nfile = '/x'\n");
}

// Every key with a value that is not its default.
Config full()
{
    Config config;
    auto &processing = config.processing;
    processing.nflog_group = 65520;
    ProcessCopy file;
    file.name = "watch";
    file.file = "/var/lib/wlb/\"watch\".pcapng";
    file.length = 64;
    file.file_size = 65536;
    file.files = 1000;
    ProcessCopy port;
    port.name = "monitor";
    port.interface = "mon0";
    port.length = 65535;
    processing.copies = {file, port};
    ProcessRule web;
    web.on = {ProcessOn::returned, ProcessOn::passing};
    web.source = prefix("10.0.0.0/8");
    web.destination = prefix("203.0.113.0/24");
    web.protocol = 6;
    web.port = 80;
    web.dscp = 46;
    web.rewrite = address("203.0.113.10");
    web.tag = {'D', 'E'};
    web.copy = "monitor";
    ProcessRule six;
    six.on = {ProcessOn::passing};
    six.destination = prefix("2001:db8::/32");
    six.protocol = 58;
    six.copy = "watch";
    ProcessRule bytes;
    bytes.on = {ProcessOn::returned};
    bytes.tag = {0, 255, 16};
    ProcessRule bare;
    bare.on = {ProcessOn::returned};
    bare.untag = true;
    bare.protocol = 0;
    processing.rules = {web, six, bytes, bare};
    return config;
}

} // namespace

TEST_CASE("processing is read back as it is written", "[config][process]")
{
    const auto text = to_toml(full());
    INFO(text);
    CHECK(validate(full()).empty());
    CHECK(errors(text).empty());
    CHECK(parse_config(text).config == full());
}

TEST_CASE("words for numbers and octets", "[config][process]")
{
    for (const auto &[word, value] :
         {std::pair("default", 0), std::pair("ef", 46), std::pair("cs0", 0), std::pair("cs7", 56),
          std::pair("af11", 10), std::pair("af23", 22), std::pair("af43", 38)})
        CHECK(*parse_dscp(word) == value);
    for (const auto *word : {"", "cs8", "af44", "af51", "af00", "af1", "EF", "46"})
        CHECK_FALSE(parse_dscp(word));
    CHECK(*parse_tag("0x00ff10") == std::vector<std::uint8_t>{0, 255, 16});
    CHECK(parse_tag("0x")->empty());
    CHECK(*parse_tag("DE") == std::vector<std::uint8_t>{'D', 'E'});
    for (const auto *word : {"0x1", "0xgg", "0x-1", "0x 1"})
        CHECK_FALSE(parse_tag(word));
    for (const auto *word : {"DE", "0x00", "a \"b\"", "0x307861"})
        CHECK(*parse_tag(tag_text(*parse_tag(word))) == *parse_tag(word));
    CHECK(tag_text({'0', 'x', '1'}) == "0x307831");
}

TEST_CASE("processing is refused where it is wrong", "[config][process]")
{
    check({
        {"processing = 1\n", "1:14: .*must be a table"},
        {"[processing]\nrules = []\n", "2:1: processing: unknown key \"rules\"; did you mean"},
        {"[processing]\nnflog-group = 7\n", "1:1: processing: settings without a rule"},
        {"[processing]\nnflog-group = -1\n" + rule(""), "2:15: .*must be 0..65520"},
        {"[processing]\nnflog-group = 65521\n" + rule(""), "2:15: .*must be 0..65520"},
        {"[[processing.rule]]\ndscp = 1\n", "1:1: rule #1: on is missing: which packets"},
        {"[[processing.rule]]\non = []\n", "2:6: rule #1: on is missing"},
        {"[[processing.rule]]\non = 'passing'\n", "2:6: .*must be a list"},
        {"[[processing.rule]]\non = ['all']\n",
         "2:7: .*\"all\" must be \"returned\" or \"passing\""},
        {"[[processing.rule]]\non = ['passing', 'passing']\n", "2:18: .*given twice"},
        {rule("dcsp = 1"), "2:1: .*unknown key \"dcsp\"; did you mean \"dscp\""},
        {rule("source = '10.0.0.1/8'"), "2:10: .*has bits set past its length"},
        {rule("source = '10.0.0.0/8'\ndestination = '::/0'"),
         "3:15: .*destination: .*must be IPv4"},
        {rule("protocol = 256"), "2:12: .*protocol is 256, must be 0..255"},
        {rule("protocol = 0\nport = 80"), "3:8: .*port: only with protocol"},
        {rule("protocol = 'icmp'\nport = 1\ntag = 'x'"), "2:12: .*must be \"tcp\", \"udp\" or"},
        {rule("protocol = true"), "2:12: .*must be \"tcp\", \"udp\" or a number"},
        {rule("port = 80"), "2:8: .*port: only with protocol"},
        {rule("protocol = 'tcp'\nport = 0"), "3:8: .*outside 1..65535"},
        {rule("dscp = 64"), "2:8: .*dscp is 64, must be 0..63"},
        {rule("dscp = 'af44'"), "2:8: .*must be 0..63, or one of default"},
        {rule("dscp = [1]"), "2:8: .*must be a number of 0..63, or a name"},
        {rule("rewrite = '0.0.0.0'"), "2:11: .*address of one host"},
        {rule("destination = '::/0'\nrewrite = '192.0.2.1'"), "3:11: .*rewrite: .*must be IPv6"},
        {rule("tag = ''"), "2:7: .*tag must have at least one octet"},
        {rule("tag = '0123456789abcdefg'"), "2:7: .*tag has 17 octets, at most 16"},
        {rule("tag = '0x0'"), "2:7: .*two hex digits for each octet"},
        {rule("tag = 'x'\nuntag = true"), "3:9: .*untag: not with tag"},
        {rule("protocol = 'udp'\nuntag = true"), "3:9: .*only with protocol = \"tcp\""},
        {rule("copy = 'a'"), "2:8: .*there is no ..processing.copy.. named \"a\""},
        {rule("copy = ''"), "2:8: .*copy must be the name of a copy"},
        {copy("name = 'a b'"), "2:8: copy \"a b\": name must be"},
        {copy(""), "1:1: copy #1: name is missing"},
        {copy("name = 'a'", ""), "1:1: .*must have one of file and interface"},
        {copy("name = 'a'", "file = '/x'\ninterface = 'y'\n"), "1:1: .*must have one of file and"},
        {copy("name = 'a'", "file = 'x'\n"), "3:8: .*\"x\" must begin with a slash"},
        {copy("name = 'a'", "file = 1\n"), "3:8: .*must be a string"},
        {copy("name = 'a'", "interface = 'a/b'\n"), "3:13: .*not an interface name"},
        {copy("name = 'a'", "interface = 'y'\nfiles = 2\n"), "4:9: .*only with file"},
        {named("length = 65536"), "2:10: .*length is 65536, must be 0..65535"},
        {named("file-size = 65535"), "2:13: .*must be 65536.."},
        {named("files = 0"), "2:9: .*must be 1..1000"},
        {copy("name = 'a'") + copy("name = 'a'", "file = '/y'\n"), "8:8: .*names must be unique"},
        {copy("name = 'a'") + copy("name = 'b'"), "9:8: .*copy \"a\" is written to it"},
    });
    std::string many;
    for (int i = 0; i < 65; ++i)
        many += rule("");
    check({{many, "193:1: .*rule has more than 64 items"}});
    many.clear();
    for (int i = 0; i < 17; ++i)
        many += "[[processing.copy]]\nname = 'c" + std::to_string(i) + "'\nfile = '/" +
                std::to_string(i) + "'\n";
    check({{many + rule(""), "49:1: .*copy has more than 16 items"}});
}

TEST_CASE("rules for processing survive the wire", "[process]")
{
    const auto rules = process_rules(full().processing);
    REQUIRE(rules.size() == 4);
    CHECK(rules[0].copy_group == 65521);
    CHECK(rules[0].copy_length == 65535);
    CHECK(rules[1].copy_group == 65520);
    CHECK(rules[1].copy_length == 64);
    CHECK_FALSE(rules[2].copy_group);
    for (const auto &rule : rules) {
        const auto message = encode_process(family, {rule});
        REQUIRE(message);
        const auto decoded = decode_process(nlmsg_hdr(message->get()));
        REQUIRE(decoded);
        CHECK(*decoded == rule);
    }
    CHECK_FALSE(rules[3].rule.protocol);
    const auto all = encode_process(family, rules);
    REQUIRE(all);
    auto *const header = nlmsg_hdr(all->get());
    CHECK(genlmsg_hdr(header)->cmd == WLB_CMD_PROCESS_SET);
    const auto none = encode_process(family, {});
    REQUIRE(none);
    CHECK(nlmsg_find_attr(nlmsg_hdr(none->get()), GENL_HDRLEN, WLB_A_PROCESS) == nullptr);
    CHECK_FALSE(decode_process(nlmsg_hdr(none->get())));
}
