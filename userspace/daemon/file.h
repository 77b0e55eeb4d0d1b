// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <utility>

namespace wlb::daemon {

class File { // a file descriptor with one owner
public:
    File() = default;
    explicit File(int fd) : fd_(fd) {}
    File(const File &) = delete;
    File &operator=(const File &) = delete;
    File(File &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    File &operator=(File &&other) noexcept
    {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~File();
    [[nodiscard]] int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

private:
    int fd_ = -1;
};

} // namespace wlb::daemon
