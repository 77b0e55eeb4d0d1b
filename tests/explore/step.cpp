// SPDX-License-Identifier: GPL-2.0-only
#include "step.h"

#include <cstring>

#include "gateway.h"

namespace {

// A blind guess is farther off than WLB_FSM_WINDOW.
constexpr u32 blind = 1U << 27;
constexpr u8 forged_nonce = 0xff;

enum Forgery : u8 {
    answer_wrong_nonce,
    answer_of_stranger,
    answer_wrong_ack,
    host_rst,
    host_rst_near,
    host_rst_old,
    host_fin,
    client_rst,
    client_fin,
    client_syn,
    forgeries
};

struct Step : Gateway {
    void client_sends(const Segment &s, u8 to, bool last = false, bool forged = false)
    {
        Packet p = packet(Hop::from_client, to, s);
        p.last = last;
        p.attempt = w.current;
        p.forged = forged;
        if (scenario.lan) {
            put(p);
            return;
        }
        tell("client -> " + std::string(host_names[to]) + ": " + show(s));
        out(p);
    }
    void host_sends(u8 host, const Segment &s, bool last = false)
    {
        Packet p = packet(Hop::from_host, host, s);
        p.last = last;
        p.attempt = attempt_of(w.hosts[host].irs);
        if (p.attempt == unknown_attempt) {
            p.attempt = 0;
            p.last = false;
        }
        put(p);
    }

    void client_gets(const Packet &p)
    {
        End &c = w.client;
        const Tcp before = c.state;
        std::optional<Segment> reply;
        if (p.seen == server)
            reply = c.client_gets(p.s);
        else
            reply = End::unknown(p.s);
        if (before == Tcp::syn_sent && c.state == Tcp::open) {
            w.client_peer = p.host;
            check(!p.forged, "what is forged connects to nobody");
        }
        if (c.state == Tcp::closed)
            w.client_peer = nobody;
        if (reply)
            client_sends(*reply, p.seen);
    }

    void host_gets(const Packet &p)
    {
        if (p.host >= max_hosts)
            return;
        End &e = w.hosts[p.host];
        const bool talked = w.talks(p.host);
        const std::optional<Segment> reply =
            e.server_gets(p.s, base_of(p.host) + (e.lives << 16) + 7);
        check(!p.ours || !talked || w.talks(p.host), "no reset of the gateway ends a connection");
        if (reply)
            host_sends(p.host, *reply);
    }

    void deliver(const Packet &p)
    {
        switch (p.hop) {
        case Hop::from_client:
            tell("client -> " + std::string(host_names[p.host]) + " at the gateway: " + show(p.s));
            out(p);
            break;
        case Hop::to_client:
            tell(std::string(host_names[p.host]) + " as " + host_names[p.seen] +
                 " -> client: " + show(p.s));
            client_gets(p);
            break;
        case Hop::from_host:
            tell(std::string(host_names[p.host]) + " -> client at the gateway: " + show(p.s));
            in(p);
            break;
        default:
            tell(std::string(p.ours ? "gateway" : "client") + " -> " + host_names[p.host] + ": " +
                 show(p.s));
            host_gets(p);
        }
    }

    void connect(u8 attempt)
    {
        w.current = attempt;
        w.client_peer = nobody;
        w.client.begin(Tcp::syn_sent, isns[attempt], 0);
        w.client.lives = 0;
        client_sends(w.client.syn(), server);
    }

    void forge(Forgery what)
    {
        const u8 host = w.flow.winner == nobody ? server : w.flow.winner;
        const wlb_fsm &m = w.flow.m;
        Packet p = packet(Hop::from_host, host, {});
        p.forged = true;
        const u32 isn = w.client.iss, theirs = w.hosts[host < max_hosts ? host : 0].nxt;
        switch (what) {
        case answer_wrong_nonce: // in the winner's name it is as good as in any server's without us
            p.host = w.flow.winner == 1 ? 2 : 1;
            p.nonce = forged_nonce;
            p.s = {base_of(p.host) + 0x1234, isn + 1, SYN | ACK, 1};
            break;
        case answer_of_stranger:
            p.host = stranger;
            p.s = {base_of(stranger) + 0x1234, isn + 1, SYN | ACK, 1};
            break;
        case answer_wrong_ack:
            p.host = 1;
            p.s = {base_of(1) + 0x1234, isn + 78, SYN | ACK, 1};
            break;
        case host_rst:
            p.s = {theirs + blind, 0, RST, 0};
            break;
        case host_rst_near: // where the gateway may believe it, and the client need not
            p.s = {w.hosts[host].una, 0, RST, 0};
            break;
        case host_rst_old:
            p.s = {w.hosts[host].iss + 1, 0, RST, 0};
            break;
        case host_fin:
            p.s = {theirs + blind, w.client.nxt, FIN | ACK, 1};
            break;
        case client_rst:
            client_sends({w.client.nxt + blind, 0, RST, 0}, server, false, true);
            return;
        case client_fin:
            client_sends({w.client.nxt + blind, w.client.rcv, FIN | ACK, 1}, server, false, true);
            return;
        default:
            client_sends({m.isn + 0x5000, 0, SYN, 1}, server, false, true);
            return;
        }
        tell("forged in the name of " + std::string(host_names[p.host]) + ": " + show(p.s));
        in(p);
    }

    // --- what must hold whatever happened

    void consistent()
    {
        const Flow &f = w.flow;
        const End &c = w.client;
        if (f.there) {
            check(f.timer == wlb_fsm_timeout(&f.m, &timeouts), "an entry's timer is its state's");
            const bool carried = f.m.state == WLB_FLOW_WON || f.m.state == WLB_FLOW_CLOSING;
            check(carried == (f.winner != nobody), "who is carried has a winner");
            check(!carried || !w.talks(w.client_peer) || f.winner == w.client_peer,
                  "what is carried is the connection that both ends have");
        }
        if (c.state != Tcp::open && c.state != Tcp::time_wait)
            return;
        for (u8 h = 0; h < scenario.hosts; h++) {
            const End &e = w.hosts[h];
            if (e.state != Tcp::open || e.irs != c.iss)
                continue;
            check(h == w.client_peer, "one host has the client's connection");
            check(h != w.client_peer || e.iss == c.irs, "both ends agree on their numbers");
        }
    }

    void expire()
    {
        const u8 winner = w.flow.winner;
        tell("the entry's time is over");
        check(!w.talks(winner), "the entry outlives its connection");
        forget_flow();
    }

    void happen(Event event)
    {
        const u8 arg = event.arg;
        End &c = w.client;
        End *e = arg < max_hosts ? &w.hosts[arg] : nullptr;
        const std::string name = story ? host_names[arg & 7] : "";
        switch (event.what) {
        case What::connect:
            w.begun = true;
            connect(0);
            break;
        case What::deliver:
            deliver(take(arg));
            break;
        case What::twice:
            w.left.twice--;
            tell("delivered, and still in flight:");
            deliver(w.flight[arg]);
            break;
        case What::lose:
            w.left.lose--;
            tell("lost: " + show(take(arg).s));
            break;
        case What::client_again:
            if (c.state == Tcp::syn_sent) {
                w.left.syns--;
                client_sends(c.syn(), server);
            } else {
                w.left.again--;
                client_sends(c.again(), server);
            }
            break;
        case What::client_give_up:
        case What::client_crash:
            (event.what == What::client_crash ? w.left.crash : w.left.give_up)--;
            tell("the client forgets its connection");
            c.end(Tcp::closed);
            w.client_peer = nobody;
            break;
        case What::client_later:
            connect(static_cast<u8>(1 + scenario.budget.later - w.left.later--));
            break;
        case What::client_earlier:
            w.left.earlier--;
            connect(earlier);
            break;
        case What::client_data:
            w.left.data--;
            client_sends(c.data(), server);
            break;
        case What::client_fin:
            w.left.fin--;
            client_sends(c.fin(), server);
            break;
        case What::client_abort: {
            w.left.abort--;
            const Segment rst = c.abort();
            c.end(Tcp::closed);
            w.client_peer = nobody;
            client_sends(rst, server, true);
            break;
        }
        case What::host_again:
            if (e->state == Tcp::half_open) {
                w.left.answers--;
                host_sends(arg, e->synack());
            } else {
                w.left.again--;
                host_sends(arg, e->again());
            }
            tell(name + " repeats itself");
            break;
        case What::host_forget:
            tell(name + " gives up its half-open connection");
            e->end(Tcp::listening);
            break;
        case What::host_data:
            w.left.data--;
            tell(name + " sends data");
            host_sends(arg, e->data());
            break;
        case What::host_fin:
            w.left.fin--;
            tell(name + " closes");
            host_sends(arg, e->fin());
            break;
        case What::host_abort: {
            w.left.abort--;
            tell(name + " aborts");
            host_sends(arg, e->abort(), true);
            e->end(Tcp::listening);
            break;
        }
        case What::host_die:
            w.left.die--;
            tell(name + " dies");
            e->end(Tcp::dead);
            break;
        case What::host_reboot:
            w.left.reboot--;
            tell(name + " forgets its connections");
            e->end(Tcp::listening);
            break;
        case What::host_stop:
        case What::host_refuse:
            (event.what == What::host_stop ? w.left.stop : w.left.refuse)--;
            tell(name + " refuses from now on");
            e->end(Tcp::refusing);
            break;
        case What::expire:
            expire();
            break;
        case What::forge:
            w.left.forge--;
            forge(static_cast<Forgery>(arg));
            break;
        }
        consistent();
    }
};

// Is the winner's oldest unacknowledged data on its way to the client?
bool data_coming(const World &w)
{
    for (u8 i = 0; i < w.packets; i++) {
        const Packet &p = w.flight[i];
        if (p.host == w.flow.winner && (p.hop == Hop::from_host || p.hop == Hop::to_client) &&
            p.s.len && !(p.s.flags & SYN) && p.s.seq == w.hosts[p.host].una)
            return true;
    }
    return false;
}

// Has the client acknowledged data of the winner, and the winner learned of it?
bool acknowledged(const World &w)
{
    const End &winner = w.hosts[w.flow.winner];
    return wlb_after(winner.una, winner.iss + 1);
}

} // namespace

void enabled(const World &w, const Scenario &scenario, std::vector<Event> &events)
{
    const auto add = [&](bool may, What what, unsigned arg = 0) {
        if (may)
            events.push_back({what, static_cast<u8>(arg)});
    };
    const Budget &left = w.left;
    const End &c = w.client;
    const bool asking = c.state == Tcp::syn_sent, open = c.state == Tcp::open;

    events.clear();
    if (!w.begun) {
        add(true, What::connect);
        for (u8 h = 0; h < scenario.hosts; h++)
            add(left.refuse && w.hosts[h].state == Tcp::listening, What::host_refuse, h);
        return;
    }
    for (u8 i = 0; i < w.packets; i++) {
        if (i && std::memcmp(&w.flight[i], &w.flight[i - 1], sizeof(Packet)) == 0)
            continue;
        add(true, What::deliver, i);
        add(left.twice, What::twice, i);
        add(left.lose, What::lose, i);
    }
    add((asking && left.syns) || (open && c.unacked() && left.again), What::client_again);
    add(asking && left.give_up, What::client_give_up);
    add((open || c.state == Tcp::time_wait) && left.crash, What::client_crash);
    // a port is not used again while a SYN of its last use is still on its way to the gateway
    bool reuse = c.state == Tcp::closed || c.state == Tcp::time_wait;
    for (u8 i = 0; i < w.packets; i++)
        reuse &= w.flight[i].hop != Hop::from_client || !(w.flight[i].s.flags & SYN);
    add(reuse && left.later, What::client_later);
    add(reuse && left.earlier, What::client_earlier);
    add(open && !c.fin_sent && left.data, What::client_data);
    add(open && !c.fin_sent && left.fin, What::client_fin);
    add(open && left.abort, What::client_abort);
    for (u8 h = 0; h < scenario.hosts; h++) {
        const End &e = w.hosts[h];
        const bool talking = e.state == Tcp::open, half = e.state == Tcp::half_open;
        add((half && left.answers) || (talking && e.unacked() && left.again), What::host_again, h);
        add(half && !w.packets, What::host_forget, h);
        add(talking && !e.fin_sent && left.data, What::host_data, h);
        add(talking && !e.fin_sent && left.fin, What::host_fin, h);
        add(talking && left.abort, What::host_abort, h);
        add((talking || half) && left.die, What::host_die, h);
        add((talking || half) && left.reboot, What::host_reboot, h);
        add(talking && left.stop, What::host_stop, h);
    }
    add(w.may_expire(scenario), What::expire);
    // A tombstone tracks nothing: it gives way to any new SYN, and so to a forged one. So does a
    // winner to a SYN that is repeated before its challenge has had the time to come back. A RST
    // that the gateway believes and the client does not is noticed if one of the two speaks again.
    for (u8 k = 0; left.forge && w.flow.there && k < forgeries; k++)
        add(k == client_syn      ? w.talks(w.flow.winner) && !w.packets
            : k == host_rst_near ? w.talks(w.flow.winner) && data_coming(w)
            : k == host_rst_old  ? w.talks(w.flow.winner) && acknowledged(w)
                                 : open || (asking && k < host_rst),
            What::forge, k);
}

const char *apply(World &world, const Scenario &scenario, Event event, std::string *story)
{
    Step step{{world, scenario, story}};
    step.happen(event);
    return step.failed;
}

const char *settle(const World &world, const Scenario &scenario, std::string *story)
{
    // nobody is left but the timers
    World alone = world;
    alone.client.end(Tcp::closed);
    alone.client_peer = nobody;
    for (End &e : alone.hosts)
        e.end(Tcp::listening);
    if (alone.flow.there && !alone.may_expire(scenario))
        return "an entry ends by its timer alone";

    World w = world;
    w.left = {};
    Step step{{w, scenario, story}};
    const End &c = w.client;
    for (int round = 0; round < 12; round++) {
        if (c.state == Tcp::syn_sent)
            step.client_sends(c.syn(), server);
        else if (c.state == Tcp::open && c.unacked())
            step.client_sends(c.again(), server);
        for (u8 h = 0; h < scenario.hosts; h++) {
            const End &e = w.hosts[h];
            if (e.state == Tcp::half_open)
                step.host_sends(h, e.synack());
            else if (e.state == Tcp::open && e.unacked())
                step.host_sends(h, e.again());
        }
        for (int i = 0; w.packets && i < 100; i++) {
            step.deliver(step.take(0));
            step.consistent();
        }
    }
    for (u8 h = 0; h < scenario.hosts; h++)
        step.check(w.hosts[h].state != Tcp::half_open || w.hosts[h].irs != c.iss,
                   "no answerer of the connection stays half open");
    // Not the server's of an attempt that the client has left, if a replica has the next one: its
    // answer is dropped, not reset, since the gateway does not answer what may be forged.
    const bool carried = w.flow.there && w.flow.winner != nobody;
    for (u8 h = carried ? 1 : 0; h < scenario.hosts; h++)
        step.check(w.hosts[h].state != Tcp::half_open, "no answerer stays half open");
    bool may_answer = w.hosts[server].state == Tcp::refusing;
    for (u8 h = 0; h < scenario.hosts; h++)
        may_answer |= w.hosts[h].state != Tcp::dead && w.hosts[h].state != Tcp::refusing;
    // whoever has won this SYN and died then is not replaced
    const u8 winner = carried ? w.flow.winner : server;
    const bool given = w.flow.there && w.flow.m.isn == c.iss && w.flow.m.state != WLB_FLOW_RACING &&
                       w.hosts[winner].state == Tcp::dead;
    step.check(c.state != Tcp::syn_sent || !may_answer || given, "a client that asks is answered");
    if (c.state == Tcp::open && c.unacked()) {
        step.check(!w.talks(w.client_peer), "what both ends send arrives");
        // who holds another connection of the client's challenges it for ever, without us too
        const Tcp to = w.hosts[winner].state;
        step.check(to == Tcp::dead || to == Tcp::open,
                   "a client whose connection is gone learns of it");
    }
    return step.failed;
}
