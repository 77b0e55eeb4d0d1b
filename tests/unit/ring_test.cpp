// SPDX-License-Identifier: GPL-2.0-only
// Copies in files of pcapng; tshark judges them in the lab.
#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "processd/ring.h"

using namespace wlb;
using processd::Ring;

namespace {

namespace fs = std::filesystem;

class Directory {
public:
    Directory() : path_(fs::temp_directory_path() / ("wlb-ring-" + std::to_string(getpid())))
    {
        fs::create_directory(path_);
    }
    Directory(const Directory &) = delete;
    Directory &operator=(const Directory &) = delete;
    ~Directory() { fs::remove_all(path_); }

    [[nodiscard]] ProcessCopy copy(std::int64_t files = 3) const
    {
        ProcessCopy copy;
        copy.name = "watch";
        copy.file = path_ / "watch.pcapng";
        copy.file_size = 65536;
        copy.files = files;
        return copy;
    }
    [[nodiscard]] std::set<std::string> names() const
    {
        std::set<std::string> names;
        for (const auto &entry : fs::directory_iterator(path_))
            names.insert(entry.path().filename());
        return names;
    }

private:
    fs::path path_;
};

using Packets = std::vector<std::vector<std::uint8_t>>;

struct Found {
    Packets packets;
    std::vector<std::uint32_t> lengths;
    std::vector<std::uint64_t> times;
};

std::uint32_t word(const std::string &data, std::size_t at)
{
    std::uint32_t value = 0;
    REQUIRE(at + sizeof(value) <= data.size());
    std::memcpy(&value, data.data() + at, sizeof(value));
    return value;
}

// By the draft, and nothing else may be there.
Found read(const fs::path &path)
{
    std::ifstream file(path, std::ios::binary);
    const std::string data{std::istreambuf_iterator<char>(file), {}};
    Found found;
    unsigned number = 0;
    for (std::size_t at = 0; at < data.size(); ++number) {
        const auto length = word(data, at + 4);
        REQUIRE(length % 4 == 0);
        REQUIRE(at + length <= data.size());
        REQUIRE(word(data, at + length - 4) == length);
        const std::uint32_t wanted = number == 0 ? 0x0a0d0d0a : number == 1 ? 1 : 6;
        REQUIRE(word(data, at) == wanted);
        if (number > 1) {
            const auto captured = word(data, at + 20);
            found.packets.emplace_back(data.begin() + static_cast<std::ptrdiff_t>(at) + 28,
                                       data.begin() +
                                           static_cast<std::ptrdiff_t>(at + 28 + captured));
            found.lengths.push_back(word(data, at + 24));
            found.times.push_back(std::uint64_t{word(data, at + 12)} << 32U | word(data, at + 16));
        }
        at += length;
    }
    CHECK(number >= 2);
    return found;
}

std::vector<std::uint8_t> packet(std::uint8_t mark, std::size_t size = 1001)
{
    std::vector<std::uint8_t> octets(size, mark);
    octets[0] = 0x45;
    octets[2] = 0x05; // of 1500
    octets[3] = 0xdc;
    return octets;
}

} // namespace

TEST_CASE("copies can be read again", "[process]")
{
    const Directory directory;
    const auto copy = directory.copy();
    auto ring = Ring::open(copy);
    REQUIRE(ring);
    (*ring)->take(packet(1), std::chrono::nanoseconds(1700000000123456789));
    std::vector<std::uint8_t> six(60, 0);
    six[0] = 0x60;
    six[5] = 100;
    (*ring)->take(six, std::chrono::seconds(1));
    (*ring)->flush();
    const auto found = read(copy.file);
    REQUIRE(found.packets.size() == 2);
    CHECK(found.packets[0] == packet(1));
    CHECK(found.packets[1] == six);
    CHECK(found.lengths == std::vector<std::uint32_t>{1500, 140});
    CHECK(found.times == std::vector<std::uint64_t>{1700000000123456789, 1000000000});
    struct stat status = {};
    REQUIRE(stat(copy.file.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);
    CHECK((*ring)->show().at("packets") == 2);
}

TEST_CASE("there are so many files of such a size at most", "[process]")
{
    const Directory directory;
    auto copy = directory.copy();
    auto ring = Ring::open(copy);
    REQUIRE(ring);
    for (unsigned i = 0; i < 1000; ++i)
        (*ring)->take(packet(static_cast<std::uint8_t>(i)), std::chrono::seconds(i));
    (*ring)->flush();
    CHECK(directory.names() ==
          std::set<std::string>{"watch.pcapng", "watch.pcapng.1", "watch.pcapng.2"});
    std::uint64_t next = 0;
    for (const auto *age : {".2", ".1", ""}) {
        CHECK(fs::file_size(copy.file + age) <= 65536);
        const auto found = read(copy.file + age);
        REQUIRE_FALSE(found.times.empty());
        for (const auto time : found.times) {
            CHECK((next == 0 || time == next));
            next = time + 1000000000;
        }
    }
    CHECK(next == 1000 * std::uint64_t{1000000000});
    CHECK((*ring)->show().at("packets") == 1000);

    // Fewer from now on.
    copy.files = 1;
    (*ring)->reconfigure(copy);
    for (unsigned i = 0; i < 100; ++i)
        (*ring)->take(packet(7), std::chrono::seconds(i));
    (*ring)->flush();
    CHECK(directory.names() == std::set<std::string>{"watch.pcapng"});
    CHECK_FALSE(read(copy.file).packets.empty());
}

TEST_CASE("what an earlier process has written is kept", "[process]")
{
    const Directory directory;
    const auto copy = directory.copy();
    for (std::uint8_t i = 1; i <= 5; ++i) {
        auto ring = Ring::open(copy);
        REQUIRE(ring);
        (*ring)->take(packet(i), std::chrono::seconds(i));
    }
    CHECK(directory.names().size() == 3);
    CHECK(read(copy.file).packets == Packets{packet(5)});
    CHECK(read(copy.file + ".2").packets == Packets{packet(3)});
}

TEST_CASE("no file but its own is taken for a copy's", "[process]")
{
    const Directory directory;
    const auto copy = directory.copy();
    std::ofstream(copy.file) << "somebody else's";
    const auto refused = Ring::open(copy);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message == copy.file + " is there already and is no pcapng file");
    CHECK(fs::file_size(copy.file) == 15);
    fs::remove(copy.file);
    fs::create_symlink("/etc/passwd", copy.file);
    CHECK_FALSE(Ring::open(copy));
    fs::remove(copy.file);
    fs::create_directory(copy.file);
    CHECK_FALSE(Ring::open(copy));
    auto nowhere = copy;
    nowhere.file += "-not/there";
    CHECK_FALSE(Ring::open(nowhere));
    CHECK(directory.names() == std::set<std::string>{"watch.pcapng"});
}

TEST_CASE("a full disk costs copies, not the file", "[process]")
{
    const Directory directory;
    const auto copy = directory.copy();
    auto ring = Ring::open(copy);
    REQUIRE(ring);
    (*ring)->take(packet(1), std::chrono::seconds(1));
    (*ring)->flush();
    // As a disk that ends within a block.
    rlimit before = {};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    auto *const handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small = {fs::file_size(copy.file) + 500, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    (*ring)->take(packet(2), std::chrono::seconds(2));
    (*ring)->flush();
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    std::signal(SIGXFSZ, handler);
    const auto shown = (*ring)->show();
    CHECK(shown.at("failed") == 1);
    CHECK(shown.at("error") == copy.file + ": File too large");
    (*ring)->take(packet(3), std::chrono::seconds(3));
    (*ring)->flush();
    CHECK(read(copy.file).packets == Packets{packet(1), packet(3)});
    CHECK((*ring)->show().at("error") == "");
    CHECK(directory.names().size() == 1);
}
