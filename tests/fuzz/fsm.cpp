// SPDX-License-Identifier: GPL-2.0-only
// include/wlb/fsm.h: any segments in any order, from whoever may send them.
// Input: 2 bytes of nonce, 4 of sequence number, then 12 bytes per segment.
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "check.h"
#include "wlb/fsm.h"

namespace {

constexpr wlb_timeouts timeouts{
    .racing = 1, .tombstone = 2, .established = 3, .closing = 4, .reset = 5};

// Each segment may move the window on by 2^26 at most: with more of them than this,
// figures that only ever grow would come round.
constexpr std::size_t most_segments = 24;

u32 be32(const std::uint8_t *p)
{
    return static_cast<u32>(p[0]) << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

class Flow {
public:
    Flow(u32 isn, u16 nonce) : isn_(isn), nonce_(nonce)
    {
        m_.flags = WLB_FSM_CALLER | WLB_FSM_RST; // as of the entry's former life
        wlb_fsm_start(&m_, isn, nonce, 1);
        check();
    }

    void segment(const std::uint8_t *in)
    {
        const bool carried = m_.state == WLB_FLOW_WON || m_.state == WLB_FLOW_CLOSING;
        auto from = static_cast<wlb_from>(in[0] % 5);
        if (from == WLB_FROM_WINNER && !carried)
            from = WLB_FROM_REPLICA; // callers take the winner from the flow
        wlb_seg seg{};
        seg.flags = in[1] & 0x3f;
        seg.seq = number(in[2], in + 4);
        seg.ack = number(in[3], in + 8);
        // sequence space as wlb_pkt_seg() counts it
        seg.len = in[0] / 5 % 4 * 700u + !!(seg.flags & WLB_TCP_SYN) + (seg.flags & WLB_TCP_FIN);
        seg.has_nonce = (in[1] & 0x40) != 0;
        seg.nonce = (in[1] & 0x80) != 0 ? nonce_ : static_cast<u16>(in[5] * 256 + in[9]);

        const wlb_fsm before = m_;
        int stat = 12345;
        const auto verdict = wlb_fsm_segment(&m_, &seg, from, &stat);
        CHECK(stat >= WLB_NO_STAT && stat < __WLB_STAT_MAX);
        check();
        transition(before, verdict, from, seg, stat);
        if (verdict == WLB_RENEW) {
            isn_ = seg.seq;
            nonce_ = static_cast<u16>(in[5] * 256 + in[9]);
            wlb_fsm_start(&m_, isn_, nonce_, 2);
            check();
        }
    }

private:
    // Near something that the flow knows, or anywhere.
    [[nodiscard]] u32 number(unsigned base, const std::uint8_t *p) const
    {
        const auto near = static_cast<u32>(static_cast<std::int16_t>(p[0] << 8 | p[1]));
        const bool carried = m_.state == WLB_FLOW_WON || m_.state == WLB_FLOW_CLOSING;
        switch (base % 8) {
        case 0:
            return m_.isn;
        case 1:
            return m_.isn + 1;
        case 2:
        case 3:
            return (carried ? m_.end[base % 2] : m_.isn) + near;
        case 4:
        case 5:
            return (carried ? m_.ack[base % 2] : m_.isn) + near;
        case 6:
            return m_.isn + (near << 12);
        default:
            return be32(p);
        }
    }

    void check() const
    {
        const bool carried = m_.state == WLB_FLOW_WON || m_.state == WLB_FLOW_CLOSING;
        CHECK(m_.state < __WLB_FLOW_STATE_MAX);
        CHECK((m_.flags & WLB_FSM_CALLER) != 0);
        CHECK(carried || (m_.flags & (WLB_FSM_RST | WLB_FSM_REOPEN | WLB_FSM_ASKED)) == 0);
        // until somebody has won, the FINs' places tell of the SYN: plain from its repetition on
        CHECK(carried || (m_.flags & WLB_FSM_UNTAGGED) == 0 || (m_.flags & WLB_FSM_REPEATED) != 0);
        // silent since it was asked
        CHECK((m_.flags & WLB_FSM_REOPEN) == 0 || (m_.flags & WLB_FSM_ASKED) != 0);
        CHECK(!carried || (m_.flags & (WLB_FSM_REFUSED | WLB_FSM_RETRIED)) == 0);
        // asked again only after a refusal
        CHECK((m_.flags & WLB_FSM_RETRIED) == 0 || (m_.flags & WLB_FSM_REFUSED) != 0);
        const bool closes =
            (m_.flags & WLB_FSM_RST) != 0 || (m_.flags & WLB_FSM_FIN_BOTH) == WLB_FSM_FIN_BOTH;
        CHECK(!carried || closes == (m_.state == WLB_FLOW_CLOSING));
        // nobody has acknowledged what was not sent
        for (const int dir : {WLB_DIR_CLIENT, WLB_DIR_SERVER})
            CHECK(!carried || !wlb_after(m_.ack[dir], m_.end[1 - dir]));
        const u32 timeout = wlb_fsm_timeout(&m_, &timeouts);
        switch (m_.state) {
        case WLB_FLOW_RACING:
            CHECK(timeout == timeouts.racing);
            break;
        case WLB_FLOW_TOMBSTONE:
            CHECK(timeout == timeouts.tombstone);
            break;
        case WLB_FLOW_WON:
            CHECK(timeout == timeouts.established);
            break;
        default:
            CHECK(timeout == ((m_.flags & WLB_FSM_RST) != 0 ? timeouts.reset : timeouts.closing));
        }
    }

    void transition(const wlb_fsm &before, wlb_verdict verdict, wlb_from from, const wlb_seg &seg,
                    int stat)
    {
        const bool unchanged = std::memcmp(&before, &m_, sizeof(m_)) == 0;
        const bool was_carried = before.state == WLB_FLOW_WON || before.state == WLB_FLOW_CLOSING;
        const bool is_carried = m_.state == WLB_FLOW_WON || m_.state == WLB_FLOW_CLOSING;
        const bool racing = before.state == WLB_FLOW_RACING;
        const bool answers = (seg.flags & WLB_TCP_SYN) != 0 && (seg.flags & WLB_TCP_ACK) != 0 &&
                             seg.ack == before.isn + 1;

        const bool raced = verdict == WLB_RACE || verdict == WLB_RACE_PLAIN;
        CHECK((raced || verdict == WLB_RENEW) <= (from == WLB_FROM_CLIENT));
        CHECK(verdict != WLB_RENEW || unchanged);
        CHECK(!raced || racing);
        CHECK(verdict != WLB_RACE_PLAIN || !(before.flags & WLB_FSM_REFUSED));
        CHECK(verdict != WLB_CARRY || was_carried);
        CHECK(from != WLB_FROM_STRANGER || (verdict == WLB_PASS && unchanged));
        CHECK(from != WLB_FROM_WINNER || verdict == WLB_CARRY);
        // one winner, once, by an answer to this SYN
        CHECK((verdict == WLB_WIN) == (racing && is_carried));
        CHECK(verdict != WLB_WIN || (from == WLB_FROM_REPLICA && answers &&
                                     (!seg.has_nonce || seg.nonce == before.nonce)));
        CHECK(verdict != WLB_WIN_SERVER || (from == WLB_FROM_SERVER && answers && racing));
        CHECK(!was_carried || is_carried);
        CHECK(before.state != WLB_FLOW_TOMBSTONE || m_.state == WLB_FLOW_TOMBSTONE);
        CHECK((verdict == WLB_WIN_SERVER || stat == WLB_STAT_race_refused) ==
              (racing && m_.state == WLB_FLOW_TOMBSTONE));
        // losers are reset, and it changes nothing
        CHECK(verdict != WLB_RESET || (answers && !racing && unchanged));
        CHECK(from != WLB_FROM_SERVER || !was_carried ||
              ((verdict == WLB_DROP || verdict == WLB_RESET) && unchanged));
        CHECK(from == WLB_FROM_CLIENT || from == WLB_FROM_WINNER || !was_carried || unchanged);
        CHECK(stat != WLB_STAT_rst_out_of_window || unchanged);
        // of another connection only if the client has asked the winner for it
        CHECK(m_.isn == before.isn ||
              (from == WLB_FROM_WINNER && (before.flags & WLB_FSM_ASKED) != 0 &&
               before.nonce == static_cast<u16>(m_.isn)));
        if (was_carried && m_.isn == before.isn)
            for (const int dir : {WLB_DIR_CLIENT, WLB_DIR_SERVER}) {
                CHECK(!wlb_before(m_.end[dir], before.end[dir]));
                CHECK(!wlb_before(m_.ack[dir], before.ack[dir]));
                CHECK(m_.end[dir] - before.end[dir] <= 2 * WLB_FSM_WINDOW);
            }
    }

    wlb_fsm m_{};
    u32 isn_;
    u16 nonce_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    constexpr std::size_t start = 6, each = 12;
    if (size < start || size > start + most_segments * each)
        return 0;
    Flow flow(be32(data + 2), static_cast<u16>(data[0] << 8 | data[1]));
    for (std::size_t at = start; at + each <= size; at += each)
        flow.segment(data + at);
    return 0;
}
