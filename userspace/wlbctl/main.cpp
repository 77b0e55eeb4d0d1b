// SPDX-License-Identifier: GPL-2.0-only
#include <exception>
#include <iostream>

#include "wlbctl/command.h"

int main(int argc, char **argv)
{
    // Lists may be long; nothing here mixes with stdio.
    std::ios::sync_with_stdio(false);
    wlb::cli::Context context{std::cout, std::cerr, &wlb::connect_kernel, false, ""};
    try {
        return wlb::cli::run(context, wlb::cli::Args(argv + 1, argv + argc));
    } catch (const std::exception &error) {
        std::cerr << "wlbctl: internal error: " << error.what() << "\n";
        return wlb::cli::refused;
    }
}
