// SPDX-License-Identifier: GPL-2.0-only
#include "processd/ring.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace wlb::processd {

namespace {

constexpr std::uint32_t section_header = 0x0a0d0d0a;
constexpr std::uint32_t interface_description = 1;
constexpr std::uint32_t enhanced_packet = 6;
constexpr std::uint32_t byte_order = 0x1a2b3c4d;
constexpr std::uint16_t linktype_raw = 101; // begins with an IP header
constexpr std::uint16_t option_end = 0;
constexpr std::uint16_t option_application = 4; // of a section
constexpr std::uint16_t option_name = 2;        // of an interface
constexpr std::uint16_t option_resolution = 9;
constexpr std::uint8_t nanosecond = 9;
constexpr std::size_t packet_frame = 32 + 3; // what a block has around a packet, at most
constexpr std::size_t most_pending = 256 << 10;

// A block, its length at both ends, put at the end of `out`.
class Block {
public:
    Block(std::vector<std::uint8_t> &out, std::uint32_t type) : out_(out), start_(out.size())
    {
        number(type).number(std::uint32_t{0});
    }
    Block(const Block &) = delete;
    Block &operator=(const Block &) = delete;
    ~Block()
    {
        const auto length =
            static_cast<std::uint32_t>(out_.size() - start_ + sizeof(std::uint32_t));
        number(length);
        std::memcpy(out_.data() + start_ + sizeof(length), &length, sizeof(length));
    }

    template <class T> Block &number(T value)
    {
        std::array<std::uint8_t, sizeof(T)> octets{};
        std::memcpy(octets.data(), &value, sizeof(T));
        out_.insert(out_.end(), octets.begin(), octets.end());
        return *this;
    }
    Block &octets(Octets data)
    {
        out_.insert(out_.end(), data.begin(), data.end());
        out_.resize(start_ + ((out_.size() - start_ + 3) & ~std::size_t{3}));
        return *this;
    }
    Block &option(std::uint16_t code, Octets data)
    {
        return number(code).number(static_cast<std::uint16_t>(data.size())).octets(data);
    }
    Block &text(std::uint16_t code, std::string_view value)
    {
        return option(code, {reinterpret_cast<const std::uint8_t *>(value.data()), value.size()});
    }
    Block &end() { return number(option_end).number(std::uint16_t{0}); }

private:
    std::vector<std::uint8_t> &out_;
    std::size_t start_;
};

// The packet's, by its header, of which a part may be all that there is.
std::uint32_t length_of(Octets packet)
{
    const auto there = static_cast<std::uint32_t>(packet.size());
    const auto at = [&](std::size_t i) {
        return std::uint32_t{packet[i]} << 8U | std::uint32_t{packet[i + 1]};
    };
    if (packet.size() >= 20 && packet[0] >> 4U == 4)
        return std::max(there, at(2));
    if (packet.size() >= 40 && packet[0] >> 4U == 6)
        return std::max(there, at(4) + 40);
    return there;
}

Error failure(const std::string &path)
{
    return Error{path + ": " + std::strerror(errno), errno};
}

// Nothing, or a file of ours: whoever has mistyped a name is not to lose what is there.
Status is_ours(const std::string &path)
{
    const daemon::File file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0)
        return errno == ENOENT ? Status(Done{}) : failure(path);
    struct stat status = {};
    std::uint32_t type = 0;
    if (fstat(file.get(), &status) != 0)
        return failure(path);
    const bool regular = S_ISREG(status.st_mode);
    if (regular && status.st_size == 0)
        return Done{};
    if (regular && read(file.get(), &type, sizeof(type)) == ssize_t{sizeof(type)} &&
        type == section_header)
        return Done{};
    return Error{path + " is there already and is no pcapng file"};
}

} // namespace

Ring::Ring(ProcessCopy copy) : Sink(std::move(copy)) {}

Ring::~Ring()
{
    Ring::flush();
}

Result<std::unique_ptr<Sink>> Ring::open(const ProcessCopy &copy)
{
    std::unique_ptr<Ring> ring(new Ring(copy));
    if (auto status = is_ours(copy.file); !status)
        return status.error();
    if (auto status = ring->rotate(); !status)
        return status.error();
    return std::unique_ptr<Sink>(std::move(ring));
}

std::string Ring::path(std::int64_t age) const
{
    return age == 0 ? copy().file : copy().file + "." + std::to_string(age);
}

Status Ring::rotate()
{
    file_ = daemon::File();
    written_ = 0;
    const auto name = path(0);
    // Were there none, the older ones would go for nothing.
    if (access(name.c_str(), F_OK) == 0) {
        auto oldest = copy().files - 1;
        (void)unlink(path(oldest).c_str());
        while (unlink(path(++oldest).c_str()) == 0) // of a time when there were more
            ;
        for (auto age = copy().files - 1; age > 0; --age)
            if (std::rename(path(age - 1).c_str(), path(age).c_str()) != 0 && errno != ENOENT)
                return failure(path(age));
    }
    file_ = daemon::File(
        ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (file_.get() < 0 || fchmod(file_.get(), 0600) != 0)
        return failure(name);
    return Done{};
}

void Ring::put_head()
{
    Block(pending_, section_header)
        .number(byte_order)
        .number(std::uint16_t{1}) // version 1.0
        .number(std::uint16_t{0})
        .number(std::int64_t{-1}) // to the end
        .text(option_application, "wlb-processd " WLB_VERSION)
        .end();
    Block(pending_, interface_description)
        .number(linktype_raw)
        .number(std::uint16_t{0})
        .number(std::uint32_t{0}) // no limit
        .text(option_name, copy().name)
        .option(option_resolution, {&nanosecond, 1})
        .end();
}

bool Ring::has_room(std::size_t octets) const
{
    const auto there = written_ + static_cast<std::int64_t>(pending_.size());
    return file_.get() >= 0 &&
           (there == 0 || there + static_cast<std::int64_t>(octets) <= copy().file_size);
}

void Ring::take(Octets packet, std::chrono::nanoseconds time)
{
    if (!has_room(packet.size() + packet_frame)) {
        flush();
        if (const auto status = rotate(); !status) {
            ++failed_;
            lose(status.error());
            return;
        }
    }
    if (written_ == 0 && pending_.empty())
        put_head();
    const auto stamp = static_cast<std::uint64_t>(time.count());
    Block(pending_, enhanced_packet)
        .number(std::uint32_t{0})
        .number(static_cast<std::uint32_t>(stamp >> 32U))
        .number(static_cast<std::uint32_t>(stamp))
        .number(static_cast<std::uint32_t>(packet.size()))
        .number(length_of(packet))
        .octets(packet);
    ++pending_packets_;
    octets_ += packet.size();
    if (pending_.size() >= most_pending)
        flush();
}

void Ring::flush()
{
    if (pending_.empty() || file_.get() < 0)
        return;
    std::size_t done = 0;
    while (done < pending_.size()) {
        const auto count = write(file_.get(), pending_.data() + done, pending_.size() - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        done += static_cast<std::size_t>(count);
    }
    if (done == pending_.size()) {
        written_ += static_cast<std::int64_t>(done);
        packets_ += pending_packets_;
        error_.clear();
    } else {
        const auto error = failure(copy().file);
        // A part of a block at the end would make what comes behind it unreadable.
        if (ftruncate(file_.get(), written_) != 0 || lseek(file_.get(), written_, SEEK_SET) < 0)
            file_ = daemon::File();
        failed_ += pending_packets_;
        lose(error);
    }
    pending_.clear();
    pending_packets_ = 0;
}

void Ring::lose(const Error &error)
{
    if (error_ != error.message)
        spdlog::error("copy {}: {}", copy().name, error.message);
    error_ = error.message;
}

Json Ring::show() const
{
    return {{"file", copy().file},
            {"packets", packets_ + pending_packets_},
            {"octets", octets_},
            {"failed", failed_},
            {"error", error_}};
}

} // namespace wlb::processd
