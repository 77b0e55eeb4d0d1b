// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/flow_end.h"

#include <algorithm>

namespace wlb::cli {

Result<FlowEnd> parse_flow_end(const std::string &text)
{
    auto address = text;
    std::string port;
    if (!text.empty() && text.front() == '[') {
        const auto end = text.find(']');
        if (end == text.npos)
            return Error{"\"" + text + "\" has no closing bracket"};
        address = text.substr(1, end - 1);
        port = text.substr(end + 1);
    } else if (std::count(text.begin(), text.end(), ':') == 1) {
        address = text.substr(0, text.find(':'));
        port = text.substr(text.find(':'));
    }
    const auto parsed = Address::parse(address);
    if (!parsed)
        return parsed.error();
    if (port.empty())
        return FlowEnd{*parsed, {}};
    const auto number = parse_port(std::string_view(port).substr(port.front() == ':' ? 1 : 0));
    if (!number)
        return number.error();
    return FlowEnd{*parsed, *number};
}

} // namespace wlb::cli
