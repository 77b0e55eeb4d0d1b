// SPDX-License-Identifier: GPL-2.0-only
// Rates as a page of text, and the terminal that shows it.
#pragma once

#include <termios.h>

#include <cstddef>
#include <optional>
#include <ostream>
#include <string>

#include "wlbctl/top_rates.h"

namespace wlb::cli {

struct Window {
    std::size_t columns = 0;
    std::size_t rows = 0;
};

// Every line ends with "\n". For a window: it fits, and has colours; what there is no room for is
// counted. `title` stands above it all.
std::string page_of(const Rates &rates, const std::string &title,
                    const std::optional<Window> &window);

// The terminal of standard input and output, for as long as this lives: another screen, no
// cursor, keys as they are typed. Then all is as before.
class Terminal {
public:
    explicit Terminal(std::ostream &out);
    Terminal(const Terminal &) = delete;
    Terminal &operator=(const Terminal &) = delete;
    ~Terminal();

    static bool is_there();
    [[nodiscard]] static Window window();
    void show(const std::string &page);
    // The program's end of ^Z; returns when it goes on.
    void suspend();

private:
    void enter();
    void leave();

    std::ostream &out_;
    termios before_{};
};

} // namespace wlb::cli
