# SPDX-License-Identifier: GPL-2.0-only
"""What most of these scenarios begin with; those that need another net have their own."""

import pytest


@pytest.fixture
def net(module, make_t0):
    net = make_t0(delays=False)
    net.configure(race="raw")
    net.warm_up()
    return net
