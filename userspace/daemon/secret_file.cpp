// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "daemon/file.h"

namespace wlb::daemon {

namespace {

constexpr std::size_t longest = 65536;
constexpr std::size_t longest_password = 8;
constexpr mode_t too_open = S_IWGRP | S_IXGRP | S_IRWXO;

// Of the file that was opened, not of what has its name by now.
Status check(const std::string &path, const struct stat &about)
{
    if (!S_ISREG(about.st_mode))
        return Error{path + ": is no regular file"};
    if (about.st_uid != 0 && about.st_uid != geteuid())
        return Error{path + ": belongs to user " + std::to_string(about.st_uid) +
                     "; it must be root's: chown root " + path};
    if ((about.st_mode & too_open) == 0)
        return Done{};
    std::array<char, 8> mode{};
    std::snprintf(mode.data(), mode.size(), "%04o", about.st_mode & 07777U);
    return Error{path + ": has mode " + mode.data() +
                 ", so that others may read or change it; it must be 0600 or 0640: chmod 0600 " +
                 path};
}

Result<std::string> read_secret(const std::string &path)
{
    // A FIFO is not waited for.
    const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    const auto failure = [&] {
        return Error{path + ": cannot be read: " + std::strerror(errno), errno};
    };
    struct stat about {};
    if (file.get() < 0) {
        const auto failed = failure();
        // Daemons may not open what is somebody else's; then that is what is wrong.
        if (failed.code == EACCES && stat(path.c_str(), &about) == 0)
            if (auto status = check(path, about); !status)
                return status.error();
        return failed;
    }
    if (fstat(file.get(), &about) != 0)
        return failure();
    if (auto status = check(path, about); !status)
        return status.error();
    std::string text;
    std::array<char, 4096> buffer{};
    for (;;) {
        const auto size = read(file.get(), buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return failure();
        if (size == 0)
            return text;
        text.append(buffer.data(), static_cast<std::size_t>(size));
        if (text.size() > longest)
            return Error{path + ": is longer than " + std::to_string(longest) + " octets"};
    }
}

} // namespace

Result<registry::Keys> read_keys(const std::string &path)
{
    const auto text = read_secret(path);
    if (!text)
        return text.error();
    auto keys = registry::Keys::parse(*text);
    if (!keys)
        return Error{path + ": " + keys.error().message};
    return keys;
}

Result<std::string> read_password(const std::string &path)
{
    const auto text = read_secret(path);
    if (!text)
        return text.error();
    if (text->empty())
        return Error{path + ": cannot be read: there is nothing in it"};
    auto line = text->substr(0, text->find('\n'));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' '))
        line.pop_back();
    if (line.empty() || line.size() > longest_password)
        return Error{path + ": the password is the first line, 1..8 characters; this has " +
                     std::to_string(line.size())};
    return line;
}

} // namespace wlb::daemon
