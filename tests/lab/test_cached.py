# SPDX-License-Identifier: GPL-2.0-only
"""wlb-cached beside Squid, nginx and HAProxy, with two routers that run wlb-routerd: who joins,
who gets what, and what becomes of pages when something dies."""

import signal
import time

import pytest

from wlblab import netlink, proxies, site, wccp, web
from wlblab.cached import Cached
from wlblab.host import wait_until
from wlblab.http import Http

T = 0.5                 # s, the shortest interval
ROUTER = {"service": "web-cache", "redirect_in": ["lan0"],
          "group_list": ["10.2.0.0/24", "2001:db8::/32"]}
PROBE = {"http": f"http://127.0.0.1:{proxies.PROBE}/", "interval": "200ms", "timeout": "200ms",
         "rise": 2, "fall": 2}


@pytest.fixture(scope="module")
def world(leaks):
    with site.lab() as net:
        net.proxies = {name: kind(net[name]) for name, kind in
                       zip(site.CACHES, (proxies.Squid, proxies.Nginx, proxies.Haproxy))}
        yield net


class Play:
    """Daemons of one test."""

    def __init__(self, net):
        self.net = net
        self.routers = {name: wccp.Routerd(net[name]) for name in site.ROUTERS}
        self.caches = {name: Cached(net[name]) for name in site.CACHES}

    def group(self, name, family=4, **keys):
        """A [[cache.group]] of both routers."""
        return {"service": "web-cache", "address": self.net.caches[name][family],
                "routers": [a[family] for a in self.net.routers.values()], "interval": "500ms",
                "deliver": self.net.proxies[name].deliver, "probe": PROBE, **keys}

    def start(self, *names, family=4, router=None, host=None, **keys):
        for daemon in self.routers.values():
            if daemon.child is None:
                daemon.start({**ROUTER, **(router or {})})
        for name in names:
            self.caches[name].start(self.group(name, family, **keys), **(host or {}))

    def shares(self, family=4, router="r1", group="web-cache"):
        """{name of a cache: buckets or values}"""
        names = {a[family]: name for name, a in self.net.caches.items()}
        return {names[a]: n for a, n in self.routers[router].shares(family, group).items()}

    def dealt(self, *names, family=4, total=256, within=30):
        """Waits until these and no others have all buckets at both routers; seconds it took."""
        began = time.monotonic()

        def is_dealt():
            for router in site.ROUTERS:
                shares = self.shares(family, router)
                if shares.keys() != set(names) or sum(shares.values()) != total or \
                        not all(shares.values()):
                    return False
            return True
        wait_until(f"{names} have all buckets", is_dealt, within)
        return time.monotonic() - began

    def ready(self, name, family=4):
        """What a cache shows once both routers have told it that they have the buckets."""
        def is_ready():
            shown = self.caches[name].show(family)
            return [r["state"] for r in shown["routers"]] == ["ready", "ready"] and shown
        return wait_until("both routers say that they have the buckets", is_ready, 15)

    def served(self, family=4):
        """Whose pages both clients get."""
        return {self.net.who(client, family, origin) for client in ("c1", "c2")
                for origin in range(site.ORIGINS)}

    def owners(self, router="r1"):
        table = self.routers[router].show(what="assignment")["table"]
        return [bucket and bucket["cache"] for bucket in table["buckets"]]

    def close(self):
        for cache in self.caches.values():
            if cache.child:
                cache.stop()
        for router in self.routers.values():
            if router.child:
                router.kill(15)
        for name, proxy in self.net.proxies.items():
            if proxy.child is None:
                proxy.start()
            self.net[name].run("nft", "flush", "ruleset")
        for client in ("c1", "c2"):
            self.net[client].run("ip", "route", "flush", "cache")


@pytest.fixture
def play(world):
    play = Play(world)
    yield play
    play.close()


@pytest.mark.parametrize("name", site.CACHES)
def test_proxy(play, name, family):
    """Each proxy serves what both routers redirect, the second time from what it keeps; the
    doctor finds nothing."""
    play.start(name, family=family)
    assert play.net.who("c1", family) == "s"        # nobody has dealt anything yet
    play.dealt(name, family=family)
    assert play.served(family) == {name}
    before = play.net["s"].sockets("state", "all", "sport", "=", "80")
    assert play.served(family) == {name}
    assert len(play.net["s"].sockets("state", "all", "sport", "=", "80")) <= len(before)
    shown = play.ready(name, family)
    assert [r["share"] for r in shown["routers"]] == [256, 256]
    assert shown["designated"] == play.net.caches[name][family] and shown["reflected"]
    assert shown["proxy"]["state"] == "works"
    for what in ("summary", "detail", "counters"):
        assert "web-cache" in play.caches[name].ctl.run("cache", "show", "web-cache", what).stdout
    assert play.caches[name].doctor() == (0, [])


@pytest.mark.parametrize("way", ["gre", "l2"])
@pytest.mark.parametrize("assignment,total", [("hash", 256), ("mask", 64)])
def test_three(play, family, way, assignment, total):
    """Buckets or values by weight, to one nearly; each router the same."""
    play.start(family=family)
    for name, weight in (("k3", 100), ("k2", 200), ("k1", 100)):
        play.start(name, family=family, weight=weight, forwarding=[way], assignment=[assignment],
                   **{"return": [way]})
    play.dealt(*site.CACHES, family=family, total=total)
    wanted = {"k1": total // 4, "k2": total // 2, "k3": total // 4}
    for router in site.ROUTERS:
        shares = play.shares(family, router)
        assert all(abs(shares[name] - n) <= 1 for name, n in wanted.items()), shares
    assert play.served(family) <= set(site.CACHES)
    assert play.caches["k3"].show(family)["designated"] == play.net.caches["k1"][family]


def test_dead_proxy(play):
    """A proxy that dies takes its cache out of the group at once; no page is lost after that,
    and it comes back by itself. The others' buckets stay where they are."""
    play.start(*site.CACHES)
    play.dealt(*site.CACHES)
    before = play.owners()
    play.net.proxies["k3"].stop()
    began = time.monotonic()
    wait_until("the routers know", lambda: all("k3" not in play.shares(router=router)
                                               for router in site.ROUTERS), 5)
    took = time.monotonic() - began
    assert took < 0.2 * 2 + 0.2 + T + 0.5, took     # two failed probes, and a message
    assert play.served() <= {"k1", "k2", "s"}
    play.dealt("k1", "k2")
    after = play.owners()
    theirs = play.net.caches["k3"][4]
    assert all(a == b for a, b in zip(before, after) if a != theirs)
    assert play.served() == {"k1", "k2"}
    assert "does not work" in play.caches["k3"].show()["proxy"]["state"]
    status, findings = play.caches["k3"].doctor()
    assert status == 1 and any("nobody listens" in f["finding"] for f in findings)
    play.net.proxies["k3"].start()
    play.dealt(*site.CACHES)
    # It gets back what it had, but for the one bucket that three cannot share.
    assert sum(a != b for a, b in zip(before, play.owners())) <= 1


def test_between_death_and_news(play):
    """As long as routers have not heard of the proxy's death they get new connections back."""
    play.start("k1", probe={**PROBE, "fall": 1})
    play.dealt("k1")
    # Nothing that the cache says arrives any more.
    for router in site.ROUTERS:
        play.net[router].run("nft", "add table ip deaf; add chain ip deaf input "
                             "{ type filter hook input priority 0; }; "
                             "add rule ip deaf input udp dport 2048 drop")
    play.net.proxies["k1"].stop()
    wait_until("its death is known", lambda: play.caches["k1"].about()["returned-share"] == 1)
    assert play.shares() == {"k1": 256}
    assert play.served() == {"s"}
    for router in site.ROUTERS:
        play.net[router].run("nft", "delete", "table", "ip", "deaf")


def test_designated_dies(play):
    """The lowest cache's host falls silent; the next one deals, and moves only what was its."""
    play.start(*site.CACHES)
    play.dealt(*site.CACHES)
    before = play.owners()
    play.caches["k1"].kill(signal.SIGKILL)
    play.dealt("k2", "k3")
    theirs = play.net.caches["k1"][4]
    assert all(a == b for a, b in zip(before, play.owners()) if a != theirs)
    assert play.caches["k3"].show()["designated"] == play.net.caches["k2"][4]
    play.caches["k1"].start()
    play.dealt(*site.CACHES)
    assert sum(a != b for a, b in zip(before, play.owners())) <= 1


def test_killed(play):
    """kill -9 and a new daemon within the routers' patience: no page is lost, nothing is dealt
    anew, and the kernel goes on meanwhile."""
    play.start("k1", "k2", interval="5s")
    play.dealt("k1", "k2", within=60)
    key = play.routers["r1"].show()["key"]
    play.caches["k2"].kill(signal.SIGKILL)
    mine = [i for i in range(site.ORIGINS) if play.net.who("c1", 4, i) == "k2"]
    assert mine
    play.caches["k2"].start()
    assert "taken over with" in play.caches["k2"].log()
    assert play.served() == {"k1", "k2"}
    time.sleep(16)
    assert play.served() == {"k1", "k2"}
    assert play.routers["r1"].show()["key"] == key


def test_drain(play):
    """A drained cache gets nothing new, and ends what it has begun; resumed it is back."""
    play.start("k3", "k2", router={"drain": "1m"})
    play.dealt("k3", "k2")
    mine = next(i for i in range(site.ORIGINS) if play.net.who("c1", 4, i) == "k3")
    download = web.Download(play.net["c1"], play.net.origins[4][mine])
    download.read(100000)
    play.caches["k3"].ctl.run("cache", "drain", "web-cache")
    play.dealt("k2")
    assert play.served() == {"k2"}
    assert play.caches["k3"].show()["drained"]
    assert download.finish()
    play.caches["k3"].ctl.run("cache", "resume")
    play.dealt("k3", "k2")
    assert not play.caches["k3"].show()["drained"]


def test_leave(play):
    """SIGTERM: the routers know before the daemon is gone, and nothing stays behind."""
    play.start("k1", "k2")
    play.dealt("k1", "k2")
    began = time.monotonic()
    play.caches["k1"].stop()
    assert time.monotonic() - began < 3
    assert play.shares().keys() == {"k2"} and play.shares(router="r2").keys() == {"k2"}
    host = play.net["k1"]
    assert "wlb_cache" not in host.out("nft", "list", "tables")
    assert "2048" not in host.out("ip", "rule")
    assert not host.out("ip", "route", "show", "table", "all").count("table 2048")


def test_slow_start(play):
    """A cache that joins has an eighth of its weight at first, and all of it in the end."""
    play.start("k1", slow_start="4s")
    play.dealt("k1")
    play.start("k2", slow_start="4s")
    play.dealt("k1", "k2")
    first = play.shares()["k2"]
    assert first < 100, first
    wait_until("k2 has its half", lambda: play.shares()["k2"] == 128, 30)


def test_bypass(play, family):
    """A page that the server shows to the client's own address alone: through the cache it is
    refused; returned to the router it comes."""
    play.start("k1", family=family)
    play.dealt("k1", family=family)
    server = play.net.origins[family][3]
    client = play.net["c1"]

    def status():
        return client.out("curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %header{x-proxy}",
                          web.url(server, "mine")).strip()
    assert status() == "403 k1"
    ctl = play.caches["k1"].ctl
    ctl.run("bypass", "add", server, "--lifetime", "1h")
    assert status() == "200"
    assert play.net.who("c1", family, 2) == "k1"
    counters = ctl.counters()
    assert counters["cache_learned"] > 0
    ctl.run("bypass", "del", server)
    assert status() == "403 k1"
    # By the configuration, and for one client alone.
    play.caches["k1"].configure(
        play.group("k1", family),
        bypass=[f"{play.net.clients['c1'][family]} -> {server}"])
    ctl.run("cache", "reload")
    assert status() == "200"
    assert play.net.who("c2", family, 3) == "k1"


def test_overload(play):
    """Near its limit of connections new ones are returned, those there are stay; later it
    serves everybody again."""
    play.start("k3", host={"overload": {"connections": 60}})
    play.dealt("k3")
    held = []
    names = []
    for i in range(80):
        sock = play.net["c1"].connect(play.net.origins[4][i % site.ORIGINS], 80)
        held.append(sock)
        time.sleep(0.05)
    assert play.caches["k3"].about()["returned-share"] > 0
    for sock in held:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        names.append("k3" if b"k3" in sock.recv(4096) else "s")
    assert {"k3", "s"} == set(names), names
    for sock in held:
        sock.close()
    wait_until("it is at rest again",
               lambda: play.caches["k3"].about()["returned-share"] == 0, 30)
    assert play.served() == {"k3"}


def test_dynamic_mask_password(play, tmp_path):
    """A dynamic service, mask assignment, MD5; with another password nothing happens, and both
    ends say why."""
    secret, wrong = tmp_path / "secret", tmp_path / "wrong"
    secret.write_text("sesame\n")
    wrong.write_text("open\n")
    for file in (secret, wrong):
        file.chmod(0o600)
    service = {"id": 80, "ports": [80, 8080], "hash": ["source-ip"], "priority": 200}
    router = {**ROUTER, "service": 80, "password_file": str(secret)}
    for daemon in play.routers.values():
        daemon.start(router)
    play.caches["k1"].start(play.group("k1", service=service, password_file=str(wrong),
                                       assignment=["mask"]))
    time.sleep(3 * T)
    assert play.served() == {"s"}
    refused = play.routers["r1"].show(group="80")["messages"]["refused"]
    assert refused["not authentic"] > 0
    status, findings = play.caches["k1"].doctor()
    assert status == 1 and len([f for f in findings if "does not answer" in f["finding"]]) == 2
    play.caches["k1"].configure(play.group("k1", service=service, password_file=str(secret),
                                           assignment=["mask"]))
    play.caches["k1"].ctl.run("cache", "reload")
    wait_until("the values are dealt", lambda: all(
        play.shares(4, name, "80") == {"k1": 64} for name in site.ROUTERS), 20)
    assert play.served() == {"k1"}


def test_multicast(play, family):
    """Found without being told an address."""
    where = {4: "239.1.1.1", 6: "ff05::77"}[family]
    for daemon in play.routers.values():
        daemon.start({**ROUTER, "group_address": where, "group_listen": ["dmz0"]})
    group = play.group("k3", family, group_address=where, group_interface="lan0")
    del group["routers"]
    play.caches["k3"].start(group)
    play.dealt("k3", family=family)
    assert play.served(family) == {"k3"}
    assert all(r["multicast"] for r in play.caches["k3"].show(family)["routers"])


def test_both_in_one_host(play):
    """A router may be the other one's cache: each daemon has its own addresses."""
    play.start("k1")
    play.dealt("k1")
    host = play.net["r1"]
    host.run("ip", "address", "add", "10.2.0.9/24", "dev", "dmz0")
    other = Cached(host)
    other.configure({"service": "web-cache", "address": "10.2.0.9", "routers": ["10.2.0.2"],
                     "interval": "500ms", "weight": 1})
    other.start()
    try:
        wait_until("r2 counts r1", lambda: "10.2.0.9" in
                   [c["address"] for c in play.routers["r2"].show()["caches"]], 20)
        wait_until("r1 still hears k1", lambda: play.shares() == {"k1": 256})
        time.sleep(4 * T)
        assert play.shares() == {"k1": 256}
    finally:
        other.kill(15)
        host.run("ip", "address", "del", "10.2.0.9/24", "dev", "dmz0")


def test_reload(play):
    """What changed is taken, members stay; what is wrong is refused and changes nothing."""
    cache = play.caches["k1"]
    play.start("k1", "k2", weight=10)
    play.dealt("k1", "k2")
    cache.configure(play.group("k1", weight=30))
    cache.ctl.run("cache", "reload")
    wait_until("the weights count", lambda: play.shares() == {"k1": 192, "k2": 64}, 20)
    with open(cache.path, "a", encoding="utf-8") as file:
        file.write("[[cache.group]]\nservice = { id = 300 }\n")
    done = cache.ctl.run("cache", "reload", check=False)
    assert done.returncode == 1 and "k1-cached.toml:" in done.stderr and "0..255" in done.stderr
    assert play.shares() == {"k1": 192, "k2": 64}
    lines = cache.refused("[[cache.group]]\nservice = 'web-cache'\n")
    assert "k1-cached.toml:1:1" in lines and "address" in lines
    cache.configure(play.group("k1"))


def test_address_of_nobody(play):
    """An address that the host does not have is refused at once, by name."""
    text = ("[[cache.group]]\nservice = 'web-cache'\naddress = '10.2.0.99'\n"
            "routers = ['10.2.0.1']\n")
    said = play.caches["k1"].refused(text)
    assert "10.2.0.99" in said and "Cannot assign requested address" in said


def test_role_taken_away(play):
    """Somebody else has changed the kernel's role: the daemon puts it right."""
    play.start("k1")
    play.dealt("k1")
    with netlink.Wlb(play.net["k1"]) as ctl:
        ctl.request(netlink.CACHE_SET)
        wait_until("the role is there again",
                   lambda: len(ctl.request(netlink.CACHE_GET, (), True)) > 1, 20, 0.5)
    assert play.served() == {"k1"}


@pytest.mark.parametrize("fault,grade,finding", [
    (("nft", "delete", "table", "inet", "wlb_cache"), "fault", "no table inet wlb_cache"),
    (("ip", "rule", "del", "fwmark", "1", "lookup", "2048"), "fault", "no routing rule"),
    (("ip", "route", "flush", "table", "2048"), "fault", "no local default"),
    (("sysctl", "-qw", "net.ipv4.conf.lan0.rp_filter=1"), "warning", "rp_filter is strict"),
    (("sysctl", "-qw", "net.ipv4.conf.all.src_valid_mark=1"), "warning", "src_valid_mark"),
])
def test_doctor(play, fault, grade, finding):
    """Each fault is found, and its remedy mends it."""
    cache = play.caches["k3"]
    host = play.net["k3"]
    play.start("k3")
    play.dealt("k3")
    play.ready("k3")
    host.run(*fault)
    status, findings = cache.doctor()
    (found,) = [f for f in findings if finding in f["finding"]]
    assert found["grade"] == grade and found["consequence"]
    assert status == (1 if grade == "fault" else 0)
    if found["mend"] == "wlbctl cache setup":
        cache.setup()
    else:
        host.run(*found["mend"].split())
    assert cache.doctor() == (0, [])
    assert play.served() == {"k3"}


def test_dry_run(play):
    """The commands that would run, and none of them."""
    cache = play.caches["k1"]
    cache.configure(play.group("k1"))
    shown = cache.setup("--dry-run")
    assert "tproxy ip to :3129" in shown and "ip -4 rule add priority 2048 fwmark 1" in shown
    assert "wlb_cache" not in play.net["k1"].out("nft", "list", "tables")


@pytest.mark.whole
def test_http(play):
    """What wlb-cached serves of two routers, its proxy and the other caches."""
    play.start(*site.CACHES)
    play.dealt(*site.CACHES)
    play.ready("k1")
    assert play.served() == set(site.CACHES)
    http = Http(play.net["k1"], "cached")
    metrics = http.metrics()
    labels = 'group="web-cache",family="IPv4"'
    assert metrics[f'wlb_membership_routers{{{labels},state="ready"}}'] == 2
    assert metrics[f"wlb_proxy_up{{{labels}}}"] == metrics[f"wlb_membership_present{{{labels}}}"]
    assert metrics['wlb_role{role="cache"}'] == 1
    assert metrics['wlb_cache_packets_total{outcome="received"}'] > 10

    def agreed():
        """A cache learns what the others got with its routers' next messages."""
        shown = http.metrics()
        return all(shown.get(f'wlb_membership_cache_share{{{labels},cache="{address}"}}') == share
                   for address, share in play.routers["r1"].shares().items())
    wait_until("k1 shows the shares that r1 has", agreed, 15)
    http.keep()
