#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Which lines and branches of the module the lab's scenarios reach, per file; make
coverage calls it. All of them run in User Mode Linux, with the module built for gcov; or so
many of their cases as WLB_CASES says.

Prints a line per file and writes build/results/coverage.json and the unreached lines
to build/results/coverage.txt. Status 1 if a scenario failed.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from suites import FEW, MACHINES, REPO, RESULTS, kernel_version, share

OUT = REPO / "build" / "coverage"
# uml-matrix is uml-returns many times over.
RUNS = [name for name, it in MACHINES.items() if it.kernel == "uml" and name != "uml-matrix"]


def machine(name):
    """(status, directory of its counts) of one machine's scenarios."""
    out = OUT / name
    it = MACHINES[name]
    command = ["scripts/lab.sh", "-k", it.kernel, *it.arguments, "-t", "3600", "--",
               "env", *(f"{k}={v}" for k, v in {**FEW, **share(name)}.items()),
               "scripts/gcov-run.sh", "python3", "-m", "pytest", "--color=no",
               "-p", "no:cacheprovider", "-q", "--tb=short", *it.tests]
    out.mkdir(parents=True)
    with (out / "log").open("w", encoding="utf-8") as log:
        status = subprocess.run(command, cwd=REPO, stdout=log, stderr=subprocess.STDOUT,
                                env={**os.environ, "WLB_OUT": str(out)}, check=False).returncode
    print(f"coverage: {name}: status {status}", flush=True)
    return status, out / "gcov"


def gcov(objects, counts, total):
    """Adds gcov's account of each source file of ours, from the counts of one machine. The
    kernel has headers of the same names."""
    ours = str(objects.parent)
    for notes in objects.glob("*.gcno"):
        shutil.copy(notes, counts)
    for data in sorted(counts.glob("*.gcda")):
        text = subprocess.run(["gcov", "--branch-probabilities", "--json-format", "--stdout",
                               data.name], cwd=counts, capture_output=True, text=True,
                              check=True).stdout
        for file in json.loads(text)["files"]:
            if not file["file"].startswith(f"{ours}/"):
                continue
            lines = total.setdefault(pathlib.Path(file["file"]).name, {})
            for line in file["lines"]:
                add(lines, line["line_number"], line["count"],
                    [branch["count"] for branch in line["branches"]])


def add(lines, number, count, taken):
    before, branches = lines.get(number, (0, []))
    # A header's line is compiled into several files, each with branches of its own.
    if len(branches) == len(taken):
        branches = [a + b for a, b in zip(branches, taken)]
    else:
        branches = branches + taken
    lines[number] = before + count, branches


def main():
    kver = kernel_version("uml")
    built = REPO / "build" / "kmod" / kver
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.rmtree(built, ignore_errors=True)
    subprocess.run(["scripts/build-kmod.sh", "uml", "GCOV_PROFILE=y", "WLB_BENCH=m",
                    f"-j{os.cpu_count()}"], cwd=REPO, check=True, stdout=subprocess.DEVNULL)
    try:
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(machine, RUNS))
        total = {}
        for _, counts in done:
            if counts.is_dir():
                gcov(built / "kmod", counts, total)
            else:
                print(f"coverage: {counts.parent.name}: the machine ended without its counts")
    finally:
        shutil.rmtree(built)        # nobody else's module
    sources = {p.name: p for top in ("kmod", "include/wlb") for p in (REPO / top).glob("*.[ch]")}
    report, unreached = {}, []
    for name in sorted(set(total) & set(sources)):
        lines = total[name]
        branches = [b for _, taken in lines.values() for b in taken]
        report[name] = {"lines": len(lines), "reached": sum(c > 0 for c, _ in lines.values()),
                        "branches": len(branches), "taken": sum(b > 0 for b in branches)}
        text = sources[name].read_text(encoding="utf-8").splitlines()
        unreached += [f"{sources[name].relative_to(REPO)}:{number}: {text[number - 1].strip()}"
                      for number, (count, _) in sorted(lines.items()) if not count]
    for name, it in report.items():
        print(f"{name:20} {it['reached']:5} of {it['lines']:5} lines "
              f"{100 * it['reached'] / it['lines']:5.1f} % "
              f"{it['taken']:5} of {it['branches']:5} branches")
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "coverage.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "coverage.txt").write_text("\n".join(unreached) + "\n", encoding="utf-8")
    lines, reached = (sum(it[k] for it in report.values()) for k in ("lines", "reached"))
    print(f"coverage: {reached} of {lines} lines, {len(unreached)} unreached: "
          f"{(RESULTS / 'coverage.txt').relative_to(REPO)}")
    return 1 if any(status for status, _ in done) or not reached else 0


if __name__ == "__main__":
    sys.exit(main())
