# SPDX-License-Identifier: GPL-2.0-only
"""A flood of SYNs from everywhere, at a gateway that carries downloads."""

import itertools
import os
import random

import pytest

from wlblab import web, wlb
from wlblab.flood import Flood
from wlblab.ghosts import Counted, Ghosts
from wlblab.host import wait_until
from wlblab.judge import judge

SYNS = int(os.environ.get("WLB_SYNS", "1000000"))
DOWNLOADS = 200
PART = 1 << 20
FLOWS = 8192


@pytest.fixture
def net(module, make_t0):
    net = make_t0(delays=False, replicas=1)
    # however slow the machine is, nobody leaves but who must
    net.configure(client_gateway={"max-flows": FLOWS}, timeouts={"racing": "600s"})
    net.warm_up()
    net.netem("s", "sg", "delay 200ms")      # r1 wins
    return net


def test_flood(net):
    """W110: a million SYNs of strangers. The table keeps its bound, every SYN goes on,
    with a tag or without, and the downloads arrive, every byte of them."""
    ghosts = Ghosts(net, 4)
    cg = net.wlb("cg")
    counted = Counted(cg)
    turns = [(client, family) for client in net.clients for family in (4, 6)]
    downloads = [web.Download(net[client], net.address["s", family], i * 40009, PART)
                 for i, (client, family) in zip(range(DOWNLOADS), itertools.cycle(turns))]
    wait_until("the downloads are carried", lambda: cg.stats()["racing"] == 0)
    far = judge(net["core"], "prerouting", {"syns": f"ip daddr {ghosts.server}"})
    flood, dice, largest, alive = Flood(ghosts), random.Random(1), 0, True
    for number in range(SYNS):
        flood.send(dice.randrange(0x300, 0xff00), number % 50000 + 10000)
        if not number % (SYNS // 100):
            for download in downloads:
                alive = bool(download.read(4096)) and alive
            largest = max(largest, cg.stats()["flows"])
    assert alive, "a download was over before the flood"
    grown = counted.grown()
    assert far()["syns"] == SYNS
    # Each CPU may be about to add one.
    assert FLOWS - 8 < largest <= FLOWS + 8
    assert sum(f["state"] == "won" for f in cg.flows()) == DOWNLOADS
    assert grown["race_evicted"] > (SYNS - FLOWS) // 4
    # A stranger's address and port may come again while his race still runs.
    again = grown.get("syn_retagged", 0)
    assert again < SYNS // 10000 + 10
    assert grown["syn_tagged"] + grown.get("syn_table_full", 0) + again == SYNS + DOWNLOADS
    assert wlb.unaccounted(cg.stats()) == 0
    big = web.big_file().read_bytes()
    for download in downloads:
        head, body = download.finish()
        assert b"X-Who: r1" in head
        assert body == big[download.start:download.start + PART]
    ghosts.close()
    # The ghosts' races end with their time; nobody is left of them.
    cg.run("flow", "flush", "--server", ghosts.server)
    wait_until("nothing races", lambda: not cg.stats()["racing"])
