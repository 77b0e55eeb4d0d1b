#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Runs every check of a target; `make check`, check-debug, check-smp, check-kcsan and
lint call it. check.py [TARGET | SUITE...], see scripts/suites.py; TARGET is check
if nothing is given.

Says each failed and each skipped test with its reason, writes
build/results/TARGET.json, and ends with one line of counts. Status 1 if a test
failed or if no lab scenario ran. The suites' full output: build/results/check/.
"""

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import suites
from suites import LOGS, REPO, RESULTS, SUITES, TARGETS, Test


def run_suite(name, function):
    """(tests, line of the report) of a suite."""
    print(f"check: {name} ...", flush=True)
    start = time.monotonic()
    try:
        tests = list(function())
    except (OSError, subprocess.SubprocessError) as error:
        tests = [Test(name, "failed", str(error))]
    if not tests:
        tests = [Test(name, "failed", "the suite ran no test")]
    for test in tests:
        test.name = f"{name}: {test.name}"
    count = {s: sum(t.status == s for t in tests) for s in ("passed", "failed", "skipped")}
    seconds = round(time.monotonic() - start, 1)
    print(f"check: {name}: " + ", ".join(f"{n} {s}" for s, n in count.items()) +
          f", {seconds:.0f} s", flush=True)
    return tests, {"suite": name, **count, "seconds": seconds}


def run_stages(stages):
    """{suite: (tests, line of the report)}"""
    done = {}
    for side_by_side, names in stages:
        with ThreadPoolExecutor(side_by_side) as pool:
            for name, result in zip(names, pool.map(lambda n: run_suite(n, SUITES[n]), names)):
                done[name] = result
    return done


def main():
    wanted = sys.argv[1:] or ["check"]
    target = wanted[0] if len(wanted) == 1 and wanted[0] in TARGETS else "check"
    stages = TARGETS.get(wanted[0]) if wanted == [target] else [(1, wanted)]
    unknown = [name for _, names in stages for name in names if name not in SUITES]
    if unknown:
        sys.exit(f"check: no suite {', '.join(unknown)}; there are: "
                 f"{', '.join([*TARGETS, *SUITES])}")

    began = time.monotonic()
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    done = run_stages(stages)
    every = [test for tests, _ in done.values() for test in tests]
    report = [line for _, line in done.values()]
    machines = [name for _, names in stages for name in names if name in suites.MACHINES]
    for name in machines:
        if not any(t.name.startswith(f"{name}: ") and t.status == "passed" for t in every):
            every.append(Test(name, "failed", "no scenario passed"))

    unsteady = [test for test in every if test.first]
    for test in unsteady:
        print(f"check: UNSTEADY {test.name}: {test.first}".rstrip())
    for status in ("failed", "skipped"):
        for test in every:
            if test.status == status:
                print(f"check: {status.upper()} {test.name}: {test.reason}".rstrip())
    total = {s: [t for t in every if t.status == s] for s in ("passed", "failed", "skipped")}
    commit = subprocess.run(["git", "rev-parse", "--verify", "-q", "HEAD"], cwd=REPO, text=True,
                            capture_output=True, check=False).stdout.strip()
    kernels = sorted({suites.MACHINES[name].kernel for name in machines})
    (RESULTS / f"{target}.json").write_text(json.dumps({
        "tests": len(every), "failed": len(total["failed"]),
        "skipped": [{"test": t.name, "reason": t.reason} for t in total["skipped"]],
        **suites.measured(machines, "explore" in done),
        "unsteady": [{"test": t.name, "reason": t.first} for t in unsteady],
        "failures": [{"test": t.name, "reason": t.reason} for t in total["failed"]],
        "kernel": ", ".join(map(suites.kernel_version, kernels)), "commit": commit,
        "seconds": round(time.monotonic() - began, 1), "suites": report}, indent=1) + "\n",
        encoding="utf-8")
    print(f"{target}: " + ", ".join(f"{len(tests)} {status}" for status, tests in total.items()))
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
