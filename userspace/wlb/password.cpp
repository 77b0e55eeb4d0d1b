// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/password.h"

#include <cerrno>
#include <cstring>
#include <fstream>

namespace wlb {

Result<std::string> read_password(const std::string &path)
{
    errno = 0;
    std::ifstream file(path);
    std::string line;
    if (!file || !std::getline(file, line))
        return Error{path + ": cannot be read: " +
                         (errno != 0 ? std::strerror(errno) : "there is nothing in it"),
                     errno};
    while (!line.empty() && (line.back() == '\r' || line.back() == ' '))
        line.pop_back();
    if (line.empty() || line.size() > 8)
        return Error{path + ": the password is the first line, 1..8 characters; this has " +
                     std::to_string(line.size())};
    return line;
}

} // namespace wlb
