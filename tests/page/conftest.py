# SPDX-License-Identifier: GPL-2.0-only
"""What scenarios have kept of the daemons' HTTP: see tests/lab/wlblab/http.py."""

import os
import pathlib

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]
DAEMONS = ("routerd", "refused", "cached", "gatewayd", "client-gateway", "replicad", "processd")


def newest(name):
    """Of all machines' that have kept it."""
    kept = sorted((REPO / "build" / "lab").glob(f"*/http/{name}"),
                  key=lambda where: (where / "status.json").stat().st_mtime)
    if not kept and "WLB_CASES" in os.environ:
        pytest.skip(f"the scenario that keeps {name} was left out")
    assert kept, f"no scenario has kept {name}: tests/lab/test_http.py and others do"
    return kept[-1]


@pytest.fixture(params=DAEMONS)
def kept(request):
    return newest(request.param)
