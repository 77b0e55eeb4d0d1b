# SPDX-License-Identifier: GPL-2.0-only
"""promtool, Prometheus' own judge, on what daemons and wlbctl have said of real traffic; and a
dashboard that asks for nothing else."""

import json
import os
import pathlib
import re
import subprocess

import pytest
from conftest import DAEMONS, REPO, newest

PROMTOOL = pathlib.Path(os.environ.get("WLB_CACHE", "/var/cache/wlb")) / "promtool"
DASHBOARD = REPO / "packaging" / "grafana" / "wlb.json"


def judged(*words, text=None):
    done = subprocess.run([PROMTOOL, *words], input=text, text=True, capture_output=True,
                          timeout=60, check=False)
    # What it only advises comes with status 3, or with none and words.
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


@pytest.mark.parametrize("name", ["metrics", "wlbctl-metrics"])
def test_promtool(kept, name):
    text = (kept / name).read_text(encoding="utf-8")
    assert re.search(r"^wlb_\S+ [1-9]", text, re.M)     # something was counted
    judged("check", "metrics", text=text)


def test_promtool_works():
    """It would find a counter without _total, and one without a help."""
    for bad in ("# HELP wlb_x X\n# TYPE wlb_x counter\nwlb_x 1\n",
                "# TYPE wlb_x_total counter\nwlb_x_total 1\n", "wlb_x{a=b} 1\n"):
        with pytest.raises(AssertionError):
            judged("check", "metrics", text=bad)


def names():
    """Of all metrics that somebody has told of, as Prometheus stores them."""
    found = set()
    for daemon in DAEMONS:
        for file in ("metrics", "wlbctl-metrics"):
            text = (newest(daemon) / file).read_text(encoding="utf-8")
            found.update(re.findall(r"^(wlb_\w+)", text, re.M))
    return found


def queries(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "query", "definition") and isinstance(value, str):
                yield value
            else:
                yield from queries(value)
    elif isinstance(node, list):
        for value in node:
            yield from queries(value)


def test_dashboard(tmp_path):
    """Each query is one, of metrics that there are."""
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = list(queries(board))
    assert len(asked) > 30
    used = {name for query in asked for name in re.findall(r"wlb_\w+", query)}
    assert used - names() == set()
    rules = [{"record": f"test:{place}", "expr": query.replace("$__rate_interval", "5m")
                                                      .replace("$instance", ".*")}
             for place, query in enumerate(asked) if not query.startswith("label_values")
             and query != "prometheus"]
    file = tmp_path / "rules.yml"       # of which JSON is a part
    file.write_text(json.dumps({"groups": [{"name": "test", "rules": rules}]}))
    assert f"{len(rules)} rules found" in judged("check", "rules", str(file))
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    cells = [(x, y) for panel in panels for place in [panel["gridPos"]]
             for x in range(place["x"], place["x"] + place["w"])
             for y in range(place["y"], place["y"] + place["h"])]
    assert len(cells) == len(set(cells)), "panels overlap"
