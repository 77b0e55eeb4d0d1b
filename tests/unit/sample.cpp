// SPDX-License-Identifier: GPL-2.0-only
// The one object that knows where the sources are: wherever they are, caches of compilers have
// all others.
#include <fstream>
#include <sstream>

#include "sample.h"

namespace wlb::test {

std::string source_file(const std::string &path)
{
    std::ifstream file(std::string(WLB_SOURCE_DIR) + "/" + path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

} // namespace wlb::test
