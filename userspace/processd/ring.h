// SPDX-License-Identifier: GPL-2.0-only
// Copies in files of pcapng (draft-ietf-opsawg-pcapng), of which there are so many of such a
// size at most: when the one that is written is full the oldest goes. They are of mode 0600:
// what clients say is nobody else's business.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/file.h"
#include "processd/sink.h"
#include "wlb/result.h"

namespace wlb::processd {

class Ring : public Sink {
public:
    // Begins a new file. What is there by its name is the last one from then on; an error if
    // that is no pcapng file.
    static Result<std::unique_ptr<Sink>> open(const ProcessCopy &copy);
    ~Ring() override;

    void take(Octets packet, std::chrono::nanoseconds time) override;
    void flush() override;
    [[nodiscard]] Json show() const override;

private:
    explicit Ring(ProcessCopy copy);

    [[nodiscard]] std::string path(std::int64_t age) const;
    Status rotate();
    void put_head();
    [[nodiscard]] bool has_room(std::size_t octets) const;
    void lose(const Error &error);

    daemon::File file_;
    std::vector<std::uint8_t> pending_; // whole blocks that are not written yet
    std::uint64_t pending_packets_ = 0;
    std::int64_t written_ = 0; // octets of the file
    std::uint64_t packets_ = 0;
    std::uint64_t octets_ = 0;
    std::uint64_t failed_ = 0; // packets that could not be written
    std::string error_;        // the last reason
};

} // namespace wlb::processd
