// SPDX-License-Identifier: GPL-2.0-only
#include "wccp/elements.h"

namespace wlb::wccp {

void expect_end(Reader &in)
{
    if (in.left() > 0)
        in.fail("length", std::to_string(in.left()) + " octets too many");
}

void read(Reader &in, RouterElement &to)
{
    to.address = in.u32("router address");
    to.receive_id = in.u32("receive ID");
}
void write(Writer &out, const RouterElement &from)
{
    out.u32(from.address);
    out.u32(from.receive_id);
}

void read(Reader &in, std::vector<RouterAssignment> &to)
{
    to.resize(in.count(12, max_routers, "number of routers"));
    for (auto &router : to) {
        read(in, router.router);
        router.change_number = in.u32("change number");
    }
}
void write(Writer &out, const std::vector<RouterAssignment> &from)
{
    out.u32(from.size());
    for (const auto &router : from) {
        write(out, router.router);
        out.u32(router.change_number);
    }
}

void read(Reader &in, KeyElement &to)
{
    to.address = in.u32("key address");
    to.number = in.u32("key change number");
}
void write(Writer &out, const KeyElement &from)
{
    out.u32(from.address);
    out.u32(from.number);
}

void read(Reader &in, MaskElement &to)
{
    to.src = in.u32("source address");
    to.dst = in.u32("destination address");
    to.sport = in.u16("source port");
    to.dport = in.u16("destination port");
}
void write(Writer &out, const MaskElement &from)
{
    out.u32(from.src);
    out.u32(from.dst);
    out.u16(from.sport);
    out.u16(from.dport);
}

void read(Reader &in, MaskList &to)
{
    std::uint32_t values_left = max_values;
    to.resize(in.count(16, max_mask_sets, "number of mask/value sets"));
    for (auto &set : to) {
        read(in, set.mask);
        set.values.resize(in.count(16, values_left, "number of values"));
        values_left -= static_cast<std::uint32_t>(set.values.size());
        for (auto &value : set.values) {
            read(in, value.value);
            value.cache = in.u32("cache address");
        }
    }
}
void write(Writer &out, const MaskList &from)
{
    out.u32(from.size());
    for (const auto &set : from) {
        write(out, set.mask);
        out.u32(set.values.size());
        for (const auto &value : set.values) {
            write(out, value.value);
            out.u32(value.cache);
        }
    }
}

void read(Reader &in, AltMaskList &to)
{
    std::uint32_t values_left = max_values;
    to.resize(in.count(16, max_mask_sets, "number of alternate mask/value sets"));
    for (auto &set : to) {
        read(in, set.mask);
        set.caches.resize(in.count(8, max_caches, "number of caches"));
        for (auto &cache : set.caches) {
            cache.cache = in.u32("cache address");
            cache.numbers.resize(in.count(4, values_left, "number of value sequence numbers"));
            values_left -= static_cast<std::uint32_t>(cache.numbers.size());
            for (auto &number : cache.numbers)
                number = in.u32("value sequence number");
        }
    }
}
void write(Writer &out, const AltMaskList &from)
{
    out.u32(from.size());
    for (const auto &set : from) {
        write(out, set.mask);
        out.u32(set.caches.size());
        for (const auto &cache : set.caches) {
            out.u32(cache.cache);
            out.u32(cache.numbers.size());
            for (const auto number : cache.numbers)
                out.u32(number);
        }
    }
}

void read(Reader &in, std::vector<Word> &to, std::uint32_t limit, std::string_view field)
{
    to.resize(in.count(4, limit, field));
    for (auto &word : to)
        word = in.u32(field);
}
void write(Writer &out, const std::vector<Word> &from)
{
    out.u32(from.size());
    for (const auto word : from)
        out.u32(word);
}

void read(Reader &in, BucketsElement &to)
{
    read(in, to.caches, max_caches, "number of caches");
    in.array(to.buckets, "buckets");
}
void write(Writer &out, const BucketsElement &from)
{
    write(out, from.caches);
    out.octets(from.buckets);
}

void read(Reader &in, WeightStatus &to)
{
    to.weight = in.u16("weight");
    to.status = in.u16("status");
}
void write(Writer &out, const WeightStatus &from)
{
    out.u16(from.weight);
    out.u16(from.status);
}

void read(Reader &in, HashData &to)
{
    in.array(to.buckets, "buckets");
    read(in, to.weight);
}
void write(Writer &out, const HashData &from)
{
    out.octets(from.buckets);
    write(out, from.weight);
}

void read(Reader &in, MaskData &to)
{
    read(in, to.sets);
    read(in, to.weight);
}

void read(Reader &in, AltMaskData &to)
{
    read(in, to.sets);
    read(in, to.weight);
}
void write(Writer &out, const MaskData &from)
{
    write(out, from.sets);
    write(out, from.weight);
}

void write(Writer &out, const AltMaskData &from)
{
    write(out, from.sets);
    write(out, from.weight);
}

void read(Reader &, NoData &) {}
void write(Writer &, const NoData &) {}

void read(Reader &in, Octets &to)
{
    to = copied(in.rest());
}
void write(Writer &out, const Octets &from)
{
    out.octets(from);
}

void read(Reader &in, ExtendedData &to)
{
    to.type = in.u16("type of extended data");
    const auto size = in.u16("length of extended data");
    Reader inner(in.octets(size, "extended data"), "extended assignment data");
    read_variant(inner, to.type, to.data);
    expect_end(inner);
    if (inner.error())
        in.fail("cache identity", inner.error()->message);
}
void write(Writer &out, const ExtendedData &from)
{
    out.u16(from.type);
    out.sized([&] { write_variant(out, from.data); });
}

void read(Reader &in, CacheElement &to)
{
    to.address = in.u32("cache address");
    to.revision = in.u16("hash revision");
    to.flags = in.u16("flags");
    read_variant(in, (to.flags & CacheElement::type_mask) >> 1, to.data);
}
void write(Writer &out, const CacheElement &from)
{
    out.u32(from.address);
    out.u16(from.revision);
    out.u16(from.flags);
    write_variant(out, from.data);
}

void read(Reader &in, std::vector<Element> &to)
{
    while (in.left() > 0 && !in.failed()) {
        auto &element = to.emplace_back();
        element.type = in.u16("element's type");
        const auto size = in.u16("element's length");
        element.value = copied(in.octets(size, "element's value"));
    }
}
void write(Writer &out, const std::vector<Element> &from)
{
    for (const auto &element : from) {
        out.u16(element.type);
        out.sized([&] { out.octets(element.value); });
    }
}

} // namespace wlb::wccp
