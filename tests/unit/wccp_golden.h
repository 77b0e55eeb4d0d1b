// SPDX-License-Identifier: GPL-2.0-only
// Messages as Squid 5.7 sends them (cache 127.0.0.2, router 127.0.0.1, first HERE_I_AM), and
// the shortest answer that it takes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace golden {

inline std::vector<std::uint8_t> octets(std::string_view hex)
{
    std::vector<std::uint8_t> out;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        out.push_back(
            static_cast<std::uint8_t>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16)));
    return out;
}

inline const std::string zeros16 = std::string(32, '0');
inline const std::string zeros24 = std::string(48, '0');
inline const std::string zeros32 = std::string(64, '0');

inline const std::string view_and_capabilities = // of a cache with hash assignment
    "0005001400000001000000017f0000010000000000000000"
    "00080018000100040000000100020004000000010003000400000001";
inline const std::string hash_identity = "0003002c7f00000200000000" + zeros32 + "27100000";

inline const std::string here_i_am_hash = "0000000a02000088"
                                          "0000000400000000"
                                          "00010018" +
                                          zeros24 + hash_identity + view_and_capabilities;
inline const std::string here_i_am_mask =
    "0000000a0200007c"
    "0000000400000000"
    "00010018" +
    zeros24 +
    "000300207f00000200000002000000010000000000001741000000000000000000000000"
    "0005001400000001000000017f0000010000000000000000"
    "00080018000100040000000100020004000000020003000400000001";
inline const std::string here_i_am_dynamic = "0000000a02000088"
                                             "0000000400000000"
                                             "000100180150f0060000021100501f90" +
                                             std::string(24, '0') + hash_identity +
                                             view_and_capabilities;
inline const std::string here_i_am_md5 = // password "secret12"
    "0000000a02000098"
    "000000140000000153b642a7dd6f7bc87fcb0c920a9e6902"
    "00010018" +
    zeros24 + hash_identity + view_and_capabilities;
inline const std::string i_see_you = "0000000b02000074"
                                     "0000000400000000"
                                     "00010018" +
                                     zeros24 +
                                     "000200147f000001000000017f000001000000017f000002"
                                     "00040018000000640000000000000000000000017f00000100000000"
                                     "00080018000100040000000100020004000000010003000400000001";

} // namespace golden
