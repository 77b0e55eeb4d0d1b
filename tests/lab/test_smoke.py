# SPDX-License-Identifier: GPL-2.0-only
"""The shortest way through every role: what a kernel must pass to be supported."""

import pytest

from wlblab import kernel, web, wlb
from wlblab.host import wait_until

# Short, so that a test sees a table empty itself.
TIMEOUTS = {"racing": "2s", "tombstone": "2s", "established": "30s", "closing": "1s",
            "reset": "1s"}


def test_load_and_unload(module):
    """The module comes and goes without a trace, and twice."""
    kernel.unload()
    assert not kernel.loaded()
    kernel.load()
    assert kernel.loaded()


def test_absent(make_t0):
    """Without the module wlbctl says so and fails."""
    assert not kernel.loaded()
    net = make_t0(delays=False, clients=1, replicas=1)
    done = net.wlb("cg").run("stats", check=False)
    assert done.returncode == 1
    assert "wlb module is not loaded (modprobe wlb)" in done.stderr


def test_equal(module, t0):
    """W23, W29, W60, W62, W65, W113: the nearest replica wins, the losers are reset,
    every race is accounted for, the table empties, the namespaces let go."""
    t0.configure(race="equal", timeouts=TIMEOUTS)
    t0.warm_up()
    c1, cg, sg = t0["c1"], t0.wlb("cg"), t0.wlb("sg")
    for family in (4, 6):
        who, body = web.fetch(c1, t0.address["s", family])
        assert (who, body) == ("r1", b"r1\n"), f"IPv{family}"
        assert web.fetch(t0["c2"], t0.address["s", family])[0] == "r1"

    def everybody_answered():
        races = cg.races()
        return len(races) == 4 and all(len(r["answers"]) == 4 for r in races) and races
    races = wait_until("4 races with 4 answers each", everybody_answered)
    assert [r["id"] for r in races] == sorted({r["id"] for r in races})
    for race, family, client in zip(races, (4, 4, 6, 6), ("c1", "c2", "c1", "c2")):
        address = {name: t0.address[name, family] for name in ("s", "r1", "r2", "r3")}
        assert race["client"] == t0.address[client, family]
        assert (race["server"], race["server_port"]) == (address["s"], 80)
        assert race["winner"] == address["r1"]
        # s is held too, and its way back to the client gateway is the longest.
        assert [a["address"] for a in race["answers"]] == [
            address["r1"], address["r2"], address["r3"], address["s"]]
        assert [a["won"] for a in race["answers"]] == [True, False, False, False]

    counters = cg.counters()
    assert counters["syn_tagged"] == counters["race_won_replica"] == 4
    assert counters["answer_lost"] == counters["reset_sent"] == 12
    assert sg.counters()["syn_cloned"] == 4
    assert sg.counters()["clone_sent"] == 12
    for name in t0.replicas:
        assert t0.wlb(name).counters()["clone_cracked"] == 4
    wait_until("the resets have arrived", lambda: not any(
        t0[name].half_open() for name in ("s", "r2", "r3")), timeout=5)
    wait_until("the flow table is empty", lambda: cg.flows() == [], timeout=15, step=0.2)
    assert wlb.unaccounted(cg.stats()) == 0

    t0.unconfigure()
    assert web.fetch(c1, t0.address["s", 4])[0] == "s"
    assert cg.counters()["syn_tagged"] == 4


@pytest.mark.parametrize("family", [4, 6])
def test_raw(module, t0, family):
    """F1: without holding, the origin wins on a topology with metric delays; what it
    sends is left alone."""
    t0.configure(race="raw", timeouts=TIMEOUTS, families=(family,))
    t0.warm_up((family,))
    cg = t0.wlb("cg")
    who, body = web.fetch(t0["c1"], t0.address["s", family], "10M")
    assert who == "s"
    assert body == web.big_file().read_bytes()
    counters = cg.counters()
    assert counters["race_won_server"] == 1
    assert counters["translated_in"] == counters["translated_out"] == 0


@pytest.mark.parametrize("family", [4, 6])
def test_carried(module, t0, family):
    """W80: 10 MB from a replica arrive whole, every packet translated."""
    t0.configure(race="equal", timeouts=TIMEOUTS, families=(family,))
    t0.warm_up((family,))
    who, body = web.fetch(t0["c1"], t0.address["s", family], "10M")
    assert who == "r1"
    assert body == web.big_file().read_bytes()
    counters = t0.wlb("cg").counters()
    assert counters["translated_in"] > 100
    assert counters["translated_out"] > 10
    assert counters["translate_failed"] == 0
