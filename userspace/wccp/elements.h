// SPDX-License-Identifier: GPL-2.0-only
// Reading and writing of what components are made of (R1 6), for codec.cpp. A read that
// fails leaves its error in the Reader.
#pragma once

#include <algorithm>
#include <utility>

#include "wccp/message.h"
#include "wccp/wire.h"

namespace wlb::wccp {

void read(Reader &in, RouterElement &to);
void write(Writer &out, const RouterElement &from);
void read(Reader &in, std::vector<RouterAssignment> &to);
void write(Writer &out, const std::vector<RouterAssignment> &from);
void read(Reader &in, KeyElement &to);
void write(Writer &out, const KeyElement &from);
void read(Reader &in, MaskElement &to);
void write(Writer &out, const MaskElement &from);
void read(Reader &in, MaskList &to);
void write(Writer &out, const MaskList &from);
void read(Reader &in, AltMaskList &to);
void write(Writer &out, const AltMaskList &from);
void read(Reader &in, std::vector<Word> &to, std::uint32_t limit, std::string_view field);
void write(Writer &out, const std::vector<Word> &from);
void read(Reader &in, BucketsElement &to);
void write(Writer &out, const BucketsElement &from);
void read(Reader &in, WeightStatus &to);
void write(Writer &out, const WeightStatus &from);
void read(Reader &in, HashData &to);
void write(Writer &out, const HashData &from);
void read(Reader &in, MaskData &to);
void read(Reader &in, AltMaskData &to);
void write(Writer &out, const MaskData &from);
void write(Writer &out, const AltMaskData &from);
void read(Reader &, NoData &);
void write(Writer &, const NoData &);
void read(Reader &in, Octets &to);
void write(Writer &out, const Octets &from);
void read(Reader &in, ExtendedData &to);
void write(Writer &out, const ExtendedData &from);
void read(Reader &in, CacheElement &to);
void write(Writer &out, const CacheElement &from);
void read(Reader &in, std::vector<Element> &to);
void write(Writer &out, const std::vector<Element> &from);

// The alternative that a type's number names, the last one if there is none.
template <class Variant, std::size_t... i>
void read_alternative(Reader &in, std::size_t index, Variant &to, std::index_sequence<i...>)
{
    ((i == index ? read(in, to.template emplace<i>()) : void()), ...);
}
template <class Variant> void read_variant(Reader &in, std::size_t index, Variant &to)
{
    constexpr auto size = std::variant_size_v<Variant>;
    read_alternative(in, std::min(index, size - 1), to, std::make_index_sequence<size>());
}
template <class Variant> void write_variant(Writer &out, const Variant &from)
{
    std::visit([&](const auto &data) { write(out, data); }, from);
}

void expect_end(Reader &in);

} // namespace wlb::wccp
