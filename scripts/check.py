#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Runs every check there is; `make check` calls it. check.py SUITE... runs some.

Says each failed and each skipped test with its reason, writes
build/results/check.json, and ends with one line of counts. Status 1 if a test
failed or if no lab scenario ran. The suites' full output: build/results/check/.
"""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

REPO = pathlib.Path(__file__).resolve().parent.parent
RESULTS = REPO / "build" / "results"
LOGS = RESULTS / "check"
CACHE = pathlib.Path(os.environ.get("WLB_CACHE", "/var/cache/wlb"))

COMMANDS = """make gcc g++ clang++ clang-format clang-tidy sparse shellcheck perl pkg-config
    modprobe depmod qemu-system-x86_64 busybox cpio xz ip tc ss ping curl nginx openssl tcpdump
    tshark nft ethtool""".split()

# What checkpatch.pl asks for and we do otherwise, and why.
CHECKPATCH_IGNORE = {
    # Lists of names (X macros), initialisers and declarations take no parentheses.
    "COMPLEX_MACRO": "",
    # The same macros name an argument twice on purpose; they expand to no call.
    "MACRO_ARG_REUSE": "",
    # A new file in a tree with a MAINTAINERS file: there is none.
    "FILE_PATH_CHANGES": "",
    # Headers that userspace compiles too have neither BIT() nor u8.
    "BIT_MACRO": "include/",
    "PREFER_KERNEL_TYPES": "include/",
    # An out-of-tree module meets several kernels; compat.h is the place for it.
    "LINUX_VERSION_CODE": "kmod/compat.h",
    # It takes LINUX_VERSION_CODE for a constant on the wrong side.
    "CONSTANT_COMPARISON": "kmod/compat.h",
}

# (suite, kernel, arguments of lab.sh, arguments of pytest). The counted clock (-i)
# makes delays exact however busy this machine is, but has one processor; scenarios
# of several have a clock of their own, and margins for a busy machine.
CLIENT_GATEWAY = [f"tests/lab/test_{name}.py" for name in ("syn", "answers", "carried", "limits")]
COUNTED = [f"tests/lab/test_{name}.py" for name in ("baseline", "smoke")]
SMP = "tests/lab/test_smp.py"
LABS = [
    ("lab-6.1-client", "6.1", ["-c", "2"], CLIENT_GATEWAY),
    ("lab-6.1", "6.1", ["-c", "2"],
     ["tests/lab", *(f"--ignore={file}" for file in CLIENT_GATEWAY + COUNTED)]),
    ("lab-6.1-counted", "6.1", ["-i"], COUNTED),
    ("lab-6.12-counted", "6.12", ["-i"], ["tests/lab/test_smoke.py"]),
    ("lab-6.12", "6.12", ["-c", "2"], [SMP]),
]


# After what builds, three of these run side by side: machines wait for their clocks
# half of the time. The longest come first.
SIDE_BY_SIDE = ["lab-6.1-client", "lab-6.1", "style", "lab-6.1-counted", "lab-6.12-counted",
                "lab-6.12", "checkpatch", "unit", "shell"]


@dataclasses.dataclass
class Test:
    name: str
    status: str = "passed"      # passed, failed, skipped
    reason: str = ""
    first: str = ""             # why it failed at first, if it passed the second time


def run(suite, *command, live=False, log=None, env=None):
    """(status, output) of a command, its output also in the suite's log."""
    path = LOGS / f"{log or suite}.log"
    output = []
    with path.open("a", encoding="utf-8") as file:
        print("$", *command, file=file, flush=True)
        child = subprocess.Popen([str(c) for c in command], cwd=REPO, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 errors="replace", env={**os.environ, **(env or {})})
        for line in child.stdout:
            file.write(line)
            output.append(line)
            if live:
                sys.stdout.write(f"  {suite}: {line}")
                sys.stdout.flush()
        return child.wait(), "".join(output)


def tail(output, lines=25):
    return "\n".join(output.rstrip().splitlines()[-lines:])


def simple(suite, name, *command):
    """A command that is one test: its status decides."""
    status, output = run(suite, *command)
    if status:
        return Test(name, "failed", f"status {status}\n{tail(output)}")
    return Test(name)


def kernel_version(series):
    done = subprocess.run([REPO / "scripts" / "kernels.sh", series], text=True,
                          capture_output=True, check=False)
    return done.stdout.strip()


def deps():
    for command in COMMANDS:
        if shutil.which(command):
            yield Test(command)
        else:
            yield Test(command, "failed", "not found; scripts/deps.sh (make deps) installs it")
    for series in ("6.1", "6.12"):
        yield simple("deps", f"kernel {series}", "scripts/kernels.sh", series)


def kmod():
    for series in ("6.1", "6.12"):
        kver = kernel_version(series)
        # From nothing: what was built before does not repeat its warnings.
        shutil.rmtree(REPO / "build" / "kmod" / kver, ignore_errors=True)
        status, output = run("kmod", "scripts/build-kmod.sh", kver, f"-j{os.cpu_count()}",
                             "W=1", "C=2")
        warnings = [l for l in output.splitlines() if re.search(r"warning:|WARNING:|error:", l)]
        if status:
            yield Test(f"build for {kver}", "failed", tail(output))
        elif not (REPO / "build" / "kmod" / kver / "wlb.ko").exists():
            yield Test(f"build for {kver}", "failed", "no wlb.ko")
        elif warnings:
            yield Test(f"build for {kver}", "failed", "\n".join(warnings[:25]))
        else:
            yield Test(f"build for {kver}")


def checkpatch():
    files = sorted(str(f.relative_to(REPO)) for top in ("kmod", "include")
                   for f in (REPO / top).rglob("*.[ch]"))
    status, output = run("checkpatch", "perl", CACHE / "checkpatch" / "checkpatch.pl", "--no-tree",
                         "--strict", "--terse", "--show-types", "-f", *files)
    found = {f: [] for f in files}
    other = []
    for line in output.splitlines():
        message = re.match(r"(\S+?):(\d+): (?:ERROR|WARNING|CHECK):(\w+): ", line)
        if not message:
            if not line.startswith("total:"):
                other.append(line)
            continue
        name, _, kind = message.groups()
        where = CHECKPATCH_IGNORE.get(kind)
        if where is None or not name.startswith(where):
            found[name].append(line)
    for name, lines in found.items():
        yield Test(name, "failed" if lines else "passed", "\n".join(lines))
    # Of its own it has status 0 or 1; anything else is a crash.
    if status > 1 or not files or (status and not any("total:" in l for l in output.splitlines())):
        yield Test("checkpatch.pl", "failed", f"status {status}\n{tail(output)}")


def userspace():
    yield simple("userspace", "build", "make", "-C", "userspace", f"-j{os.cpu_count()}", "all",
                 "unit")


def unit():
    report = RESULTS / "unit.xml"
    report.unlink(missing_ok=True)
    status, output = run("unit", "build/tests/unit", "-r", "xml", "-o", report)
    try:
        cases = list(ET.parse(report).iter("TestCase"))
    except (OSError, ET.ParseError) as error:
        yield Test("unit", "failed", f"no report: {error}\n{tail(output)}")
        return
    bad = 0
    for case in cases:
        result = case.find("OverallResult")
        if result is not None and result.get("success") == "true":
            yield Test(case.get("name"))
            continue
        bad += 1
        lines = [f"{case.get('filename')}:{case.get('line')}"]
        for failed in case.iter("Expression"):
            if failed.get("success") == "false":
                expanded = (failed.findtext("Expanded") or "").strip()
                lines.append(f"{failed.get('filename')}:{failed.get('line')}: {expanded}")
        yield Test(case.get("name"), "failed", "\n".join(lines[:25]))
    if not cases or (status and not bad):
        yield Test("unit", "failed", f"status {status}, {len(cases)} tests\n{tail(output)}")


def style():
    yield simple("style", "clang-format", "make", "-C", "userspace", "format-check")
    yield simple("style", "clang-tidy", "make", "-C", "userspace", "tidy")


def shell():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=REPO, text=True,
                            capture_output=True, check=True).stdout.splitlines()
    for name in sorted(listed):
        path = REPO / name
        if not path.is_file():
            continue
        with path.open("rb") as file:
            first = file.readline()
        completion = name.startswith("packaging/completion/")
        if re.match(rb"#!.*\b(ba|da)?sh\b", first) or name.endswith(".sh") or completion:
            dialect = ["-s", "bash"] if completion else []
            yield simple("shell", name, "shellcheck", "-x", *dialect, name)


# So many scenarios may be disturbed by a busy machine; more are no accident.
UNSTEADY_MAX = 5


def once_more(suite, series, machine, failed):
    """Scenarios with a clock of their own meet a host that may stall for seconds: the
    few that failed run again, in a machine of theirs. One that passes then is told
    of as unsteady; one that fails again has failed."""
    print(f"check: {suite}: {len(failed)} failed, once more", flush=True)
    nodes = [f"tests/lab/{test.name.replace('::', '.py::', 1)}" for test in failed]
    second = {test.name: test for test in lab(f"{suite}-again", series, machine, nodes)}
    for test in failed:
        if test.name in second and second[test.name].status == "passed":
            test.status, test.first, test.reason = "passed", test.reason, ""


def lab(suite, series, machine, tests):
    out = REPO / "build" / "lab" / suite
    shutil.rmtree(out, ignore_errors=True)
    status, output = run(
        suite, "scripts/lab.sh", "-k", series, *machine, "-t", 900, "--",
        "python3", "-m", "pytest", "-p", "no:cacheprovider", "-v", "--tb=short", "-ra",
        f"--junitxml=/run/wlb/out/{suite}.xml", *tests, live=True, env={"WLB_OUT": str(out)})
    try:
        cases = list(ET.parse(out / f"{suite}.xml").iter("testcase"))
    except (OSError, ET.ParseError) as error:
        yield Test("machine", "failed", f"status {status}, no report: {error}\n{tail(output)}")
        return
    # One that fails in its teardown too is there twice.
    merged = {}
    for case in cases:
        test = Test(f"{case.get('classname').split('.')[-1]}::{case.get('name')}")
        for kind in ("failure", "error"):
            for problem in case.findall(kind):
                test.status = "failed"
                test.reason += f"{problem.get('message')}\n{tail(problem.text or '', 15)}\n"
        skipped = case.find("skipped")
        if test.status == "passed" and skipped is not None:
            test.status, test.reason = "skipped", skipped.get("message") or "no reason given"
        known = merged.setdefault(test.name, test)
        if known is not test and test.status == "failed":
            known.status, known.reason = "failed", known.reason + test.reason
    failed = [test for test in merged.values() if test.status == "failed"]
    bad = len(failed)
    if 0 < bad <= UNSTEADY_MAX and "-i" not in machine and not suite.endswith("-again"):
        once_more(suite, series, machine, failed)
    yield from merged.values()
    # 1 is pytest's word for failed tests; 125 is lab.sh's for a kernel that complained.
    if status > 1 or (status and not bad):
        yield Test("machine", "failed", f"status {status}\n{tail(output, 40)}")


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


def main():
    suites = {"deps": deps, "kmod": kmod, "userspace": userspace}
    labs = {name: lambda n=name, a=arguments: lab(n, *a) for name, *arguments in LABS}
    others = {**labs, "checkpatch": checkpatch, "unit": unit, "style": style, "shell": shell}
    suites.update((name, others[name]) for name in SIDE_BY_SIDE)
    suites.update((name, f) for name, f in labs.items() if name not in SIDE_BY_SIDE)
    wanted = sys.argv[1:] or list(suites)
    unknown = [name for name in wanted if name not in suites]
    if unknown:
        sys.exit(f"check: no suite {', '.join(unknown)}; there are: {', '.join(suites)}")

    began = time.monotonic()
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    done = {}
    with ThreadPoolExecutor(3) as pool:
        waiting = {}
        for name in [n for n in suites if n in wanted]:
            if name in SIDE_BY_SIDE:
                waiting[name] = pool.submit(run_suite, name, suites[name])
                continue
            done.update((n, future.result()) for n, future in waiting.items())
            done[name] = run_suite(name, suites[name])
        done.update((n, future.result()) for n, future in waiting.items())
    every = [test for tests, _ in done.values() for test in tests]
    report = [line for _, line in done.values()]
    if wanted == list(suites) and not any(
            t.name.startswith("lab-") and t.status == "passed" for t in every):
        every.append(Test("lab", "failed", "no lab scenario ran"))

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
    (RESULTS / "check.json").write_text(json.dumps({
        "tests": len(every), "failed": len(total["failed"]),
        "skipped": [{"test": t.name, "reason": t.reason} for t in total["skipped"]],
        "unsteady": [{"test": t.name, "reason": t.first} for t in unsteady],
        "failures": [{"test": t.name, "reason": t.reason} for t in total["failed"]],
        "kernel": ", ".join(kernel_version(s) for s in ("6.1", "6.12")), "commit": commit,
        "seconds": round(time.monotonic() - began, 1), "suites": report}, indent=1) + "\n",
        encoding="utf-8")
    print("check: " + ", ".join(f"{len(tests)} {status}" for status, tests in total.items()))
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
