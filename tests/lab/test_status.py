# SPDX-License-Identifier: GPL-2.0-only
"""wlbctl status of WCCP's roles: what the kernel has, what only the daemons know, and that one of
these that hangs delays nobody."""

import signal
import time

import pytest

from wlblab import wccp
from wlblab.cached import Cached
from wlblab.farm import lab
from wlblab.host import wait_until


@pytest.fixture(scope="module")
def site():
    with lab() as farm:
        router = wccp.Routerd(farm["r"])
        router.start({"service": "web-cache", "redirect_in": ["lan0"],
                      "group_list": ["10.2.0.0/24", "10.3.0.0/24"], "source": ["10.2.0.1"]})
        cache = Cached(farm["k1"])
        cache.start({"service": "web-cache", "address": "10.2.0.11",
                     "routers": ["10.2.0.1", "10.2.0.99"]})
        # Behind a router, where L2 does not reach.
        far = wccp.Cache(farm["k3"], "10.3.0.2", "10.2.0.1", interval=10, forwarding=wccp.L2)
        wait_until("k1 has all buckets, k3 was heard", lambda: [
            c["buckets"] for c in family_of(farm)[1]["caches"]] == [256, 0], 60)
        wait_until("k1 knows", lambda: routers_of(farm)[1]["10.2.0.1"].get("share") == 256, 60)
        yield farm, router, cache
        far.stop()
        cache.stop()
        router.kill(15)


def family_of(farm):
    (group,) = farm.wlb("r").json("status")["cache_router"]["groups"]
    (family,) = group["families"]
    return group, family


def routers_of(farm):
    (group,) = farm.wlb("k1").json("status")["cache"]["groups"]
    return group, {r["router"]: r for r in group["routers"]}


def test_router(site):
    """Usable or not and why, as wlbctl wccp show has it; packets as they were sent."""
    farm, router, _ = site
    group, family = family_of(farm)
    before = group["packets"].get("gre", 0)
    assert family["usable"] == 1 and family["method"] == "hash" and family["why"] is None
    shown = {c["address"]: c for c in router.show()["caches"]}
    for cache in family["caches"]:
        told = shown[cache["address"]]
        assert (cache["usable"], cache["state"]) == (told["usable"], told["state"])
        assert (cache["why"] or "") == told["why"]
    far = family["caches"][1]
    assert far["address"] == "10.3.0.2" and not far["usable"] and far["why"]
    farm.datagram(4)        # of no service
    with farm["c"].connect(farm.origins[4][0], 80):
        pass
    group, family = family_of(farm)
    sent = group["packets"]["gre"] - before
    assert sent >= 3 and family["caches"][0]["packets"] == group["packets"]["gre"]
    text = farm.wlb("r").run("status").stdout
    assert f"web-cache: redirected {group['packets']['gre']} packets" in text
    assert "1 of 2 caches usable" in text and f"NOT usable, {far['state']}" in text
    assert far["why"] in text and "not reachable" not in text


def test_cache(site):
    """The proxy, who is designated, and the router that is not there."""
    farm = site[0]
    group, routers = routers_of(farm)
    assert group["designated"] and group["address"] == "10.2.0.11"
    assert routers["10.2.0.99"]["why"] == "it does not answer"
    text = farm.wlb("k1").run("status").stdout
    assert "router 10.2.0.99: it does not answer" in text


def test_hangs(site):
    """What the kernel has is there all the same, soon."""
    farm, router, cache = site
    for child, host, name, role in ((router.child, "r", "wlb-routerd", "cache_router"),
                                    (cache.child, "k1", "wlb-cached", "cache")):
        quick = time.monotonic()
        farm.wlb(host).run("status")
        quick = time.monotonic() - quick
        child.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            done = farm.wlb(host).run("status")
            assert time.monotonic() - began < quick + 2
            status = farm.wlb(host).json("status")
        finally:
            child.send_signal(signal.SIGCONT)
        assert f"not reachable: {name} does not answer\n" in done.stdout
        assert status["daemons"] == [{"name": name, "answers": False,
                                      "why": f"{name} does not answer"}]
        (group,) = status[role]["groups"]
        if role == "cache":
            assert group["routers"][0]["returned_packets"] is not None
        else:
            assert group["families"][0]["caches"][0]["buckets"] == 256
            assert group["families"][0]["caches"][0]["usable"] is None


def test_gone(site):
    """A daemon whose groups the kernel still has is missed; one that nobody needs is not."""
    farm, _, cache = site
    cache.kill(9)
    try:
        status = farm.wlb("k1").json("status")
    finally:
        cache.start()
    assert [d["why"] for d in status["daemons"]] == [
        "wlb-cached does not run in this network namespace"]
    assert status["cache"]["groups"][0]["routers"]
    assert farm.wlb("k2").run("status").stdout == "no role is on\n"
