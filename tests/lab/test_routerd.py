# SPDX-License-Identifier: GPL-2.0-only
"""wlb-routerd with caches: made by hand, and Squid. Traffic is real, through the module and
the caches' ordinary tunnels."""

import json
import os
import signal
import time

import pytest

from wlblab import kernel, wccp, wccp_crowd, web
from wlblab.host import wait_until

T = 0.5                 # the shortest interval
LOST = 3 * T            # after which a silent cache is removed
GROUP = {"service": "web-cache", "redirect_in": ["lan0"],
         "group_list": ["10.2.0.0/24", "10.3.0.0/24", "2001:db8::/32"]}


@pytest.fixture
def router(world):
    router = wccp.Routerd(world["r"])
    router.caches = []
    yield router
    for cache in router.caches:
        if not cache._stop.is_set():
            cache.stop()
    if router.child:
        router.kill(15)
    world.reset()


@pytest.fixture
def farm(world):
    return world


def cache(router, farm, name, family=4, **kwargs):
    one = wccp.Cache(farm[name], farm.caches[name][family], farm.router[name][family], **kwargs)
    router.caches.append(one)
    return one


def dealt(router, farm, family, *names, group="web-cache"):
    """Waits until these and no others have all buckets."""
    wanted = {farm.caches[name][family] for name in names}

    def is_dealt():
        shares = router.shares(family, group)
        return shares.keys() == wanted and sum(shares.values()) == 256 and all(shares.values())
    wait_until(f"{names} have all buckets", is_dealt, 20)


def served(farm, family, count=8):
    """Who serves pages of several origins."""
    return {farm.who(family, origin) for origin in range(count)}


def test_join(router, farm, family):
    """Two caches join, the lower deals the buckets, each serves its own; tshark finds nothing
    wrong with what is said."""
    router.start(GROUP)
    assert farm.who(family) == "s"
    with farm["r"].capture("dmz0", "udp port 2048") as capture:
        for name in ("k2", "k1"):
            cache(router, farm, name, family)
        dealt(router, farm, family, "k1", "k2")
        time.sleep(2 * T)
    assert served(farm, family) == {"k1", "k2"}
    assert capture.fields(["wccp.message"], wccp.WRONG) == []
    kinds = {packet["wccp.message"][0] for packet in capture.fields(["wccp.message"], "wccp")}
    assert kinds == {"10", "11", "12"}
    shown = router.show(family)
    assert {c["state"] for c in shown["caches"]} == {"ready"}
    assert [c["share"] for c in shown["caches"]] == [128, 128]
    assert sum(c["packets"] for c in shown["caches"]) == shown["packets"]["gre"] > 8
    assert shown["visible"] == [farm.caches[n][family] for n in ("k1", "k2")]
    # The words of the command say what the packets did.
    for origin in range(4):
        flow = json.loads(router.ctl.run("-j", "wccp", "hash", "web-cache", farm.client[family],
                                         f"[{farm.origins[family][origin]}]:80").stdout)
        (group,) = flow["groups"]
        name = {farm.caches[n][family]: n for n in ("k1", "k2")}[group["flow"]["cache"]]
        assert farm.who(family, origin) == name
    for what in ("summary", "detail", "view", "service", "counters", "interfaces", "clients",
                 "assignment"):
        assert "web-cache" in router.ctl.run("wccp", "show", "web-cache", what).stdout


def test_l2(router, farm, family):
    router.start(GROUP)
    cache(router, farm, "k1", family, forwarding=wccp.L2, returning=wccp.L2)
    dealt(router, farm, family, "k1")
    assert farm.who(family) == "k1"
    assert router.show(family)["packets"]["l2"] > 3


def test_multicast(router, farm, family):
    """Caches that say HERE_I_AM to a group are answered there, in one message for all; one that
    asks the router itself is answered itself."""
    address = {4: "224.1.1.1", 6: "ff05::abcd"}[family]
    own = farm.router["k1"][family]
    router.start({**GROUP, "group_address": address, "group_listen": ["dmz0"], "source": [own]})
    with farm["r"].capture("dmz0", "udp port 2048") as capture:
        for name in ("k1", "k2"):
            cache(router, farm, name, family, group=address)
        dealt(router, farm, family, "k1", "k2")
        assert served(farm, family) == {"k1", "k2"}
        cache(router, farm, "k3", family)
        dealt(router, farm, family, "k1", "k2", "k3")
        time.sleep(2 * T)
    source, to = {4: ("ip.src", "ip.dst"), 6: ("ipv6.src", "ipv6.dst")}[family]
    said = capture.fields(["wccp.message", source, to], "wccp.message == 11")
    assert {packet[to][0] for packet in said} == {address}
    assert {packet[source][0] for packet in said} == {own}
    assert capture.fields(["wccp.message"], wccp.WRONG) == []
    assert len(said) < router.show(family)["messages"]["here-i-am"]


def test_behind_router(router, farm, family):
    """GRE reaches a cache some hops away; L2 does not, and the router says so."""
    router.start(GROUP)
    far = cache(router, farm, "k3", family, forwarding=wccp.L2)
    wait_until("k3 is refused", lambda: [
        c for c in router.show(family)["caches"] if "link" in c["why"]], 10)
    assert router.shares(family) == {} and farm.who(family) == "s"
    far.stop()
    cache(router, farm, "k3", family)
    dealt(router, farm, family, "k3")
    assert farm.who(family) == "k3"


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_dies(router, farm, mode):
    """C19: a cache that falls silent is removed after 3 T; its traffic goes straight to the
    server at once, or nowhere if the service is closed, and to the other cache as soon as
    that has dealt anew."""
    router.start({**GROUP, "mode": mode})
    first = cache(router, farm, "k1")
    cache(router, farm, "k2")
    dealt(router, farm, 4, "k1", "k2")
    before = router.show()["change-number"]
    began = time.monotonic()
    first.stop()
    wait_until("k1 is lost", lambda: farm.caches["k1"][4] not in router.shares(), 10)
    lost = time.monotonic() - began
    if mode == "open":
        assert served(farm, 4) <= {"k2", "s"}
    dealt(router, farm, 4, "k2")
    dealt_after = time.monotonic() - began
    assert router.show()["change-number"] > before
    assert served(farm, 4) == {"k2"}
    assert lost < LOST + 1.5 and dealt_after < LOST + 4, (lost, dealt_after)
    assert "service lost: 10.2.0.11" in router.log()
    # It comes back.
    cache(router, farm, "k1")
    dealt(router, farm, 4, "k1", "k2")
    assert served(farm, 4) == {"k1", "k2"}


def test_leaves(router, farm):
    """SHUTDOWN takes a cache's buckets away at once."""
    router.start(GROUP)
    leaving = cache(router, farm, "k1")
    cache(router, farm, "k2")
    dealt(router, farm, 4, "k1", "k2")
    leaving.shutdown = True
    wait_until("k1 has left", lambda: farm.caches["k1"][4] not in router.shares(), 2 * T + 0.5)
    assert served(farm, 4) <= {"k2", "s"}


def test_kill(router, farm, family):
    """The kernel goes on while there is no daemon; the next one takes over. No flow goes
    elsewhere meanwhile, and nobody's membership changes."""
    router.start(GROUP)
    for name in ("k1", "k2"):
        cache(router, farm, name, family)
    dealt(router, farm, family, "k1", "k2")
    pages = [farm.who(family, origin) for origin in range(8)]
    change = router.show(family)["change-number"]
    table_ = router.show(family, what="assignment")["table"]
    found = router.log().count("service found")
    router.kill(9)
    assert [farm.who(family, origin) for origin in range(8)] == pages
    router.start()
    assert "taken over with 2 caches" in router.log()
    began = time.monotonic()
    while time.monotonic() < began + 6 * T:
        assert [farm.who(family, origin) for origin in range(8)] == pages
    shown = router.show(family, what="assignment")
    assert shown["change-number"] == change and shown["table"] == table_
    assert {c["state"] for c in shown["caches"]} == {"ready"}
    assert router.log().count("service found") == found


def test_hangs(router, farm):
    """A daemon that does not come back does not keep traffic on caches that nobody watches;
    one that wakes up puts everything back."""
    router.start(GROUP, lease=2)
    for name in ("k1", "k2"):
        cache(router, farm, name)
    dealt(router, farm, 4, "k1", "k2")
    time.sleep(3)
    assert served(farm, 4) == {"k1", "k2"}      # it renews
    router.child.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    wait_until("traffic goes straight", lambda: farm.who_now(4) == "s", 10)
    assert time.monotonic() - began < 4
    router.child.send_signal(signal.SIGCONT)
    dealt(router, farm, 4, "k1", "k2")
    wait_until("traffic goes to a cache", lambda: farm.who_now(4) in ("k1", "k2"), 10)
    assert served(farm, 4) == {"k1", "k2"}
    assert "let go" in router.log()


def test_sleeps(router, farm):
    """A daemon that was kept from running for longer than caches may be silent has not heard what
    they said meanwhile: it takes none for dead before it has."""
    interval, groups, caches = 2, 4, wccp_crowd.addresses("10.2.0.101", 32)
    k1 = farm["k1"]
    for address in caches:
        k1.run("ip", "address", "add", f"{address}/24", "dev", "wan0")
    router.start(*({**GROUP, "service": wccp_crowd.name(g), "source": [farm.router["k1"][4]]}
                   for g in range(groups)))
    crowd = wccp_crowd.Crowd(k1, caches, farm.router["k1"][4],
                             wccp_crowd.addresses("10.2.1.2", 3), groups, interval)

    def all_usable():
        return crowd.usable() == groups * len(caches)
    try:
        crowd.run(30, all_usable)
        assert all_usable()
        router.child.send_signal(signal.SIGSTOP)
        crowd.run(3.5 * interval)
        router.child.send_signal(signal.SIGCONT)
        crowd.run(1.5 * interval)
        assert all_usable()
        assert "lost" not in router.log() and "removal query" not in router.log()
    finally:
        crowd.close()
        for address in caches:
            k1.run("ip", "address", "del", f"{address}/24", "dev", "wan0")


def test_module_anew(router, farm):
    """A module that is loaded anew has no groups: the daemon puts them back."""
    router.start(GROUP, lease=3)
    cache(router, farm, "k1")
    dealt(router, farm, 4, "k1")
    kernel.unload()
    kernel.load()
    wait_until("traffic goes to the cache", lambda: farm.who_now(4) == "k1", 10)


def test_stop(router, farm):
    """SIGTERM ends redirection; a second daemon of the same namespace is refused."""
    router.start(GROUP)
    cache(router, farm, "k1")
    dealt(router, farm, 4, "k1")
    assert farm.who(4) == "k1"
    with open(router.path, encoding="utf-8") as file:
        assert "another wlb-routerd" in router.refused(file.read())
    assert farm.who(4) == "k1"
    router.kill(15)
    assert farm.who(4) == "s"
    assert "does not run" in router.ctl.run("wccp", "show", check=False).stderr


def test_reload(router, farm):
    """Groups that stay keep their members; a file with errors changes nothing."""
    router.start(GROUP)
    cache(router, farm, "k1")
    dealt(router, farm, 4, "k1")
    change = router.show()["change-number"]
    router.configure({**GROUP, "redirect_list": ["any -> 203.0.113.11"]},
                     {**GROUP, "service": 80})
    router.ctl.run("wccp", "reload")
    assert farm.who(4, 0) == "s" and farm.who(4, 1) == "k1"
    assert router.show()["change-number"] == change
    cache(router, farm, "k2", service=wccp.dynamic(80, ports=(8080,)))
    dealt(router, farm, 4, "k2", group="80")
    # One family goes, the other stays.
    router.configure(GROUP, {**GROUP, "service": 80})
    router.ctl.run("wccp", "reload")
    cache(router, farm, "k3", 6)
    dealt(router, farm, 6, "k3")
    assert farm.who(6) == "k3"
    router.configure({**GROUP, "source": [farm.router["k1"][4]]}, {**GROUP, "service": 80})
    router.ctl.run("wccp", "reload")
    assert farm.who(6) == "s"
    dealt(router, farm, 4, "k1")            # of another router ID now
    router.configure({**GROUP, "mode": "shut"})
    done = router.ctl.run("wccp", "reload", check=False)
    assert done.returncode == 1 and "mode" in done.stderr and ":3:" not in done.stdout
    assert farm.who(4, 1) == "k1"
    assert router.shares(group="80") == {farm.caches["k2"][4]: 256}


def test_refused(router, farm):
    """Strangers, and who does not know the password, change nothing; the counters say why."""
    path = "/run/wlb/wccp.key"
    with open(path, "w", encoding="utf-8") as file:
        file.write("secret12\n")
    os.chmod(path, 0o600)
    router.start({**GROUP, "group_list": ["10.2.0.0/24"], "password_file": path})
    cache(router, farm, "k1", password="secret12")
    wrong = [cache(router, farm, "k2", password="secret21")]
    wrong.append(cache(router, farm, "k3", password="secret12"))    # not in the list
    dealt(router, farm, 4, "k1")
    time.sleep(2 * T)
    refused = router.show()["messages"]["refused"]
    assert refused["not authentic"] > 1 and refused["not in the group list"] > 1, refused
    assert router.shares() == {farm.caches["k1"][4]: 256}
    assert [one.heard for one in wrong] == [0, 0]
    messages = router.refused("[[cache-router.group]]\nservice = 'web-cache'\nmode = 'x'\n"
                              "group-list = 'any'\n")
    assert f"{router.path}:3:8: " in messages


def test_drain(router, farm):
    """A connection from before stays with its cache while new ones go to the new one."""
    router.start({**GROUP, "drain": 30})
    cache(router, farm, "k2")
    dealt(router, farm, 4, "k2")
    with farm["c"].connect(farm.origins[4][0], 80) as old:
        cache(router, farm, "k1")
        dealt(router, farm, 4, "k1", "k2")
        assert served(farm, 4) == {"k1", "k2"}
        old.sendall(b"GET / HTTP/1.0\r\n\r\n")
        data = b""
        while more := old.recv(4096):
            data += more
    assert data.endswith(b"k2\n") or b"k2" in data


def test_squid(router, farm):
    """Squid as Debian ships it, which misreads every other router's answers and cannot assign:
    the filler lets it join, the fallback deals it the buckets, and the second page is a hit."""
    router.start({**GROUP, "assignment_fallback": 1})
    squid = wccp.Squid(farm["k2"], farm.caches["k2"][4], farm.router["k2"][4])
    try:
        wait_until("Squid has all buckets", lambda: router.shares() == {
            farm.caches["k2"][4]: 256}, 90, 0.5)
        for _ in range(2):
            who, body = web.fetch(farm["c"], farm.origins[4][0], "10M")
            assert who == "s" and body == web.big_file().read_bytes()
        wait_until("both pages are in Squid's log", lambda: len(squid.log()) == 2)
    finally:
        squid.stop()
    assert "MISS/200" in squid.log()[0] and "HIT/200" in squid.log()[1], squid.log()
    assert router.show()["messages"]["fallback"] == 1
    (cache_,) = router.show()["caches"]
    assert cache_["state"] == "ready" and cache_["weight"] == 10000
