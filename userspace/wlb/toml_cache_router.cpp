// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/toml_cache_router.h"

namespace wlb {

namespace {

class GroupReader {
public:
    GroupReader(TomlWalk &walk, const toml::table &table, const std::string &path,
                CacheGroup &group)
        : walk_(walk), table_(table), path_(path), group_(group)
    {
    }

    void run()
    {
        walk_.keys(table_, path_, {"service",       "redirect-in",   "redirect-out",
                                   "exclude-in",    "redirect-list", "group-list",
                                   "source",        "group-address", "group-listen",
                                   "password-file", "mode",          "hook",
                                   "drain",         "forwarding",    "return",
                                   "assignment",    "version",       "variable-timers",
                                   "strict-source", "reassign-kick", "assignment-fallback",
                                   "squid-filler",  "bucket-format", "md5-compat"});
        service();
        walk_.strings(table_, path_, "redirect-in", "a list of interface names",
                      group_.redirect_in);
        walk_.strings(table_, path_, "redirect-out", "a list of interface names",
                      group_.redirect_out);
        walk_.strings(table_, path_, "exclude-in", "a list of interface names", group_.exclude_in);
        walk_.texts(table_, path_, "redirect-list", "a list of rules", false, &parse_redirect_rule,
                    group_.redirect_list);
        walk_.texts_or_any(table_, path_, "group-list", "a list of prefixes", &Prefix::parse,
                           group_.group_list, group_.any_cache);
        walk_.texts(table_, path_, "source", "an address, or one of each family", true,
                    &Address::parse, group_.source);
        walk_.value(table_, path_, "group-address", &Address::parse, group_.group_address);
        walk_.strings(table_, path_, "group-listen", "a list of interface names",
                      group_.group_listen);
        walk_.string(table_, path_, "password-file", group_.password_file);
        choice("mode", &parse_mode, group_.closed);
        choice("hook", &parse_group_hook, group_.hook);
        walk_.whole_seconds(table_, path_, "drain", group_.drain);
        walk_.set_of(table_, path_, "forwarding", "a list of forwarding methods", &parse_forward,
                     group_.forwarding);
        walk_.set_of(table_, path_, "return", "a list of return methods", &parse_forward,
                     group_.returning);
        walk_.set_of(table_, path_, "assignment", "a list of assignment methods", &parse_allotment,
                     group_.assignment);
        choice("version", &parse_version_2_01, group_.version_2_01);
        walk_.boolean(table_, path_, "variable-timers", group_.variable_timers);
        walk_.boolean(table_, path_, "strict-source", group_.strict_source);
        walk_.boolean(table_, path_, "reassign-kick", group_.reassign_kick);
        walk_.whole_seconds(table_, path_, "assignment-fallback", group_.assignment_fallback);
        choice("squid-filler", &parse_squid_filler, group_.squid_filler);
        choice("bucket-format", &parse_bucket_format, group_.bucket_format);
        choice("md5-compat", &parse_md5_compat, group_.md5_compat);
    }

private:
    static Result<bool> parse_mode(std::string_view text)
    {
        if (text == "open" || text == "closed")
            return text == "closed";
        return Error{"\"" + std::string(text) + "\" must be \"open\" or \"closed\""};
    }

    template <class T>
    void choice(std::string_view key, Result<T> (*parse)(std::string_view), T &target)
    {
        walk_.choice(table_, path_, key, parse, target);
    }

    void service()
    {
        const auto own_path = path_ + ".service";
        const auto *node = walk_.find(table_, path_, "service");
        Result<ServiceId> result = Error{"service is missing: \"web-cache\", or the number of a "
                                         "dynamic service, 0..255"};
        if (node == nullptr) {
            walk_.fail(path_, table_, result.error().message);
            return;
        }
        if (const auto *number = node->as_integer()) {
            result = ServiceId::from_number(number->get());
        } else if (const auto *text = node->as_string()) {
            result = ServiceId::parse(text->get());
        } else {
            walk_.wrong_type(own_path, *node, "\"web-cache\", or a number");
            return;
        }
        if (result)
            group_.service = *result;
        else
            walk_.fail(own_path, *node, result.error().message);
    }

    TomlWalk &walk_;
    const toml::table &table_;
    const std::string &path_;
    CacheGroup &group_;
};

} // namespace

void read_cache_router(TomlWalk &walk, const toml::table &table, CacheRouter &router)
{
    const std::string path = "cache-router";
    walk.keys(table, path, {"check-services-all", "lease", "group"});
    walk.boolean(table, path, "check-services-all", router.check_services_all);
    walk.whole_seconds(table, path, "lease", router.lease);
    walk.each(table, path, "group", [&](const auto &entry, const auto &entry_path) {
        GroupReader(walk, entry, entry_path, router.groups.emplace_back()).run();
    });
}

} // namespace wlb
