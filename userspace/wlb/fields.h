// SPDX-License-Identifier: GPL-2.0-only
// Objects of the configuration as named fields: the one description that
// listings and differences are made of.
#pragma once

#include <string>
#include <vector>

#include "wlb/config.h"

namespace wlb {

struct Field {
    std::string name;
    std::vector<std::string> items;
    bool is_list = false;

    bool operator==(const Field &) const = default;
};

// All but the name, in the order of the file format, whether set or not.
std::vector<Field> fields_of(const ClientGateway &gateway); // without the services
std::vector<Field> fields_of(const ServerGateway &gateway);
std::vector<Field> fields_of(const Service &service);
std::vector<Field> fields_of(const Origin &origin);
std::vector<Field> fields_of(const Served &served);

// "service web ports 80,443 replicas 198.51.100.0/24"; empty fields are left out.
std::string describe(const std::string &kind, const std::string &name,
                     const std::vector<Field> &fields);

} // namespace wlb
