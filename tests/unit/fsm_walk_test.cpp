// SPDX-License-Identifier: GPL-2.0-only
// A long random walk through the state machine, beside a model that knows the promises only:
// one winner, the winner never reset, everybody else reset, the loser's origin unheard.
#include <algorithm>
#include <optional>
#include <random>
#include <string>

#include "fsm_flow.h"

namespace {

// Addresses: the server, replicas that may answer, one that may not.
enum Address { server, replica1, replica2, replica3, stranger, addresses };

class Walk {
public:
    explicit Walk(unsigned seed) : engine_(seed) { start(random32()); }

    void step()
    {
        if (!below(400))
            start(random32());
        if (below(3))
            far();
        else
            client();
    }

    // How often each verdict came, to see that the walk has been everywhere.
    unsigned seen[WLB_DROP + 1] = {};
    unsigned refused = 0, reopened = 0, closed = 0;

private:
    unsigned below(unsigned n)
    {
        return std::uniform_int_distribution<unsigned>(0, n - 1)(engine_);
    }
    u32 random32() { return static_cast<u32>(engine_()); }

    void promise(bool kept, const char *what)
    {
        if (!kept)
            FAIL("after " << steps_ << " segments: " << what << " (state " << int(m_.state)
                          << ", verdict " << verdict_ << ")");
    }

    bool carried() const { return winner_ && *winner_ != server; }

    void start(u32 isn)
    {
        isn_ = isn;
        nonce_ = static_cast<u16>(random32());
        wlb_fsm_start(&m_, isn, nonce_, random32());
        winner_.reset();
        all_refuse_ = !below(4);
        refusal_seen_ = asked_again_ = false;
        reopen_.reset();
        fins_ = 0;
    }

    void send(wlb_from from, const wlb_seg &seg)
    {
        steps_++;
        before_ = m_;
        verdict_ = wlb_fsm_segment(&m_, &seg, from, &stat_);
        seen[verdict_]++;
    }

    // What holds after every segment.
    void check_state()
    {
        promise((m_.state == WLB_FLOW_RACING) == !winner_, "racing with a winner, or none without");
        promise((m_.state == WLB_FLOW_TOMBSTONE) == (winner_ && *winner_ == server),
                "a tombstone is what is left of the server's win");
        promise(m_.isn == isn_, "the flow is of another SYN");
    }

    // A segment of the winning pair that is neither SYN nor RST.
    void check_fins(const wlb_seg &seg, wlb_dir dir)
    {
        if (seg.flags & FIN) {
            promise(!expected_ || (m_.flags & (1U << dir)), "a FIN in its place is believed");
            fins_ |= m_.flags & (1U << dir);
        }
        promise(int(m_.state) == (fins_ == 3 ? WLB_FLOW_CLOSING : WLB_FLOW_WON),
                "a flow closes by both FINs");
        closed += fins_ == 3;
    }

    void check_reset()
    {
        promise(m_.state ==
                    (stat_ == WLB_STAT_rst_out_of_window ? before_.state : u8{WLB_FLOW_CLOSING}),
                "a RST closes, or is out of the window");
    }

    wlb_seg near(u32 seq, u32 ack)
    {
        wlb_seg seg = segment_of(seq, ack, below(3) * 100, below(4) ? ACK : 0);
        switch (below(8)) {
        case 0:
            seg.flags |= RST;
            break;
        case 1:
            seg.flags |= FIN;
            seg.len++;
            break;
        default:
            break;
        }
        expected_ = below(10);
        if (!expected_)
            seg.seq = random32();
        return seg;
    }

    void client()
    {
        if (below(4)) {
            // behind what it has sent, to what it has got
            const bool known = carried();
            const wlb_seg seg = near(known ? m_.end[WLB_DIR_CLIENT] : isn_ + 1,
                                     known ? m_.end[WLB_DIR_SERVER] : random32());
            send(WLB_FROM_CLIENT, seg);
            promise(verdict_ == (carried() ? WLB_CARRY : WLB_PASS),
                    "the client's segments go to the winner");
            if (carried())
                seg.flags &RST ? check_reset() : check_fins(seg, WLB_DIR_CLIENT);
            check_state();
            return;
        }

        const u32 seq = below(2) ? isn_ : reopen_ && below(2) ? *reopen_ : isn_ + 1 + below(100000);
        send(WLB_FROM_CLIENT, segment_of(seq, 0, 1, SYN));
        if (verdict_ == WLB_RENEW) {
            promise(seq != isn_, "a repeated SYN starts no other race");
            start(seq);
        } else if (!winner_) {
            promise((verdict_ == WLB_RACE || verdict_ == WLB_RACE_PLAIN) && seq == isn_,
                    "a SYN without a winner races");
            promise(verdict_ != WLB_RACE_PLAIN || !refusal_seen_,
                    "who has refused has had the tag");
            asked_again_ |= refusal_seen_;
        } else if (*winner_ == server) {
            promise(verdict_ == WLB_PASS && seq == isn_, "the SYN of the server's flow is its own");
        } else {
            promise(verdict_ == WLB_CARRY, "a SYN with a winner goes to it");
            if (seq != isn_)
                reopen_ = seq;
        }
        check_state();
    }

    void far()
    {
        const auto address = static_cast<Address>(below(addresses));
        const bool is_winner = winner_ && *winner_ == address;
        const wlb_from from = address == server     ? WLB_FROM_SERVER
                              : is_winner           ? WLB_FROM_WINNER
                              : address == stranger ? WLB_FROM_STRANGER
                                                    : WLB_FROM_REPLICA;
        if (below(2) && (winner_ || !all_refuse_))
            answer(address, from, is_winner);
        else
            other(address, from, is_winner);
        promise(!(carried() && address == server) || verdict_ == WLB_DROP || verdict_ == WLB_RESET,
                "nothing of the server reaches the client in a replica's flow");
        promise(address != stranger || verdict_ == WLB_PASS, "a stranger has no say");
        promise(verdict_ != WLB_RACE && verdict_ != WLB_RACE_PLAIN && verdict_ != WLB_RENEW,
                "races start at the client");
        check_state();
    }

    void answer(Address address, wlb_from from, bool is_winner)
    {
        wlb_seg seg = segment_of(random32(), isn_ + 1, 1, SYN | ACK);
        if (!below(4))
            seg.ack = reopen_ && below(2) ? *reopen_ + 1 : random32();
        if (below(3)) {
            seg.has_nonce = true;
            seg.nonce = below(3) ? nonce_ : static_cast<u16>(random32());
        }
        const bool ours = seg.ack == isn_ + 1;
        const bool nonce_good = !seg.has_nonce || seg.nonce == nonce_;
        send(from, seg);

        promise(!is_winner || verdict_ != WLB_RESET, "a winner is never reset");
        if (verdict_ == WLB_WIN || verdict_ == WLB_WIN_SERVER) {
            promise(!winner_, "a second winner");
            promise(ours, "a win without an answer to the SYN");
            promise(verdict_ == WLB_WIN ? from == WLB_FROM_REPLICA && nonce_good
                                        : from == WLB_FROM_SERVER,
                    "a win of somebody who may not");
            winner_ = address;
            return;
        }
        promise(winner_ || !ours || address == stranger ||
                    (from == WLB_FROM_REPLICA && !nonce_good),
                "a good answer does not win");
        if (!winner_)
            promise(verdict_ == WLB_PASS || verdict_ == WLB_DROP, "no winner, nothing to do");
        else if (is_winner)
            promise(verdict_ == (carried() ? WLB_CARRY : WLB_PASS), "the winner may repeat itself");
        else if (ours && address != stranger)
            promise(verdict_ == WLB_RESET, "a loser is not reset");
        else
            promise(verdict_ == WLB_PASS || (carried() && address == server),
                    "what answers no SYN of ours is not ours to reset");

        // a new connection with the same winner; the flow remembers 16 bits of its SYN
        if (from == WLB_FROM_WINNER && !ours && reopen_ &&
            static_cast<u16>(*reopen_) == static_cast<u16>(seg.ack - 1) && m_.isn != isn_) {
            isn_ = seg.ack - 1;
            reopen_.reset();
            fins_ = 0;
            reopened++;
            promise(m_.state == WLB_FLOW_WON, "a new connection is open");
        }
    }

    void other(Address address, wlb_from from, bool is_winner)
    {
        wlb_seg seg = is_winner && carried() ? near(m_.end[WLB_DIR_SERVER], m_.end[WLB_DIR_CLIENT])
                                             : near(random32(), isn_ + 1);
        if (!below(3) && !is_winner)
            seg.flags = RST | ACK;
        const bool refusal =
            (seg.flags & (RST | ACK)) == (RST | ACK) && seg.ack == isn_ + 1 && !winner_;
        send(from, seg);

        if (is_winner && carried()) {
            promise(verdict_ == WLB_CARRY, "the winner's segments are carried");
            if (m_.isn == isn_)
                seg.flags &RST ? check_reset() : check_fins(seg, WLB_DIR_SERVER);
        } else if (refusal && address != stranger) {
            if (verdict_ == WLB_PASS) {
                promise(address == server && asked_again_,
                        "a refusal reaches the client before the others had a chance");
                winner_ = server;
                refused++;
            } else {
                promise(verdict_ == WLB_DROP, "a refusal is dropped");
                promise(address != server || !asked_again_, "the client waits for a refusal");
                refusal_seen_ |= address == server;
            }
        } else if (!(carried() && address == server)) {
            promise(verdict_ == WLB_PASS, "the rest is none of ours");
        }
    }

    std::mt19937 engine_;
    wlb_fsm m_{}, before_{};
    wlb_verdict verdict_ = WLB_PASS;
    int stat_ = WLB_NO_STAT;
    unsigned long steps_ = 0;
    u32 isn_ = 0;
    u16 nonce_ = 0;
    std::optional<Address> winner_;
    bool all_refuse_ = false, refusal_seen_ = false, asked_again_ = false;
    std::optional<u32> reopen_; // new SYN that the winner was sent
    unsigned fins_ = 0;
    bool expected_ = false; // the segment begins where its sender's last one ended
};

} // namespace

TEST_CASE("a million random segments", "[fsm]")
{
    Walk walk(20250101);
    for (int i = 0; i < 1000000; i++)
        walk.step();
    for (const unsigned times : walk.seen)
        CHECK(times > 500);
    CHECK(walk.refused > 500);
    CHECK(walk.reopened > 500);
    CHECK(walk.closed > 500);
}
