# SPDX-License-Identifier: GPL-2.0-only
"""Many races at once on several processors. Nothing here measures time, so it runs
with real processors side by side, not with the counted clock."""

import os

import pytest

from wlblab import web, wlb
from wlblab.host import wait_until

PAGES = 100


@pytest.fixture(autouse=True)
def several_processors():
    if os.cpu_count() < 2:
        pytest.fail("needs 2 processors: boot it without lab.sh -i")


@pytest.mark.parametrize("race", ["raw", "equal"])
def test_crowd(module, make_t0, race):
    """W70 and W75, in part: all answers arrive at about the same time. Every page
    is served, every race has one winner, nobody is left half open, nothing is lost
    in the books."""
    net = make_t0(delays=False)
    net.configure(race=race)
    net.warm_up()
    for family in (4, 6):
        for client in net.clients:
            pages = web.pages(net[client], net.address["s", family], PAGES, parallel=8)
            assert [p for p in pages if not p.ok] == []
    cg = net.wlb("cg")
    total = 2 * 2 * PAGES
    counters = cg.counters()
    assert counters["syn_tagged"] == total
    assert counters["race_won_replica"] + counters["race_won_server"] == total

    def answered():
        now = cg.counters()
        return now["answer_lost"] >= 3 * total and now
    counters = wait_until("3 losers in every race", answered)
    assert counters["reset_sent"] == counters["answer_lost"]
    assert counters["reset_failed"] == counters["translate_failed"] == 0
    for race_ in cg.races():
        won = [a["address"] for a in race_["answers"] if a["won"]]
        assert won == [race_["winner"]]
    for name in net.servers + net.replicas:
        wait_until(f"{name} has nothing half open", lambda n=name: not net[n].half_open(), 5)
    cg.run("flow", "flush")
    assert cg.flows() == []
    assert wlb.unaccounted(cg.stats()) == 0
