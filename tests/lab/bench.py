# SPDX-License-Identifier: GPL-2.0-only
"""What a packet costs, in instructions: ours, plain forwarding and contenders in one run, one
kernel, by one injector. scripts/bench.sh runs this; docs/benchmarks.md says what rows mean.

A namespace with a device towards clients and one towards servers, which send into nothing;
packets come from the injector. The machine's clock counts instructions, and each row is a
packet's whole life but its predecessors': made, received, forwarded, sent, freed."""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import time

from wlblab import farm, inject, kernel, netlink, wlb
from wlblab.host import Host, wait_until
from wlblab.inject import Packet
from wlblab.netlink import address, attr, u8, u16s
from wlblab.packets import ACK, LINUX, SYN, ip as any_ip, pack, segment, tag

OUT = os.environ.get("WLB_OUT", "/run/wlb/out")
FIGURES = kernel.REPO / "tests" / "bench" / "figures.json"
CONTENDERS = ("nf_tables", "nft_chain_nat", "nf_nat", "nft_flow_offload", "nf_flow_table",
              "nf_flow_table_inet", "nf_conntrack", "ip_vs", "ip_vs_rr", "ipip", "ip6_tunnel")
# A clock that skips idle time may skip any amount of it while a file is read.
AGES = 1e6
REPEAT = 3
PIECES = 50
REPLICAS = 16
PORT, OTHER_PORT = 80, 8080
FIRST_PORT = 1024
MANY = 10000
CLIENTS = {4: "10.1.0.2", 6: "2001:db8:1::2"}
SERVER = {4: "10.2.0.10", 6: "2001:db8:2::a"}
GATEWAY = {4: "10.2.0.1", 6: "2001:db8:2::1"}
PAYLOAD = bytes(64)
GRE = {4: b"\0\0\x08\0", 6: b"\0\0\x86\xdd"}
GRE_WCCP = b"\0\0\x88\x3e"
GRE_PROTO = 47


def replica(family, number=0):
    return f"10.2.0.{11 + number}" if family == 4 else f"2001:db8:2::{11 + number:x}"


def neighbours(family):
    return [SERVER[family], *(replica(family, i) for i in range(REPLICAS))]


@dataclasses.dataclass(frozen=True)
class Row:
    """Cost of one kind of packet, over that of forwarding `base` by the same device."""
    name: str
    packet: Packet
    device: str
    sent: dict              # {device: packets that leave by it, for each injected}
    base: Packet = None
    base_device: str = None
    flows: int = 1
    first: bool = False     # each flow's first packet: no warming up
    count: int = 0          # packets at a time, if not as many as usual
    before: tuple = ()      # ((packet, device), ...): what makes it a known connection


def ip(source, target, payload, **kwargs):
    """An IP packet as TCP and we send them: not to be fragmented."""
    return any_ip(source, target, payload, fragment=0x4000, **kwargs)


def heads(family):
    """Offset of the low half of the source address, of the destination's, length of header."""
    return (14, 18, 20) if family == 4 else (22, 38, 40)


def outwards(family, flags=ACK, dport=PORT, options=b"", payload=PAYLOAD, **kwargs):
    """Of a client to the server; of another port and then another client in each flow."""
    low, _, head = heads(family)
    raw = ip(CLIENTS[family], SERVER[family], segment(
        CLIENTS[family], SERVER[family], FIRST_PORT, dport, flags, 1000, 0 if flags == SYN else 1,
        options, payload))
    return Packet(raw, port_at=head, host_at=low, **kwargs)


def inwards(family, source, flags=ACK, ack=1000, options=b"", payload=PAYLOAD, **kwargs):
    """Of somebody to a client's port."""
    _, low, head = heads(family)
    raw = ip(source, CLIENTS[family], segment(
        source, CLIENTS[family], PORT, FIRST_PORT, flags, 1, ack, options, payload))
    return Packet(raw, port_at=head + 2, host_at=low, **kwargs)


def wrapped(packet, source, target, gre):
    """In GRE."""
    family = packet.family
    head = heads(family)[2]
    inner = head + len(gre)
    raw = ip(source, target, gre + packet.raw, proto=GRE_PROTO)
    return dataclasses.replace(packet, raw=raw, port_at=packet.port_at + inner,
                               host_at=packet.host_at + inner, inner=inner if family == 4 else 0)


class Bench:
    def __init__(self, quick=False, only=None, family=None, profile=False):
        """quick: few packets of each row, and one flow; only, family: the rows with these
        words in their names; profile: count the first such row's instructions by block."""
        self.quick = quick
        self.only = only
        self.families = (family,) if family else (4, 6)
        self.profile = profile
        self.count = 4000 if quick else 20000
        self.rows = []
        self.bases = {}
        self.host = Host("gw")

    def build(self):
        host = self.host
        subprocess.run(["ip", "netns", "add", host.name], check=True)
        lines = ["link set lo up"]
        for device, side in (("c0", 9), ("s0", 2)):
            lines += [f"link add {device} type dummy", f"link set {device} up",
                      f"address add 10.{side}.0.1/24 dev {device}",
                      f"address add 2001:db8:{side}::1/64 dev {device} nodad"]
        for via, wide in (("10.9.0.2", "10.1.0.0/16"), ("2001:db8:9::2", "2001:db8:1::/48")):
            lines += [f"neigh add {via} lladdr 02:00:00:00:00:01 dev c0 nud permanent",
                      f"route add {wide} via {via}"]
        for family in (4, 6):
            for number, who in enumerate(neighbours(family)):
                lines.append(f"neigh add {who} lladdr 02:00:00:00:01:{number:02x} dev s0 "
                             "nud permanent")
        self.run("ip", "-batch", "-", stdin="\n".join(lines))
        host.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1,
                    net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__c0__rp_filter=0,
                    net__ipv4__conf__s0__rp_filter=0)

    def run(self, *args, **kwargs):
        return self.host.run(*args, timeout=AGES, **kwargs)

    def ctl(self):
        ctl = wlb.Wlbctl(self.host)
        ctl.patience = AGES
        return ctl

    def sent(self):
        """Packets that have left by each device."""
        with self.host.entered():
            lines = pathlib.Path("/proc/thread-self/net/dev").read_text(encoding="ascii")
        fields = [line.replace(":", " ").split() for line in lines.splitlines()[2:]]
        return {name: int(numbers[9]) for name, *numbers in fields}

    def once(self, packet, device, count, flows, sent, what="forward", **kwargs):
        """Instructions, or ns, per packet; all have left by the devices that they should.
        @what: the row's name."""
        before = self.sent()
        value = inject.run(self.host, packet, device, count, flows, **kwargs)
        after = self.sent()
        grown = {d: (after[d] - before[d]) / count for d in ("c0", "s0")}
        if any(grown[d] != sent.get(d, 0) for d in grown):
            raise AssertionError(f"{what}: packets sent per packet: {grown}, should be {sent}")
        return value

    def cost(self, packet, device, count, flows, sent, repeat=REPEAT, **kwargs):
        return statistics.median(self.once(packet, device, count, flows, sent, **kwargs)
                                 for _ in range(repeat))

    def forward(self, packet, device):
        """What plain forwarding costs: in a namespace where nothing else is."""
        to = {"c0": "s0", "s0": "c0"}[device]
        inject.run(self.host, packet, device, 200)
        self.bases[packet, device] = self.cost(packet, device, self.count, 1, {to: 1})

    def plan(self, rows):
        """Measures what these rows are compared with, while nothing is configured."""
        for row in rows:
            base = row.base or row.packet, row.base_device or row.device
            if base not in self.bases:
                self.forward(*base)

    def measure(self, row):
        count = row.flows if row.first else row.count or self.count
        for packet, device in row.before * 3:
            inject.run(self.host, packet, device, row.flows, row.flows)
        if not row.first:
            inject.run(self.host, row.packet, row.device, max(200, row.flows), row.flows)
        if self.profile and self.only in row.name:
            self.profiled(row, count)
            return
        # A flow has one first packet, so this one cannot be repeated; in its pieces nobody else
        # had something to do but in a few, such as the flow worker, or whoever waited for a time
        # that the clock has leapt to.
        more = {"repeat": 1, "piece": count // PIECES} if row.first else {}
        value = self.cost(row.packet, row.device, count, row.flows, row.sent, what=row.name,
                          **more)
        if self.profile:
            return
        base = self.bases[row.base or row.packet, row.base_device or row.device]
        self.rows.append({"name": row.name, "family": row.packet.family, "flows": row.flows,
                          "instructions": round(value), "forward": round(base),
                          "added": round(value - base)})
        print(f"{row.name:44} IPv{row.packet.family} {row.flows:8} flows {value:8.0f} "
              f"{value - base:+8.0f}", flush=True)

    def profiled(self, row, count):
        """Once; what came of it is the plugin's to write."""
        value = inject.run(self.host, row.packet, row.device, count, row.flows, profile=True)
        self.rows.append({"name": row.name, "count": count})
        print(f"{row.name}, IPv{row.packet.family}: {value:.0f} instructions", flush=True)
        pathlib.Path("/proc/sys/kernel/kptr_restrict").write_text("0", encoding="ascii")
        symbols = pathlib.Path("/proc/kallsyms").read_text(encoding="ascii")
        pathlib.Path(OUT, "kallsyms").write_text(symbols, encoding="ascii")
        pathlib.Path(OUT, "profiled").write_text(str(count), encoding="ascii")
        way = {"c0": "client -> server", "s0": "server -> client"}
        pathlib.Path(OUT, "base").write_text(
            f"forward, {way[row.base_device or row.device]}", encoding="ascii")

    def group(self, setup, rows):
        """Rows that one configuration is made for. A row may need what those before it have
        left behind."""
        wanted = [i for i, r in enumerate(rows) if not self.only or self.only in r.name]
        if not wanted or (self.profile and self.rows):
            return
        rows = rows[:wanted[0] + 1 if self.profile else wanted[-1] + 1]
        self.plan(rows)
        with setup():
            for row in rows:
                self.measure(row)

    # What is measured.

    @contextlib.contextmanager
    def nothing(self):
        yield

    @contextlib.contextmanager
    def rules(self, text):
        self.run("nft", "-f", "-", stdin=text)
        try:
            yield
        finally:
            self.run("nft", "flush", "ruleset")

    @contextlib.contextmanager
    def ipvs(self, family, how):
        """Without conntrack, and taking connections that it has not seen begin."""
        names = {4: SERVER[4], 6: f"[{SERVER[6]}]"}, {4: replica(4), 6: f"[{replica(6)}]"}
        service, real = (f"{n[family]}:{PORT}" for n in names)
        lo = f"{SERVER[family]}/{32 if family == 4 else 128}"
        self.host.sysctl(net__ipv4__vs__sloppy_tcp=1)
        # a kernel of ours has no IP_VS_NFCT, and so nothing to switch off
        with contextlib.suppress(FileNotFoundError):
            self.host.sysctl(net__ipv4__vs__conntrack=0)
        self.run("ip", "address", "add", lo, "dev", "lo")
        self.run("ipvsadm", "-A", "-t", service, "-s", "rr")
        self.run("ipvsadm", "-a", "-t", service, "-r", real, how)
        try:
            yield
        finally:
            self.run("ipvsadm", "-C")
            self.run("ip", "address", "del", lo, "dev", "lo")

    @contextlib.contextmanager
    def config(self, text):
        ctl = self.ctl()
        ctl.apply(text)
        try:
            yield
        finally:
            ctl.apply("")

    def client_gateway(self, family, fastpath="off"):
        text = wlb.table("client-gateway", inside=["c0"], max_flows=4 << 20,
                         client_quota=65536, timeouts={"dead": "0s"})
        return text + wlb.table("client-gateway.service", array=True, name="web", ports=[PORT],
                                replicas=["10.2.0.0/24" if family == 4 else "2001:db8:2::/64"],
                                fastpath=fastpath)

    def restore(self, family, flows, ret, via=None, until=math.inf):
        """Flows that a replica has won, which end in two hours or at that time, all at once."""
        life = 7200000
        parts = [address(1, CLIENTS[family]), u16s(2, FIRST_PORT), address(3, SERVER[family]),
                 u16s(4, PORT), address(5, replica(family)), u8(6, 1), attr(7, life),
                 attr(8, 999), u8(9, ret), *([u8(10, via)] if via is not None else []),
                 attr(11, 1000), attr(12, 1), attr(13, 1), attr(14, 1000), u8(15, 0), u16s(16, 0)]
        with netlink.Wlb(self.host) as ctl:
            body = struct.pack("=BBH", netlink.FLOW_NEW, 1, 0) + attr(netlink.FLOW, parts)
            one = struct.pack("=IHHII", 16 + len(body), ctl.family, 1, 0, 0) + body
            port_at = one.index(u16s(2, FIRST_PORT)) + 4
            host_at = one.index(pack(CLIENTS[family])) + len(pack(CLIENTS[family])) - 2
            life_at = one.index(attr(7, life)) + 4
            low = struct.unpack("!H", pack(CLIENTS[family])[-2:])[0]
            batch = 64
            for start in range(0, flows, batch):
                size = min(batch, flows - start)
                left = round(min(life, 1000 * (until - time.monotonic())))
                data = bytearray(one[:life_at] + struct.pack("=I", left) + one[life_at + 4:]) * size
                for i in range(size):
                    at, flow = i * len(one), start + i
                    struct.pack_into("=H", data, at + port_at, FIRST_PORT + flow % 16384)
                    struct.pack_into("!H", data, at + host_at, low + flow // 16384)
                ctl.socket.send(data)
        found = self.ctl().stats()["flows"]
        assert found == flows, f"{found} flows put back of {flows}"

    @contextlib.contextmanager
    def carried(self, family, flows, ret, via=None, fastpath="off"):
        with self.config(self.client_gateway(family, fastpath)):
            self.restore(family, flows, ret, via)
            yield

    def scales(self, *more):
        return (1,) if self.quick else (1, *more)

    def forwarding(self, family):
        out, back = outwards(family), inwards(family, SERVER[family])
        self.group(self.nothing, [
            Row("forward, client -> server", out, "c0", {"s0": 1}),
            Row("forward, server -> client", back, "s0", {"c0": 1})])
        if not self.quick:
            self.group(self.nothing, [
                Row("forward, 10000 flows", out, "c0", {"s0": 1}, flows=MANY)])

    def contenders(self, family):
        out = outwards(family)
        to = replica(family) if family == 4 else f"[{replica(family)}]"
        kind = {4: "ip", 6: "ip6"}[family]
        back = inwards(family, replica(family))
        both = ((out, "c0"), (back, "s0"))
        dnat = f"""table {kind} nat {{
            chain pre {{ type nat hook prerouting priority -100;
                {kind} daddr {SERVER[family]} tcp dport {PORT} dnat to {to}; }}
            chain post {{ type nat hook postrouting priority 100; }}
        }}"""
        flowtable = f"""table {kind} fast {{
            flowtable f {{ hook ingress priority 0; devices = {{ c0, s0 }}; }}
            chain forward {{ type filter hook forward priority 0; tcp dport {PORT} flow add @f; }}
        }}"""
        self.group(lambda: self.rules(dnat), [
            *([Row("nft DNAT, first packets", out, "c0", {"s0": 1}, flows=MANY, first=True)]
              if not self.quick else []),
            *(Row("nft DNAT, client -> server", out, "c0", {"s0": 1}, flows=n, before=both)
              for n in self.scales(MANY)),
            Row("nft DNAT, server -> client", back, "s0", {"c0": 1}, before=both)])
        self.group(lambda: self.rules(f"{dnat}\n{flowtable}"), [
            Row("nft DNAT and flowtable, client -> server", out, "c0", {"s0": 1},
                before=both),
            Row("nft DNAT and flowtable, server -> client", back, "s0", {"c0": 1}, before=both)])
        self.group(lambda: self.ipvs(family, "-m"), [
            *([Row("IPVS NAT, first packets", out, "c0", {"s0": 1}, flows=MANY, first=True)]
              if not self.quick else []),
            *(Row("IPVS NAT, client -> server", out, "c0", {"s0": 1}, flows=n)
              for n in self.scales(MANY)),
            Row("IPVS NAT, server -> client", back, "s0", {"c0": 1})])
        self.group(lambda: self.ipvs(family, "-i"), [
            Row("IPVS tunnel, client -> server", out, "c0", {"s0": 1})])

    def carrying(self, family):
        """Configurations A, B and C."""
        out, server = outwards(family), inwards(family, SERVER[family])
        own = inwards(family, replica(family))
        tunnelled = wrapped(server, replica(family), CLIENTS[family], GRE[family])
        for name, ret, via, back, more in (
                ("nat", 0, None, own, {}), ("spoof", 1, 0, server, {}),
                ("tunnel", 2, 0, tunnelled, {"base": server})):
            for path, label in (("off", ""), ("auto", ", fast path")):
                for flows in self.scales(MANY, 1000000) if name == "nat" else (1,):
                    count = max(self.count, min(flows, 100000))
                    self.group(
                        lambda f=flows, r=ret, v=via, p=path: self.carried(family, f, r, v, p), [
                            Row(f"{name}, client -> replica{label}", out, "c0", {"s0": 1},
                                flows=flows, count=count),
                            Row(f"{name}, replica -> client{label}", back, "s0", {"c0": 1},
                                flows=flows, count=count, **more)])

    def idle(self, family):
        """What is nobody's business."""
        other = outwards(family, dport=OTHER_PORT)
        self.group(lambda: self.config(self.client_gateway(family, "auto")), [
            Row("no service, client gateway on", other, "c0", {"s0": 1}),
            Row("no flow, client -> server", outwards(family), "c0", {"s0": 1}),
            Row("no flow, server -> client", inwards(family, SERVER[family]), "s0", {"c0": 1})])

    def races(self, family):
        """A SYN, the winner's answer, a loser's, which gets a reset."""
        flows = MANY
        syn = outwards(family, SYN, options=LINUX, payload=b"")
        answers = [inwards(family, replica(family, i), SYN | ACK, 1001, LINUX, b"")
                   for i in range(2)]
        self.group(lambda: self.config(self.client_gateway(family)), [
            Row("SYN, tagged, new entry", syn, "c0", {"s0": 1}, flows=flows, first=True),
            Row("winning answer", answers[0], "s0", {"c0": 1}, flows=flows, first=True),
            Row("losing answer and its reset", answers[1], "s0", {"s0": 1}, flows=flows,
                first=True)])

    def cloning(self, family):
        syn = outwards(family, SYN, options=LINUX + tag(1), payload=b"")
        for n in (1, 4, 16):
            text = wlb.table("server-gateway") + wlb.table(
                "server-gateway.origin", array=True, name="www", server=SERVER[family],
                ports=[PORT], race="raw", source=GATEWAY[family], replicas=[
                    {"address": replica(family, i), "via": "gre"} for i in range(n)])
            self.group(lambda t=text: self.config(t), [
                Row(f"SYN cloned to {n}", syn, "c0", {"s0": 1 + n}, flows=MANY if n == 1 else 2000,
                    first=True)])

    @contextlib.contextmanager
    def redirected(self, family, assignment):
        with netlink.Wlb(self.host) as ctl:
            def set_groups(*groups):
                ctl.request(netlink.GROUP_SET, [attr(netlink.ROUTER, []), *groups])
            set_groups(farm.group(into=("c0",)))
            farm.Farm.assign_by(ctl, family, assignment)
            try:
                yield
            finally:
                set_groups()

    def redirecting(self, family):
        out, other = outwards(family), outwards(family, dport=OTHER_PORT)
        cache = replica(family)
        for way, label in ((farm.GRE, "GRE"), (farm.L2, "L2")):
            one = farm.Assignment([(cache, way, farm.GRE)], bytes(256))
            rows = [Row(f"WCCP hash, {label}", out, "c0", {"s0": 1})]
            if way == farm.GRE:
                returned = wrapped(out, cache, GATEWAY[family], GRE_WCCP + bytes(4))
                rows += [Row("WCCP miss", other, "c0", {"s0": 1}),
                         Row("WCCP returned by GRE", returned, "s0", {"s0": 1}, base=out,
                             base_device="c0")]
            self.group(lambda a=one: self.redirected(family, a), rows)
            if family == 4:
                for name, port in (("first", FIRST_PORT), ("last", FIRST_PORT + 63)):
                    masks = [(0, 0, 0x3f, 0, {v: 0 for v in range(64)})]
                    values = farm.Assignment([(cache, way, farm.GRE)], masks=masks)
                    raw = bytearray(out.raw)
                    struct.pack_into("!H", raw, 20, port)
                    packet = dataclasses.replace(out, raw=bytes(raw))
                    self.group(lambda a=values: self.redirected(family, a), [
                        Row(f"WCCP mask, {name} of 64 values, {label}", packet, "c0",
                            {"s0": 1})])

    def large(self, family):
        """A packet of 44 segments, as GRO makes them, and packets that come in bursts."""
        payload = 44 * 1380
        raw = bytearray(outwards(family, payload=b"").raw)
        if family == 4:
            struct.pack_into("!H", raw, 2, len(raw) + payload)
        else:
            struct.pack_into("!H", raw, 4, len(raw) - 40 + payload)
        big = dataclasses.replace(outwards(family), raw=bytes(raw), fill=payload, gso_size=1380)
        burst = dataclasses.replace(outwards(family), burst=32)
        for name, ret, via in (("nat", 0, None), ("tunnel", 2, 0)):
            for path, label in (("off", ""), ("auto", ", fast path")):
                self.group(lambda r=ret, v=via, p=path: self.carried(family, 1, r, v, p), [
                    Row(f"{name}, client -> replica, GSO of 44{label}", big, "c0", {"s0": 1}),
                    Row(f"{name}, client -> replica, bursts of 32{label}", burst, "c0",
                        {"s0": 1})])

    def all(self):
        for family in self.families:
            self.forwarding(family)
        kernel.load()
        for family in self.families:
            self.group(self.nothing, [
                Row("no role, module loaded", outwards(family), "c0", {"s0": 1})])
        for family in self.families:
            self.idle(family)
            self.carrying(family)
            self.races(family)
            self.cloning(family)
            self.redirecting(family)
            self.large(family)
        # Last: what they leave behind, IPVS its hooks, is not for others to pay.
        for family in self.families:
            if not self.quick:
                self.contenders(family)


def key(row):
    return f"{row['name']}, IPv{row['family']}"


def regressions(rows):
    """What rows cost more than the committed figures and 3 % of the whole packet. Of what
    is added to forwarding: that itself is the kernel's, whose next version may differ."""
    committed = json.loads(FIGURES.read_text(encoding="utf-8"))
    for row in rows:
        figure = committed.get(key(row))
        if figure is None:
            yield f"{key(row)}: no figure in {FIGURES.name}: see docs/benchmarks.md"
        elif row["added"] > figure["added"] + figure["instructions"] * 0.03:
            yield (f"{key(row)}: {row['added']:+} instructions over forwarding, "
                   f"{figure['added']:+} in {FIGURES.name}")
    for name in sorted(committed.keys() - {key(row) for row in rows}):
        yield f"{name}: in {FIGURES.name}, but not measured"


def main():
    """usage: bench.py full|quick|profile; the environment: ROWS, words in rows' names, and
    FAMILY, 4 or 6."""
    began = time.monotonic()
    mode = sys.argv[1]
    # The clock skips what is waited for, so nothing may be loaded on demand.
    subprocess.run(["modprobe", "-a", "dummy", *(CONTENDERS if mode == "full" else ())],
                   check=True)
    inject.load()
    bench = Bench(mode != "full", os.environ.get("ROWS"), int(os.environ.get("FAMILY") or 0),
                  mode == "profile")
    bench.build()
    wait_until("devices are up", lambda: bench.sent().keys() >= {"c0", "s0"})
    bench.all()
    if mode == "profile":
        sys.exit(0 if bench.rows else "bench: no such row")
    with open(f"{OUT}/packets.json", "w", encoding="utf-8") as file:
        json.dump({"kernel": os.uname().release, "commit": os.environ.get("WLB_COMMIT"),
                   "packets": bench.rows}, file, indent=1)
    print(f"bench: {len(bench.rows)} rows, {time.monotonic() - began:.0f} s of the machine's")
    wrong = list(regressions(bench.rows)) if mode == "quick" and not bench.only else []
    for line in wrong:
        print(f"bench: {line}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
