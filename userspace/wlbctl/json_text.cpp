// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/json_text.h"

#include <iomanip>
#include <sstream>
#include <vector>

#include "wlb/address.h"

namespace wlb::cli {

namespace {

constexpr int label_width = 28;

} // namespace

std::string text(const Json &value)
{
    if (value.is_null())
        return "none";
    if (value.is_string())
        return value.get<std::string>().empty() ? "none" : value.get<std::string>();
    if (value.is_boolean())
        return value.get<bool>() ? "yes" : "no";
    if (value.is_array()) {
        std::vector<std::string> items;
        for (const auto &item : value)
            items.push_back(text(item));
        return items.empty() ? "none" : join(items, ", ");
    }
    return value.dump();
}

std::string title(const Json &group)
{
    return text(group.at("group")) + " " + text(group.at("family"));
}

std::string rule_text(const Json &rule)
{
    std::string which;
    for (const auto &on : rule.at("on"))
        which += text(on) + " ";
    for (const auto &[key, word] : {std::pair("protocol", ""), std::pair("port", "port "),
                                    std::pair("source", "from "), std::pair("destination", "to ")})
        if (rule.contains(key))
            which += word + text(rule.at(key)) + " ";
    which.pop_back();
    std::string what;
    for (const auto *key : {"dscp", "rewrite", "tag", "copy"})
        if (rule.contains(key))
            what += std::string(what.empty() ? "" : ", ") + key + " " + text(rule.at(key));
    if (rule.contains("untag"))
        what += std::string(what.empty() ? "" : ", ") + "untag";
    return which + ": " + (what.empty() ? "as it is" : what);
}

void line(std::ostream &out, int indent, const std::string &label, const std::string &value)
{
    out << std::string(static_cast<std::size_t>(indent), ' ') << std::left
        << std::setw(label_width - indent) << label + ":" << value << "\n";
}

void line(std::ostream &out, int indent, const std::string &label, const Json &object,
          const char *key)
{
    line(out, indent, label, text(object.at(key)));
}

std::string clock_text(double seconds)
{
    const auto whole = static_cast<long>(seconds);
    std::ostringstream out;
    out << std::setfill('0') << std::setw(2) << whole / 3600 << ":" << std::setw(2)
        << whole / 60 % 60 << ":" << std::setw(2) << whole % 60;
    return out.str();
}

std::string fixed(double number, int digits)
{
    std::ostringstream out;
    out << std::fixed << std::setprecision(digits) << number;
    return out.str();
}

std::string number(const Json &object, const char *key)
{
    const auto found = object.find(key);
    return found == object.end() ? "0" : text(*found);
}

} // namespace wlb::cli
