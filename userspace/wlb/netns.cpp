// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace wlb {

Status enter_namespace(const std::string &name)
{
    if (name == "." || name == ".." || name.find('/') != std::string::npos)
        return Error{"netns \"" + name + "\": must be a name as listed by `ip netns`"};
    const auto path = "/run/netns/" + name;
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return Error{"netns \"" + name + "\": cannot open " + path + ": " + std::strerror(errno),
                     errno};
    const int result = setns(fd, CLONE_NEWNET);
    const int code = errno;
    close(fd);
    if (result < 0)
        return Error{"netns \"" + name + "\": cannot enter it: " + std::strerror(code), code};
    return Done{};
}

} // namespace wlb
