# SPDX-License-Identifier: GPL-2.0-only
"""W91: how fast bulk is in every return mode, against the same replica under its own address
on the same way. By a clock that counts instructions: how busy this machine is does not
matter, and User Mode Linux's clock cannot tell."""

import json
import statistics

import pytest

from wlblab.clones import lab
from wlblab.host import wait_until

PORT = 5201
# Each mode and each encapsulation, each family of either kind of them.
CASES = [(4, "nat", None), (6, "spoof", "gre"), (6, "tunnel", "gre"), (4, "tunnel", "ipip")]


@pytest.fixture(scope="module")
def net():
    with lab(clients=1, replicas=1) as t0:
        t0.own_origin()
        t0.netem("s", "sg", "delay 300ms")
        child = t0["r1"].spawn("iperf3", "-s", "-p", PORT, stdout=-3, stderr=-3)
        wait_until("iperf3 listens", lambda: t0["r1"].sockets(
            "state", "listening", "sport", "=", f":{PORT}"))
        yield t0
        t0["r1"].stop(child)


def rate(net, address, reverse):
    """What c1 and whoever answers at address get through one connection, in Mbit/s."""
    said = json.loads(net["c1"].out("iperf3", "-c", address, "-p", PORT, "-n", "16M", "-J",
                                    *(["-R"] if reverse else [])))
    return said["end"]["sum_received"]["bits_per_second"] / 1e6


@pytest.mark.parametrize("family,mode,via", CASES)
@pytest.mark.parametrize("reverse", [False, True], ids=["up", "down"])
def test_rate(net, family, mode, via, reverse):
    """At least 90 %: large packets stay whole, and are neither lost nor copied. What goes by
    is the replica's, in the mode that is asked for."""
    net.configure(ports=[PORT], served={"return_": mode, "via": via})
    s, r1 = (net.address[host, family] for host in ("s", "r1"))
    ratios = []
    for _ in range(3):
        plain, carried = (rate(net, address, reverse) for address in (r1, s))
        ratios.append(carried / plain)
        print(f"plain {plain:.0f} Mbit/s, {mode} {carried:.0f}: {ratios[-1]:.3f}")
    flows = [f for f in net.wlb("cg").flows() if f["server"] == s]
    assert {(f["winner"], f["return"]) for f in flows} == {(r1, mode)}
    net.wlb("cg").run("flow", "flush")
    assert statistics.median(ratios) >= 0.9, ratios
