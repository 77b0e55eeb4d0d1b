# SPDX-License-Identifier: GPL-2.0-only
"""What scripts/check.py runs: each suite is a function whose tests it yields."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import result

REPO = pathlib.Path(__file__).resolve().parent.parent
RESULTS = REPO / "build" / "results"
LOGS = RESULTS / "check"
CACHE = pathlib.Path(os.environ.get("WLB_CACHE", "/var/cache/wlb"))

COMMANDS = """make gcc g++ clang++ clang-format clang-tidy sparse shellcheck perl pkg-config
    flake8 flex bison ccache mandoc zsh
    modprobe depmod bpftrace qemu-system-x86_64
    busybox cpio xz ip tc ss ping curl nginx openssl tcpdump
    tshark nft ethtool iperf3 conntrack squid haproxy debootstrap dh_dkms lintian
    systemd-analyze""".split()


# What checkpatch.pl asks for and we do otherwise, and why.
CHECKPATCH_IGNORE = {
    # Lists of names (X macros), initialisers and declarations take no parentheses.
    "COMPLEX_MACRO": "",
    # The same macros name an argument twice on purpose; they expand to no call.
    "MACRO_ARG_REUSE": "",
    # A new file in a tree with a MAINTAINERS file: there is none.
    "FILE_PATH_CHANGES": "",
    # The customary layout of TRACE_EVENT().
    "PARENTHESIS_ALIGNMENT": "kmod/trace.h",
    "OPEN_ENDED_LINE": "kmod/trace.h",
    # Headers that userspace compiles too have neither BIT() nor u8.
    "BIT_MACRO": "include/",
    "PREFER_KERNEL_TYPES": "include/",
    # An out-of-tree module meets several kernels; compat.h is the place for it.
    "LINUX_VERSION_CODE": "kmod/compat.h",
    # It takes LINUX_VERSION_CODE for a constant on the wrong side.
    "CONSTANT_COMPARISON": "kmod/compat.h",
}


@dataclasses.dataclass
class Machine:
    """Scenarios in a machine of their own."""
    kernel: str                 # see scripts/lab.sh
    arguments: list             # of lab.sh
    tests: list                 # arguments of pytest
    environment: dict = dataclasses.field(default_factory=dict)     # of pytest
    story: bool = False         # its tests mean nothing without those before


def lab_files(*names):
    return [f"tests/lab/{name}.py" for name in names]


CLIENT_GATEWAY = lab_files("test_syn", "test_answers", "test_carried", "test_limits",
                           "test_advice")
RETURNS = lab_files("test_returns", "test_spoof", "test_practice", "test_fastpath")
MATRIX = lab_files("test_icmp", "test_matrix")
# Exact delays, or long waits, which the counted clock skips.
COUNTED = lab_files("test_baseline", "test_smoke", "test_dead", "test_cookies")
# What an operator types and reads; shells and many short programs.
CONSOLE = lab_files("test_manual", "test_completion", "test_explain", "test_explain_race",
                    "test_status", "test_top", "test_clients", "test_trace")
DIRECT = lab_files("test_direct")
# Cache router and cache: a net of its own, which all scenarios of a file share.
REDIRECT = lab_files("test_redirect", "test_redirect_drain", "test_redirect_return",
                     "test_buckets", "test_group_config", "test_routerd", "test_http",
                     "test_router_doctor")
# Hosts of caches; the second file has a net of two routers and three proxies.
CACHES = lab_files("test_cache", "test_cached", "test_process", "test_processd")
# Mean nothing by any other clock.
RATE = lab_files("test_rate", "test_permit")
REGISTRY = lab_files("test_registry")
SMP = lab_files("test_smp")
DEBUG = "tests/lab/debug"
ADVERSE = [f"{DEBUG}/test_{name}.py" for name in (
    "churn", "tables", "fast", "faults", "requests", "redirect_faults", "netlink_fuzz")]
CROWDS = [f"{DEBUG}/test_{name}.py" for name in ("storm", "flood")]
# What several processors make worse; the rest asks one after the other. And the least of it.
PARALLEL = [*SMP, *CROWDS, *ADVERSE[:3]]
RACES_AND_UNLOAD = [CROWDS[0], f"{ADVERSE[0]}::test_module"]
OTHERS = ["tests/lab", f"--ignore={DEBUG}",
          *(f"--ignore={f}" for f in CLIENT_GATEWAY + RETURNS + MATRIX + COUNTED + RATE +
            REDIRECT + CACHES + REGISTRY + DIRECT + CONSOLE)]
FUZZERS = ("tag", "fsm", "packet", "crack", "value", "config", "netlink", "wccp",
           "router", "cache", "registry", "control")

SHARES = {"all": 1, "half": 2, "quarter": 4, "eighth": 8, "sixteenth": 16,
          "thirtysecond": 32}
CASES = os.environ.get("WLB_CASES", "all")
if CASES not in SHARES:
    sys.exit(f"WLB_CASES: {CASES}: not one of {', '.join(SHARES)}")


def counts(**usual):
    """How many races, SYNs of a flood and netlink messages; the environment has the last
    word: make check-debug WLB_RACES=100000."""
    return {f"WLB_{name}": os.environ.get(f"WLB_{name}", n) for name, n in usual.items()}


MANY = counts(RACES=4000, SYNS=30000, FUZZ=6000)
# Where an instruction takes ten times as long, some of each will do.
FEW = counts(RACES=1000 if SHARES[CASES] <= 2 else 300, SYNS=10000, FUZZ=2000)
MACHINES = {
    # The counted clock makes delays exact however busy this machine is, but has one
    # processor; scenarios of several have a clock of their own, and margins.
    "lab-6.1-client": Machine("6.1", ["-c", "2"], CLIENT_GATEWAY),
    "lab-6.1": Machine("6.1", ["-c", "2", "-t", "1800"], OTHERS),
    "lab-6.1-returns": Machine("6.1", ["-c", "2"], RETURNS),
    "lab-6.1-matrix": Machine("6.1", ["-c", "2"], MATRIX),
    "lab-6.1-redirect": Machine("6.1", ["-c", "2", "-t", "1800"], REDIRECT),
    "lab-6.1-caches": Machine("6.1", ["-c", "2", "-t", "1800"], CACHES),
    "lab-6.1-counted": Machine("6.1", ["-i"], COUNTED),
    "lab-6.1-direct": Machine("6.1", ["-i", "-t", "1800"], DIRECT),
    "lab-6.1-console": Machine("6.1", ["-i", "-t", "1800"], CONSOLE),
    "lab-6.1-rate": Machine("6.1", ["-i"], RATE),
    "lab-6.1-registry": Machine("6.1", ["-i"], REGISTRY),
    "lab-6.12-counted": Machine("6.12", ["-i"], lab_files("test_smoke")),
    "lab-6.12": Machine("6.12", ["-c", "2"], SMP),
    "uml-client": Machine("uml", ["-m", "2560", "-t", "3600"], CLIENT_GATEWAY),
    "uml-lab": Machine("uml", ["-m", "2560", "-t", "3600"],
                       [*OTHERS, f"--ignore={SMP[0]}", *COUNTED, *DIRECT]),
    "uml-redirect": Machine("uml", ["-m", "2560", "-t", "3600"], REDIRECT),
    "uml-caches": Machine("uml", ["-m", "2560", "-t", "3600"], CACHES),
    "uml-console": Machine("uml", ["-m", "2560", "-t", "3600"], CONSOLE),
    "uml-returns": Machine("uml", ["-m", "2560", "-t", "3600"], RETURNS + MATRIX),
    "uml-matrix": Machine("uml", ["-m", "2560", "-t", "3600"], MATRIX[-1:], {"WLB_MATRIX": "all"}),
    "uml-adverse": Machine("uml", ["-m", "2560", "-t", "3600"], ADVERSE, MANY),
    "uml-crowds": Machine("uml", ["-m", "3072", "-t", "7200"], CROWDS, MANY),
    "smp": Machine("smp", ["-c", "4", "-m", "2048", "-t", "5400"],
                   PARALLEL if CASES in ("all", "half") else RACES_AND_UNLOAD, FEW),
    "kcsan": Machine("kcsan", ["-c", "4", "-m", "2048", "-t", "5400"], PARALLEL, FEW),
}

# WLB_CASES: so many of the cases, and which of them run where: with half all do, in one machine
# or the other. What looks for faults under traffic has few cases and is divided by less.
PARTS = {"lab-6.1": 0, "lab-6.1-client": 0, "lab-6.1-returns": 0, "lab-6.1-matrix": 0,
         "lab-6.1-redirect": 0, "lab-6.1-caches": 0, "lab-6.1-counted": 0,
         "lab-6.1-direct": 0, "lab-6.1-console": 0, "lab-6.1-registry": 0, "lab-6.1-rate": 0,
         "uml-lab": 1, "uml-client": 1, "uml-returns": 1, "uml-redirect": 1, "uml-caches": 1,
         "uml-console": 1, "uml-adverse": 1}

# Where few scenarios run, a machine takes longer to start than they do: the first has the others'
# too, and a target leaves those out. One with a counted clock comes behind what keeps the host's
# disk busy, by which that clock leaps.
JOINED = {"lab-6.1-returns": ["lab-6.1-client", "lab-6.1-matrix"],
          "lab-6.1-redirect": ["lab-6.1-caches"],
          "lab-6.1-direct": ["lab-6.1-counted", "lab-6.1-rate", "lab-6.1-registry"],
          "uml-returns": ["uml-client"], "uml-redirect": ["uml-caches"]}
if SHARES[CASES] <= 8:
    JOINED = {}
for _first, _others in JOINED.items():
    _machine = MACHINES[_first]
    MACHINES[_first] = dataclasses.replace(
        _machine, arguments=[*_machine.arguments, "-t", "1800"],
        tests=_machine.tests + [test for other in _others for test in MACHINES[other].tests])
LEFT_OUT = {other for others in JOINED.values() for other in others}

# How a kernel says that something is wrong, once it has said UP, as lab.sh has it say.
SPLAT = re.compile("|".join((REPO / "scripts" / "splats").read_text().split("\n")[:-1]))
UP = "lab: the machine is up"
DEBUG_KERNELS = ("uml", "smp", "kcsan")


@dataclasses.dataclass
class Test:
    name: str
    status: str = "passed"      # passed, failed, skipped
    reason: str = ""
    first: str = ""             # why it failed at first, if it passed the second time
    node: str = ""              # of a scenario: where pytest finds it


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


def simple(suite, name, *command, env=None):
    """A command that is one test: its status decides."""
    status, output = run(suite, *command, env=env)
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


def kmod(*kernels, arguments=("C=2", "WLB_BENCH=m"), prefix=""):
    for which in kernels:
        kver = prefix + kernel_version(which)
        # From nothing: what was built before does not repeat its warnings.
        shutil.rmtree(REPO / "build" / "kmod" / kver, ignore_errors=True)
        status, output = run("kmod", "scripts/build-kmod.sh", which, f"-j{os.cpu_count()}",
                             *arguments, log=f"kmod-{kver}")
        warnings = [line for line in output.splitlines()
                    if re.search(r"warning:|WARNING:|error:", line)]
        if status:
            yield Test(f"build for {kver}", "failed", tail(output))
        elif not (REPO / "build" / "kmod" / kver / "wlb.ko").exists():
            yield Test(f"build for {kver}", "failed", "no wlb.ko")
        elif warnings:
            yield Test(f"build for {kver}", "failed", "\n".join(warnings[:25]))
        else:
            yield Test(f"build for {kver}")


def clang():
    """Another compiler's warnings; that module is not used."""
    return kmod("6.1", arguments=("CC=clang",), prefix="clang-")


def checkpatch():
    files = sorted(str(f.relative_to(REPO)) for top in ("kmod", "include")
                   for f in (REPO / top).rglob("*.[ch]")) + ["tests/bench/inject.c"]
    status, output = run("checkpatch", "perl", CACHE / "source" / "scripts" / "checkpatch.pl",
                         "--no-tree", "--strict", "--terse", "--show-types", "-f", *files)
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
    if status > 1 or not files or (status and "total:" not in output):
        yield Test("checkpatch.pl", "failed", f"status {status}\n{tail(output)}")


# What was compiled before need not be again, in whatever directory.
CCACHE = {"CCACHE_DIR": str(CACHE / "ccache"), "CCACHE_BASEDIR": str(REPO), "CCACHE_NOHASHDIR": "1"}


def userspace():
    yield simple("userspace", "build", "make", "-C", "userspace", f"-j{os.cpu_count()}", "all",
                 "unit", env={"CXX": "ccache g++", **CCACHE})


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


def python():
    yield simple("python", "flake8", "flake8", "scripts", "tests")


def manual():
    """Pages as mandoc reads them, which says what is wrong in them."""
    for page in sorted((REPO / "docs").glob("*.[578]")):
        yield simple("manual", page.name, "mandoc", "-T", "lint", "-W", "warning", page)


def dissector():
    """Wireshark's view of tags."""
    yield simple("dissector", "tshark", "/usr/bin/python3", "-m", "pytest", "-q", "--color=no",
                 "-p", "no:cacheprovider", "tests/wireshark")


def shell():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=REPO, text=True,
                            capture_output=True, check=True).stdout.splitlines()
    for name in sorted(listed):
        path = REPO / name
        if not path.is_file():
            continue
        with path.open("rb") as file:
            first = file.readline()
        if name == "packaging/completion/_wlbctl":
            yield simple("shell", name, "zsh", "-n", name)
            continue
        completion = name == "packaging/completion/wlbctl"
        if re.match(rb"#!.*\b(ba|da)?sh\b", first) or name.endswith(".sh") or completion:
            dialect = ["-s", "bash"] if completion else []
            yield simple("shell", name, "shellcheck", "-x", *dialect, name)


# User Mode Linux's own, seen under load: its lockdep finds interrupts, which are signals
# there, switched on within an interrupt, and gives up.
OWN_FAULT = re.compile(r"lockdep_hardirqs_on_prepare|lockdep has given up")
# What a scenario fails by that may not happen even once.
COMPLAINT = re.compile(r"the kernel complained|memory lost")
# So many scenarios may be disturbed by a busy machine; more are no accident. The counted clock
# is no shield: it leaps ahead while everybody waits for the host's disk.
UNSTEADY_MAX = 5


def once_more(suite, machine, failed):
    """Scenarios with a clock of their own meet a host that may stall for seconds, others
    the machine's own faults: the few that failed run again, in a machine of theirs. One
    that passes then is told of as unsteady; one that fails again has failed."""
    print(f"check: {suite}: {len(failed)} failed, once more", flush=True)
    if not machine.story:
        machine = dataclasses.replace(machine, tests=[test.node for test in failed])
    second = {test.name: test for test in lab(f"{suite}-again", machine, False)}
    for test in failed:
        if test.name in second and second[test.name].status == "passed":
            test.status, test.first, test.reason = "passed", test.reason, ""


def share(suite):
    """What tells a machine's scenarios which of their cases to run, by its environment."""
    of = SHARES[CASES]
    if of == 1 or suite not in PARTS:
        return {}
    return {"WLB_PART": f"{PARTS[suite]}/{max(2, of // 4) if suite == 'uml-adverse' else of}"}


def lab(suite, machine, again=True):
    out = REPO / "build" / "lab" / suite
    shutil.rmtree(out, ignore_errors=True)
    environment = {**machine.environment, **share(suite)}
    arguments = machine.arguments if "-t" in machine.arguments else [*machine.arguments, "-t", 900]
    status, output = run(
        suite, "scripts/lab.sh", "-k", machine.kernel, *arguments, "--",
        "env", *(f"{k}={v}" for k, v in environment.items()),
        "python3", "-m", "pytest", "--color=no", "-p", "no:cacheprovider", "-v", "--tb=short",
        "-ra", f"--junitxml=/run/wlb/out/{suite}.xml", *machine.tests, live=True,
        env={"WLB_OUT": str(out)})
    try:
        cases = list(ET.parse(out / f"{suite}.xml").iter("testcase"))
    except (OSError, ET.ParseError) as error:
        yield Test("machine", "failed", f"status {status}, no report: {error}\n{tail(output)}")
        return
    # One that fails in its teardown too is there twice.
    merged = {}
    for case in cases:
        where, name = case.get("classname"), case.get("name")
        test = Test(f"{where.split('.')[-1]}::{name}",
                    node=f"{where.replace('.', '/')}.py::{name}")
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
    own = bool(failed) and all(OWN_FAULT.search(test.reason) for test in failed)
    grave = [t for t in failed if COMPLAINT.search(t.reason) and not OWN_FAULT.search(t.reason)]
    if 0 < bad <= UNSTEADY_MAX and again and not grave:
        once_more(suite, machine, failed)
    if own and status == 125 and not any(t.status == "failed" for t in failed):
        status = 0
    yield from merged.values()
    # 1 is pytest's word for failed tests; 125 is lab.sh's for a kernel that complained.
    if status > 1 or (status and not bad):
        yield Test("machine", "failed", f"status {status}\n{tail(output, 40)}")


def fuzz():
    """A while of every fuzzer; `make fuzz SECONDS=n` is more of it."""
    yield simple("fuzz", "build", "make", "-C", "tests/fuzz", f"-j{os.cpu_count()}", "all",
                 env=CCACHE)
    executed = {}
    for target in FUZZERS:
        status, output = run("fuzz", "make", "-C", "tests/fuzz", "fuzz", "SECONDS=20",
                             f"TARGETS={target}")
        if status:
            yield Test(target, "failed", f"status {status}\n{tail(output)}")
            continue
        executed[target] = int(re.search(rf"^fuzz: {target}: (\d+) runs", output, re.M)[1])
        yield Test(target)
    result.add("wccp.json", {"fuzz_executions": {
        name: executed.get(name, 0) for name in ("wccp", "router", "cache")}})


EXPLORED = REPO / "build" / "tests" / "explore.json"


def page():
    """What daemons have served in scenarios, before a browser and promtool: those keep it."""
    yield simple("page", "a browser and promtool", "scripts/deps.sh", "page")
    report = RESULTS / "page.xml"
    report.unlink(missing_ok=True)
    status, output = run("page", "/usr/bin/python3", "-m", "pytest", "-q", "--color=no",
                         "-p", "no:cacheprovider", f"--junitxml={report}", "tests/page")
    try:
        cases = list(ET.parse(report).iter("testcase"))
    except (OSError, ET.ParseError) as error:
        yield Test("page", "failed", f"no report: {error}\n{tail(output)}")
        return
    bad = 0
    for case in cases:
        problems = case.findall("failure") + case.findall("error")
        skipped = case.find("skipped")
        bad += bool(problems)
        yield Test(case.get("name"), "failed" if problems else "passed" if skipped is None
                   else "skipped", "\n".join(tail(p.text or "", 15) for p in problems) or
                   (skipped.get("message") if skipped is not None else ""))
    if status and not bad:
        yield Test("page", "failed", f"status {status}\n{tail(output)}")


def explore():
    """Every way that a race can go; and that a rule taken away would be missed."""
    EXPLORED.unlink(missing_ok=True)
    yield simple("explore", "every interleaving", "make", "-C", "tests/explore", "explore")
    yield simple("explore", "mutants", "make", "-C", "tests/explore", "mutants")


SIMULATED = REPO / "build" / "tests" / "sim" / "wccp-sim.json"


def sim():
    """Whole WCCP groups in virtual time: random histories of faults, the same ones each time."""
    yield simple("sim", "build", "make", "-C", "tests/sim", f"-j{os.cpu_count()}", "all",
                 env={"CXX": "ccache g++", **CCACHE})
    SIMULATED.unlink(missing_ok=True)
    yield simple("sim", "1000 histories", "make", "-C", "tests/sim", "sim")
    if SIMULATED.exists():
        result.add("wccp.json", {"simulation": json.loads(SIMULATED.read_text(encoding="utf-8"))})


def bench():
    """What a packet costs is no more than tests/bench/figures.json has committed to."""
    yield simple("bench", "instructions per packet", "scripts/bench.sh", "quick")


# What systemd-analyze says of a unit, at most: 0 is a service that can do nothing, 10 one that
# may do all.
EXPOSURE = 2.5
UNITS = REPO / "packaging" / "systemd"
INSTALLED = REPO / "build" / "lab" / "packaging-root"
NEWER = "99.0"      # than any that there will be


def exposure(unit):
    status, output = run("packaging", "systemd-analyze", "security", "--offline=true",
                         "--no-pager", unit)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", output)
    if status or not found:
        return Test(f"exposure of {unit.name}", "failed", f"status {status}\n{tail(output)}")
    if float(found[1]) > EXPOSURE:
        return Test(f"exposure of {unit.name}", "failed",
                    f"{found[1]}, more than {EXPOSURE}:\n{output}")
    return Test(f"exposure of {unit.name}: {found[1]}")


def packages():
    """How they are built, and that they install, upgrade and go, in a system without wlb."""
    for unit in sorted(UNITS.glob("*.service")):
        yield exposure(unit)
    steps = {"make deb": ["scripts/deb.sh"],
             "a newer version": ["scripts/deb.sh", "-v", NEWER, "-o", "build/deb-newer"],
             "install, upgrade, purge": ["scripts/install-test.sh", "build/deb", "build/deb-newer",
                                         INSTALLED]}
    for name, command in steps.items():
        test = simple("packaging", name, *command)
        yield test
        if test.status != "passed":
            return


def installed():
    """That everything works in what packages() has left, once systemd has started it."""
    return lab("packaging-lab", Machine("6.1", ["-c", "2", "-t", "1800", "-R", INSTALLED],
                                        ["tests/packaging"], story=True))


def packaging():
    tests = list(packages())
    yield from tests
    if all(test.status == "passed" for test in tests):
        yield from installed()


SUITES = {
    "deps": deps, "kmod": lambda: kmod("6.1", "6.12"), "kmod-uml": lambda: kmod("uml"),
    "kmod-smp": lambda: kmod("smp"), "kmod-kcsan": lambda: kmod("kcsan"), "clang": clang,
    "checkpatch": checkpatch, "userspace": userspace, "unit": unit, "style": style,
    "shell": shell, "python": python, "manual": manual, "dissector": dissector,
    "explore": explore, "fuzz": fuzz, "sim": sim, "bench": bench, "packaging": packaging,
    "page": page,
    "packaging-lab": installed,
    **{name: lambda n=name, m=machine: lab(n, m) for name, machine in MACHINES.items()},
}

# With three machines on two processors delays are not what they should be: these have some.
DELAYS = ["uml-adverse", "uml-lab", "uml-redirect", "uml-returns", "uml-caches", "uml-client",
          "uml-console"]
NO_DELAYS = ["fuzz", "uml-crowds", "explore"]

# What `check.py TARGET` runs, one stage after the other: (how many side by side, suites).
# Machines with a real clock wait for it half of the time. The longest come first.
TARGETS = {
    "check": [
        (1, ["deps", "kmod", "userspace"]),
        # clang-tidy is the longest where it has seen none of the files before
        (2, ["style", "packaging", "lab-6.1-returns", "lab-6.1-redirect", "lab-6.1",
             "lab-6.1-client", "lab-6.1-matrix", "lab-6.1-caches", "lab-6.1-console", "sim",
             "lab-6.1-direct", "lab-6.1-counted", "lab-6.1-rate", "lab-6.1-registry", "bench",
             "lab-6.12-counted", "lab-6.12", "clang", "checkpatch", "unit", "shell", "python",
             "manual", "dissector"]),
        # which judges what machines have kept
        (1, ["page"])],
    "debug": [
        (1, ["kmod-uml", "userspace"]),
        (2, NO_DELAYS + DELAYS)],
    # the same, and races on several processors, which wait most of the time
    "watched": [
        (1, ["kmod-uml", "kmod-smp", "userspace"]),
        (3, ["smp", *NO_DELAYS]),
        (2, DELAYS)],
    "matrix": [(1, ["kmod-uml", "userspace", "uml-matrix"])],
    "smp": [(1, ["kmod-smp", "userspace", "smp"])],
    "kcsan": [(1, ["kmod-kcsan", "userspace", "kcsan"])],
    "lint": [(1, ["kmod", "clang"]), (2, ["style", "checkpatch", "shell", "python",
                                          "manual"])],
}
TARGETS = {target: [(side_by_side, [name for name in names if name not in LEFT_OUT])
                    for side_by_side, names in stages] for target, stages in TARGETS.items()}


def measured(machines, explored):
    """What else a result file tells: what kernels complained of, and the scenarios' own
    counts."""
    watched = any(MACHINES[name].kernel in DEBUG_KERNELS for name in machines)
    found = {"splats": 0, "leaks": 0} if watched else {}
    for name in machines:
        out = REPO / "build" / "lab" / name
        log = out / "kernel.log"
        if watched and log.exists():
            lines = log.read_text(encoding="utf-8", errors="replace").partition(UP)[2]
            found["splats"] += len(SPLAT.findall(lines))
            report = out / f"{name}.xml"    # not there if the machine was stopped
            if report.exists():
                found["leaks"] += report.read_text(encoding="utf-8", errors="replace").count(
                    "unreferenced object")
        for report, keys in (("storm.json", ("races", "double_wins")),
                             ("netlink.json", ("netlink_fuzz",)),
                             ("matrix.json", ("cases", "passed"))):
            if (out / report).exists():
                values = json.loads((out / report).read_text(encoding="utf-8"))
                found.update({key: values[key] for key in keys})
    if explored and EXPLORED.exists():
        states = json.loads(EXPLORED.read_text(encoding="utf-8"))
        found["states_explored"] = states["states"]
    return found
