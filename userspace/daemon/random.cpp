// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/random.h"

#include <openssl/rand.h>

#include <stdexcept>

namespace wlb::daemon {

void random_octets(std::uint8_t *to, std::size_t size)
{
    if (RAND_bytes(to, static_cast<int>(size)) != 1)
        throw std::runtime_error("there is no randomness");
}

std::uint64_t random_number()
{
    std::uint64_t number = 0;
    random_octets(reinterpret_cast<std::uint8_t *>(&number), sizeof(number));
    return number;
}

} // namespace wlb::daemon
