# SPDX-License-Identifier: GPL-2.0-only
"""Memory fails where packets are redirected and returned."""

import pytest

from wlblab import faults
from wlblab.farm import GRE, L2, Seen, group
from wlblab.traffic import Traffic


@pytest.mark.parametrize("way", [GRE, L2])
def test_short_of_memory(farm, k1, way):
    """One of 50 allocations for a packet fails, where it is redirected and where it is returned
    as well: what is lost is told of and repeated, and nobody gets another's page."""
    families = (4, 6)
    farm.set_groups(group())
    for family in families:
        farm.assign(family, farm.one("k1", family, way, way))
    # half of the connections are returned
    k1.set(*(k1.door(family, way, way) for family in families), share=500)
    with k1.tproxy(), Traffic(Seen(farm)) as traffic:
        traffic.served_by(["s"])
        traffic.served_by(["k1"])
        with faults.shared(farm, "r", "k1"), faults.packets(2):
            traffic.goes_on(600, timeout=600)
            lost = traffic.lost()
        traffic.goes_on()
        traffic.served_by(["s"])
        traffic.served_by(["k1"])
    assert traffic.outcomes["wrong"] == 0 and lost < 300
    assert farm.counters()["redirect_failed"] > 0
    assert k1.counters()["cache_failed"] > 0
