// SPDX-License-Identifier: GPL-2.0-only
// Alone in its file: it is what takes long to compile.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
