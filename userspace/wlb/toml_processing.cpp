// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/toml_processing.h"

#include "wlb/cache_host.h"

namespace wlb {

namespace {

void read_copy(TomlWalk &walk, const toml::table &table, const std::string &path, ProcessCopy &copy)
{
    walk.keys(table, path, {"name", "file", "interface", "length", "file-size", "files"});
    walk.string(table, path, "name", copy.name);
    walk.string(table, path, "file", copy.file);
    walk.string(table, path, "interface", copy.interface);
    if (walk.has_failed(path + ".file"))
        walk.excuse(path);
    walk.integer(table, path, "length", copy.length);
    walk.integer(table, path, "file-size", copy.file_size);
    walk.integer(table, path, "files", copy.files);
    for (const auto *key : {"file-size", "files"})
        if (table.contains("interface") && table.contains(key))
            walk.fail(path + "." + key, *table.get(key), "only with file");
}

// A number, or a word for one.
void number_or(TomlWalk &walk, const toml::table &table, const std::string &path, const char *key,
               const std::string &wanted, Result<std::int64_t> (*parse)(std::string_view),
               std::optional<std::int64_t> &target)
{
    const auto *node = walk.find(table, path, key);
    if (node == nullptr)
        return;
    if (node->is_integer())
        walk.integer(table, path, key, target.emplace());
    else if (node->is_string())
        walk.value(table, path, key, parse, target);
    else
        walk.wrong_type(path + "." + key, *node, wanted);
}

void read_rule(TomlWalk &walk, const toml::table &table, const std::string &path, ProcessRule &rule)
{
    walk.keys(table, path,
              {"on", "source", "destination", "protocol", "port", "dscp", "rewrite", "tag", "untag",
               "copy"});
    walk.set_of(table, path, "on", "a list of \"returned\" and \"passing\"", &parse_process_on,
                rule.on);
    walk.value(table, path, "source", &Prefix::parse, rule.source);
    walk.value(table, path, "destination", &Prefix::parse, rule.destination);
    number_or(walk, table, path, "protocol", "\"tcp\", \"udp\" or a number", &parse_protocol,
              rule.protocol);
    if (walk.has_failed(path + ".protocol"))
        for (const auto *key : {".port", ".tag", ".untag"})
            walk.excuse(path + key); // not known whether it has them
    walk.port(table, path, "port", rule.port);
    number_or(walk, table, path, "dscp", "a number of 0..63, or a name as \"ef\"", &parse_dscp,
              rule.dscp);
    walk.value(table, path, "rewrite", &Address::parse, rule.rewrite);
    std::optional<std::vector<std::uint8_t>> tag;
    walk.value(table, path, "tag", &parse_tag, tag);
    if (tag && tag->empty())
        walk.fail(path + ".tag", *table.get("tag"), "tag must have at least one octet");
    rule.tag = tag.value_or(rule.tag);
    walk.boolean(table, path, "untag", rule.untag);
    walk.string(table, path, "copy", rule.copy);
    if (table.contains("copy") && rule.copy.empty() && !walk.has_failed(path + ".copy"))
        walk.fail(path + ".copy", *table.get("copy"), "copy must be the name of a copy");
}

} // namespace

void read_processing(TomlWalk &walk, const toml::table &table, Processing &processing)
{
    const std::string path = "processing";
    walk.keys(table, path, {"nflog-group", "copy", "rule"});
    walk.integer(table, path, "nflog-group", processing.nflog_group);
    walk.each(table, path, "copy", [&](const auto &entry, const auto &entry_path) {
        read_copy(walk, entry, entry_path, processing.copies.emplace_back());
    });
    walk.each(table, path, "rule", [&](const auto &entry, const auto &entry_path) {
        read_rule(walk, entry, entry_path, processing.rules.emplace_back());
    });
}

} // namespace wlb
