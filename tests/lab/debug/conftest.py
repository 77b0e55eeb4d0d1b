# SPDX-License-Identifier: GPL-2.0-only
"""What most of these scenarios begin with; those that need another net have their own."""

import pytest

from wlblab import pace


@pytest.fixture(autouse=True)
def busy_host():
    """It may have become so only now."""
    pace.measure()
    print(pace.said())


@pytest.fixture
def net(module, make_t0):
    net = make_t0(delays=False)
    net.configure(race="raw")
    net.warm_up()
    return net
