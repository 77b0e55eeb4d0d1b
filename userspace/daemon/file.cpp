// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/file.h"

#include <unistd.h>

namespace wlb::daemon {

File::~File()
{
    if (fd_ >= 0)
        close(fd_);
}

} // namespace wlb::daemon
