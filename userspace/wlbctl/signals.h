// SPDX-License-Identifier: GPL-2.0-only
// Signals, as a descriptor that can be read once one came.
#pragma once

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <initializer_list>

namespace wlb::cli {

class Signals {
public:
    // They do nothing else while this lives.
    explicit Signals(std::initializer_list<int> numbers)
    {
        sigset_t set;
        sigemptyset(&set);
        for (const int number : numbers)
            sigaddset(&set, number);
        sigprocmask(SIG_BLOCK, &set, &before_);
        fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    Signals(const Signals &) = delete;
    Signals &operator=(const Signals &) = delete;
    ~Signals()
    {
        // Those that came must be taken, or they would kill once they are unblocked.
        while (take() != 0) {
        }
        if (fd_ >= 0)
            close(fd_);
        sigprocmask(SIG_SETMASK, &before_, nullptr);
    }
    // Below 0: errno says why there is none.
    [[nodiscard]] int fd() const { return fd_; }
    // The next that came, 0 if none did.
    [[nodiscard]] int take() const
    {
        signalfd_siginfo signal{};
        return fd_ >= 0 && read(fd_, &signal, sizeof(signal)) > 0
                   ? static_cast<int>(signal.ssi_signo)
                   : 0;
    }

private:
    sigset_t before_{};
    int fd_ = -1;
};

} // namespace wlb::cli
