# SPDX-License-Identifier: GPL-2.0-only
r"""Topology T0.

 c1 --- lan0 \                           / r1 198.51.100.2   2001:db8:b:1::10
              cg --- wan0 --- core ------- r2 198.51.100.18  2001:db8:b:2::10
 c2 --- lan1 /                 |         \ r3 198.51.100.34  2001:db8:b:3::10
                              wan0
                               sg --- lan0 --- s  203.0.113.10  2001:db8:a::10

 c1   10.1.1.2  2001:db8:1:1::2     cg's end .1 / ::1; c2 in 10.1.2.0/24, 2001:db8:1:2::/64
 cg   10.9.1.1  2001:db8:9:1::1     core's end .2 / ::2
 sg   10.9.2.1  2001:db8:9:2::1     core's end .2 / ::2; toward the servers .1 / ::1
 r*   core's end .1, .17, .33 / ::1

One-way delays in ms: cg-core 1, core-sg 50, core-r1 5, core-r2 20, core-r3 35; one
netem per direction. The links to clients and servers have none.
Options: more servers (s, s2, ... 203.0.113.10, .11, ... on a bridge lan0 of sg), a
second server gateway sg2 between sg and the servers, no delays, another rp_filter.
"""

from . import web, wlb
from .net import Net

DELAYS = {"cg": 1, "s": 50, "r1": 5, "r2": 20, "r3": 35}


class T0(Net):
    def __init__(self, clients=2, servers=1, replicas=3, gateways=1, delays=True, rp_filter=0,
                 https=False):
        super().__init__(rp_filter)
        self.delays = {name: ms if delays else 0 for name, ms in DELAYS.items()}
        self.clients = [f"c{i}" for i in range(1, clients + 1)]
        self.servers = ["s", *(f"s{i}" for i in range(2, servers + 1))]
        self.replicas = [f"r{i}" for i in range(1, replicas + 1)]
        self.gateways = ["sg", "sg2"][:gateways]
        self.https = https
        self.address = {}           # (host, family) -> address
        self._describe()

    def _describe(self):
        self.add_host("cg", forward=True)
        self.add_host("core", forward=True)
        self.add_link("cg", "wan0", "core", "cg", ["10.9.1.1/24", "2001:db8:9:1::1/64"],
                      ["10.9.1.2/24", "2001:db8:9:1::2/64"], self.delays["cg"])
        self._default("cg", "10.9.1.2", "2001:db8:9:1::2")
        self.add_route("core", "10.1.0.0/16", "10.9.1.1")
        self.add_route("core", "2001:db8:1::/48", "2001:db8:9:1::1")
        for i, client in enumerate(self.clients, 1):
            self._leaf(client, "lan0", "cg", f"lan{i - 1}", f"10.1.{i}.2", f"10.1.{i}.1", 24,
                       f"2001:db8:1:{i}::2", f"2001:db8:1:{i}::1")
        for i, replica in enumerate(self.replicas, 1):
            net = 16 * (i - 1)
            self._leaf(replica, "wan0", "core", replica, f"198.51.100.{net + 2}",
                       f"198.51.100.{net + 1}", 28, f"2001:db8:b:{i}::10", f"2001:db8:b:{i}::1",
                       self.delays.get(replica, 0))
        previous, delay = "core", self.delays["s"]
        for i, gateway in enumerate(self.gateways, 2):
            up4, up6 = f"10.9.{i}.2", f"2001:db8:9:{i}::2"
            down4, down6 = f"10.9.{i}.1", f"2001:db8:9:{i}::1"
            self.add_host(gateway, forward=True)
            self.add_link(gateway, "wan0", previous, gateway, [f"{down4}/24", f"{down6}/64"],
                          [f"{up4}/24", f"{up6}/64"], delay)
            self._default(gateway, up4, up6)
            self.add_route(previous, "203.0.113.0/24", down4)
            self.add_route(previous, "2001:db8:a::/64", down6)
            if previous != "core":
                self.add_route("core", f"10.9.{i}.0/24", f"10.9.{i - 1}.1")
                self.add_route("core", f"2001:db8:9:{i}::/64", f"2001:db8:9:{i - 1}::1")
            previous, delay = gateway, 0
        self._servers(previous)

    def _servers(self, gateway):
        inside = ["203.0.113.1/24", "2001:db8:a::1/64"]
        bridged = len(self.servers) > 1
        if bridged:
            self.add_bridge(gateway, "lan0", [f"lan-{s}" for s in self.servers], inside)
        for i, server in enumerate(self.servers):
            self._leaf(server, "lan0", gateway, f"lan-{server}" if bridged else "lan0",
                       f"203.0.113.{10 + i}", "203.0.113.1", 24,
                       f"2001:db8:a::{10 + i}", "2001:db8:a::1", peer_has_addresses=not bridged)

    def _leaf(self, host, device, peer, peer_device, ip4, gw4, length4, ip6, gw6, delay=0,
              peer_has_addresses=True):
        self.add_host(host)
        self.add_link(host, device, peer, peer_device, [f"{ip4}/{length4}", f"{ip6}/64"],
                      [f"{gw4}/{length4}", f"{gw6}/64"] if peer_has_addresses else [], delay)
        self._default(host, gw4, gw6)
        self.address[host, 4] = ip4
        self.address[host, 6] = ip6

    def _default(self, host, via4, via6):
        self.add_route(host, "default", via4)
        self.add_route(host, "default", via6)

    def build(self, serve=True):
        super().build()
        for name in self.servers + self.replicas if serve else ():
            web.serve(self[name], self.https)
        return self

    def wlb(self, host):
        return wlb.Wlbctl(self[host])

    def flatten(self):
        """Takes the delays away; configure() then tells the gateway so."""
        self.no_netem()
        self.delays = dict.fromkeys(self.delays, 0)

    def clone_delay(self, replica):
        """One way from the server gateway to a replica, ms."""
        return self.delays["s"] + self.delays[replica]

    def hold(self):
        """D of race mode equal, ms."""
        return max(map(self.clone_delay, self.replicas))

    def connect_ms(self, winner, race=None):
        """Predicted time to connect when winner answers: wide-area race, F1."""
        if race == "direct":
            return 2 * (self.delays["cg"] + self.delays[winner])
        forth = self.delays["cg"] + self.delays["s"]
        if winner in self.replicas:
            away = self.hold() if race == "equal" else self.clone_delay(winner)
            return forth + away + self.delays[winner] + self.delays["cg"]
        return 2 * forth + (self.hold() if race == "equal" else 0)

    def config(self, race="raw", families=(4, 6), ports=(80, 443), via="gre", timeouts=None,
               client_gateway=None, service=None, origin=None, served=None):
        """{host: text of its configuration file}, every role in its place. The last
        four dictionaries add to or replace keys of the tables they are named after."""
        if served and served.get("return_") == "spoof":
            # what is trusted does not begin as tunnel; test_spoof.py has the others
            served = {"trust_path": True, **served}
        prefixes = {4: "198.51.100.0/24", 6: "2001:db8:b::/48"}
        gateways = {4: ["10.9.2.1"], 6: ["2001:db8:9:2::1"]}
        if (service or {}).get("race") == "direct":
            gateways = {4: [*gateways[4], "10.9.1.1"], 6: [*gateways[6], "2001:db8:9:1::1"]}
        text = {"cg": wlb.table("client-gateway", **{
            "inside": [f"lan{i}" for i in range(len(self.clients))],
            "timeouts": timeouts, **(client_gateway or {})})}
        text["cg"] += wlb.table("client-gateway.service", array=True, **{
            "name": "web", "ports": ports, "replicas": [prefixes[f] for f in families],
            **(service or {})})
        text["sg"] = ""
        for family in families:
            server = [self.address[s, family] for s in self.servers]
            text["sg"] += wlb.table("server-gateway.origin", array=True, **{
                "name": f"www{family}", "server": server, "ports": ports, "race": race,
                "replicas": [{"address": self.address[r, family], "via": via,
                              "delay": f"{self.clone_delay(r)}ms"} for r in self.replicas],
                **(origin or {})})
            for replica in self.replicas:
                text.setdefault(replica, "")
                text[replica] += wlb.table("replica.origin", array=True, **{
                    "name": f"www{family}", "server": server, "ports": ports,
                    "local": self.address[replica, family], "return_": "nat",
                    "clones_from": gateways[family], **(served or {})})
        return text

    def configure(self, **kwargs):
        """Applies config(**kwargs) on every host of it."""
        for host, text in self.config(**kwargs).items():
            self.wlb(host).apply(text)

    def offloads(self, value):
        """Large packets and checksums left to the devices, "on", or neither, "off"."""
        for host, device in [("cg", "wan0"), *((c, "lan0") for c in self.clients),
                             *(("cg", f"lan{i}") for i in range(len(self.clients))),
                             *((r, "wan0") for r in self.replicas)]:
            self[host].run("ethtool", "-K", device, "tx", value, "tso", value, "gso", value,
                           "gro", value)

    def own_origin(self):
        """Replicas have the servers' addresses too, and nobody hears of it: what the
        return modes spoof and tunnel need."""
        for name in self.replicas:
            self[name].sysctl(net__ipv4__conf__all__arp_ignore=1,
                              net__ipv4__conf__all__arp_announce=2)
            for server in self.servers:
                self[name].run("ip", "address", "add", f"{self.address[server, 4]}/32",
                               "dev", "lo")
                self[name].run("ip", "address", "add", f"{self.address[server, 6]}/128",
                               "dev", "lo", "nodad")

    def unconfigure(self):
        for host in ("cg", "sg", *self.replicas):
            self.wlb(host).apply("")

    def warm_up(self, families=(4, 6)):
        """Everybody on the way learns their neighbours, so that the first page of a
        measurement does not wait for them."""
        children = [self[client].popen("ping", "-n", "-q", "-c", 2, "-i", "0.3", "-W", 2,
                                       self.address[host, family], stdout=-3)
                    for client in self.clients for family in families
                    for host in self.servers + self.replicas]
        children += [self[self.gateways[0]].popen(
            "ping", "-n", "-q", "-c", 2, "-i", "0.3", "-W", 2, self.address[r, family], stdout=-3)
            for family in families for r in self.replicas]
        for child in children:
            child.wait(30)
