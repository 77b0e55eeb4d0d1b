# SPDX-License-Identifier: GPL-2.0-only
"""A page of `wlbctl top` as a scenario has seen it at a terminal, as a picture: docs/top.png is one
of these."""

import html
import os
import re

import pytest
from browser import Browser
from conftest import REPO

PICTURES = REPO / "build" / "page"
COLOURS = {"1": "b", "2": "d", "7": "r", "32": "g", "33": "y", "36": "c"}
STYLE = """
body { margin: 0; background: #14161b; display: inline-block; }
pre { margin: 0; padding: 14px 18px 16px; color: #c9ced6;
      font: 15px/1.32 "DejaVu Sans Mono", "Liberation Mono", monospace; }
.bar { background: #23262e; padding: 8px 14px; font: 13px sans-serif; color: #8d94a1;
       text-align: center; }
.bar i { float: left; width: 12px; height: 12px; border-radius: 6px; margin: 2px 7px 0 0; }
.b { color: #ffffff; font-weight: bold; } .d { color: #6f7682; }
.r { color: #14161b; background: #8fb8de; font-weight: bold; }
.g { color: #6cc070; } .y { color: #e3b341; } .c { color: #58b8c9; }
"""


def to_html(page, title):
    """Each line with its colours; what else a terminal would obey there must not be in it."""
    lines = []
    for line in page.split("\r\n"):
        text = ""
        for part in re.findall(r"\x1b\[[0-9]*[mK]|[^\x1b]+", line):
            code = re.fullmatch(r"\x1b\[([0-9]*)([mK])", part)
            if not code:
                text += html.escape(part)
            elif code[2] == "m":
                text += "</span>" if code[1] == "0" else f'<span class="{COLOURS[code[1]]}">'
        assert "\x1b" not in text
        lines.append(text)
    dots = "".join(f'<i style="background: {c}"></i>' for c in ("#e0655c", "#dfae4b", "#63b658"))
    return (f'<!DOCTYPE html><meta charset="utf-8"><style>{STYLE}</style>'
            f'<body data-drawn="1"><div class="bar">{dots}{html.escape(title)}</div>'
            f'<pre>{chr(10).join(lines)}</pre>')


def test_picture(tmp_path):
    kept = sorted((REPO / "build" / "lab").glob("*/top/page.ansi"),
                  key=lambda path: path.stat().st_mtime)
    if not kept and "WLB_CASES" in os.environ:
        pytest.skip("the scenario that keeps a page was left out")
    assert kept, "no scenario has kept a page: tests/lab/test_top.py does"
    page = kept[-1].read_bytes().decode()
    width = max(len(re.sub(r"\x1b\[[0-9]*[mK]", "", line)) for line in page.split("\r\n"))
    path = tmp_path / "top.html"
    path.write_text(to_html(page, "wlbctl -n cg top"), encoding="utf-8")
    browser = Browser()
    try:
        with browser.open(f"file://{path}", width=40 + 10 * width) as shown:
            size = shown.eval("[document.body.offsetWidth, document.body.offsetHeight]")
            shown.picture(PICTURES / "top.png", *size[::-1])
            assert shown.complaints() == [] and "WINNER" in shown.text()
    finally:
        browser.close()
    assert (PICTURES / "top.png").stat().st_size > 10000
