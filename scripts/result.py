#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: result.py FILE <FIGURES
Adds figures (JSON) to those in a result file: a demo and checks bring theirs together."""

import json
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "build" / "results"


def add(name, figures):
    path = RESULTS / name
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**old, **figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.partition("\n")[0])
    add(sys.argv[1], json.load(sys.stdin))
