// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "daemon/file.h"

namespace wlb::daemon {

namespace {

constexpr std::size_t longest = 65536;

} // namespace

Result<registry::Keys> read_keys(const std::string &path)
{
    const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const auto failure = [&] {
        return Error{path + ": cannot be read: " + std::strerror(errno), errno};
    };
    struct stat about {};
    if (file.get() < 0 || fstat(file.get(), &about) != 0)
        return failure();
    // Of the file that was opened, not of what has its name by now.
    if ((about.st_mode & S_IRWXO) != 0)
        return Error{path +
                     ": others may read or change it; make it theirs no more: chmod o= " + path};
    std::string text;
    std::array<char, 4096> buffer{};
    for (;;) {
        const auto size = read(file.get(), buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return failure();
        if (size == 0)
            break;
        text.append(buffer.data(), static_cast<std::size_t>(size));
        if (text.size() > longest)
            return Error{path + ": is longer than a file of keys"};
    }
    auto keys = registry::Keys::parse(text);
    if (!keys)
        return Error{path + ": " + keys.error().message};
    return keys;
}

} // namespace wlb::daemon
