// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/finding.h"

#include <algorithm>
#include <cstdlib>

namespace wlb::cli {

namespace {

const char *name_of(Finding::Grade grade)
{
    switch (grade) {
    case Finding::warning:
        return "warning";
    case Finding::fault:
        return "fault";
    default:
        return "good";
    }
}

} // namespace

Json parse_output(const Result<std::string> &text)
{
    if (!text)
        return {};
    auto json = Json::parse(*text, nullptr, false);
    return json.is_discarded() ? Json() : json;
}

Json first_of(const Json &list)
{
    return list.is_array() && !list.empty() ? list.front() : Json();
}

std::string word(const Json &object, const char *key)
{
    if (!object.is_object())
        return "";
    const auto found = object.find(key);
    if (found == object.end())
        return "";
    return found->is_string() ? found->get<std::string>() : found->dump();
}

long read_number(const Patient &patient, const std::string &path)
{
    const auto text = patient.read(path);
    return text ? std::strtol(text->c_str(), nullptr, 10) : 0;
}

bool filters_strictly(const Patient &patient, const std::string &interface)
{
    const auto value = [&](const std::string &name) {
        return read_number(patient, "/proc/sys/net/ipv4/conf/" + name + "/rp_filter");
    };
    // The kernel takes the greater of both: 2 is loose.
    return std::max(value("all"), value(interface)) == 1;
}

bool merges_for_good(const Patient &patient, const std::string &interface)
{
    const auto features = patient.run({"ethtool", "-k", interface});
    return features && features->find("large-receive-offload: on") != std::string::npos;
}

int show_findings(Context &context, const std::vector<Finding> &findings)
{
    auto array = Json::array();
    bool ill = false;
    for (const auto &finding : findings) {
        ill = ill || finding.grade == Finding::fault;
        array.push_back({{"grade", name_of(finding.grade)},
                         {"finding", finding.what},
                         {"consequence", finding.consequence},
                         {"mend", finding.mend}});
        if (context.json)
            continue;
        context.out << name_of(finding.grade) << ": " << finding.what << "\n";
        if (finding.grade != Finding::good)
            context.out << "    " << finding.consequence << "\n    " << finding.mend << "\n";
    }
    if (context.json)
        context.write({{"findings", array}});
    return ill ? refused : done;
}

} // namespace wlb::cli
