# SPDX-License-Identifier: GPL-2.0-only
r"""Each command and each block of TOML in README, guides, manual pages and what else is in docs for
users, run as it stands there:
in its order, on the host whose role it is about, with pages, daemons and a proxy that live.

 c 10.1.1.2 --- lan0 \            / wan0 --- up0 sg lan0 --- s 203.0.113.10
                      gateway ----- rep0 --- r 198.51.100.7
                                  \ dmz0 --- k 192.0.2.21, HAProxy

What cannot be run here is in NOT_RUN, line by line. A line that is neither there nor ends as it
should fails the test; so does one of NOT_RUN that no document has any more.
"""

import contextlib
import re
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from wlblab import kernel, pace, proxies, web
from wlblab.host import OUT, CommandFailed, wait_until
from wlblab.net import Net
from wlblab.wlb import WLBCTL, Wlbctl, table

REPO = kernel.REPO
DOCUMENTS = sorted(str(path.relative_to(REPO)) for path in (
    REPO / "README.md", *(REPO / "docs" / "guides").glob("*.md"), *(REPO / "docs").glob("*.[578]"),
    REPO / "docs" / "install.md", REPO / "docs" / "monitoring.md"))
# Where a document begins, if not at the gateway.
BEGINS = {"docs/wlb.toml.5": "r", "docs/wlb-routerd.8": "k"}

SYSTEM = "of a host that systemd has started: tests/packaging"
SOURCES = "builds or installs, from this tree: scripts/check.py, tests/packaging"
FIRMWARE = "of a machine with Secure Boot, whose firmware is asked, and whose user"
NOT_RUN = {
    "make demo": SOURCES,
    "make check": SOURCES,
    "make deb": SOURCES,
    "apt install ./build/deb/wlb_*.deb ./build/deb/wlb-dkms_*.deb linux-headers-amd64": SYSTEM,
    "cp /usr/share/doc/wlb/examples/client-gateway.toml /etc/wlb/wlb.toml": SYSTEM,
    "systemctl enable --now wlb": SYSTEM,
    "systemctl enable wlb": SYSTEM,
    "systemctl reload wlb": SYSTEM,
    "apt install build-essential linux-headers-$(uname -r) libnl-3-dev "
    "libnl-genl-3-dev libnl-nf-3-dev libboost-program-options-dev libtomlplusplus-dev "
    "nlohmann-json3-dev libspdlog-dev libsystemd-dev libcap-dev libssl-dev prometheus-cpp-dev "
    "pkg-config": SOURCES,
    "make install && modprobe wlb": SOURCES,
    "mokutil --import /var/lib/dkms/mok.pub": FIRMWARE,
    "reboot": FIRMWARE,
    "mokutil --test-key /var/lib/dkms/mok.pub": FIRMWARE,
    "modinfo -F signer wlb": FIRMWARE,
    "tshark -X lua_script:/usr/share/wlb/wlb.lua -i wan0 -Y wlb.tag":
        "the file is where packages put it: tests/wireshark",
}
# Others than 0.
STATUS = {("README.md", "wlbctl cache doctor"): 1}      # of its two routers one is here
# What goes on until it is interrupted.
ENDLESS = re.compile(r"wlbctl .*\b(monitor|top|trace.*)$")
# What becomes true a while after a daemon has started.
PATIENT = re.compile(r"doctor|show|curl|hash|bypass add")

HOST_OF = {"client-gateway": "gateway", "cache-router": "gateway", "processing": "gateway",
           "server-gateway": "sg", "replica": "r", "cache": "k",
           "service": "gateway", "flow": "gateway", "race": "gateway", "monitor": "gateway",
           "top": "gateway",
           "wccp": "gateway", "process": "gateway", "origin": "sg", "bypass": "k",
           "wlb-routerd": "gateway", "wlb-processd": "gateway", "wlb-gatewayd": "sg",
           "wlb-replicad": "r", "wlb-cached": "k"}
HOST_OF["gateway"] = "sg"
ASKS = {"wlb-routerd": "wccp", "wlb-processd": "process", "wlb-gatewayd": "gateway",
        "wlb-replicad": "replica", "wlb-cached": "cache"}

SERVER = "203.0.113.10"
CONFIG = Path("/etc/wlb/wlb.toml")
# The module is not where modprobe looks for it.
MODPROBE = f"""#!/bin/sh
[ "$*" = wlb ] && exec insmod {kernel.MODULE}
exec /sbin/modprobe "$@"
"""


def joined(lines):
    """Commands, (number of the line, text): those that go on in the next line in one."""
    whole, begun, end = "", 0, None
    for number, line in lines:
        begun = begun or number
        if end:
            whole += "\n" + line
            end = None if line == end else end
        elif line.endswith("\\"):
            whole += line[:-1].strip() + " "
            continue
        else:
            # not a # within a word or quotes
            whole += re.sub(r"(^|\s+)#( .*|$)", "", line).strip()
            here = re.search(r"<<(\w+)", line)
            end = here and here[1]
        if whole and not end and not whole.endswith(("&&", "|")):
            yield begun, whole
            whole, begun = "", 0
        elif not whole:
            begun = 0
        elif not end:
            whole += " "
    assert not whole, whole


def markdown(text):
    """("toml" or "command", number of the line, text) in their order."""
    found, block, fence = [], [], None
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.startswith("```"):
            if fence == "toml":
                found.append(("toml", block[0][0], "\n".join(t for _, t in block)))
            fence, block = (None if fence is not None else line[3:].strip()), []
        elif fence is not None:
            block.append((number, line))
        elif line.startswith("    "):
            block.append((number, line[4:]))
        elif block:
            found += [("command", *command) for command in joined(block)]
            block = []
        if line.startswith("|"):
            found += [("command", number, span) for span in re.findall(r"`(wlbctl [^`]*)`", line)]
    return found


def page(text):
    """The same of a manual page: .Dl of root, and displays that are set off."""
    found, block = [], None
    for number, line in enumerate(text.split("\n"), 1):
        line = line.replace(r"\e", "\\")
        if line.startswith(".Dl # "):
            found.append(("command", number, line[6:]))
        elif line == ".Bd -literal -offset indent":
            block = []
        elif line == ".Ed" and block is not None:
            if block[0][1].startswith("["):
                found.append(("toml", block[0][0], "\n".join(t for _, t in block)))
            else:
                found += [("command", *command) for command in joined(block)]
            block = None
        elif block is not None:
            block.append((number, line))
    return found


def examples(document):
    text = (REPO / document).read_text(encoding="utf-8")
    return markdown(text) if document.endswith(".md") else page(text)


def to_toml(tables):
    return "".join(
        table(f"{role}.{name}", array=True, **entry) if isinstance(entries, list) else
        table(f"{role}.{name}", **entry)
        for role, keys in tables.items() for name, entries in keys.items()
        for entry in (entries if isinstance(entries, list) else [entries]))


class Site(Net):
    def __init__(self):
        super().__init__()
        for name in ("gateway", "sg"):
            self.add_host(name, forward=True)
        for name in ("c", "s", "r", "k"):
            self.add_host(name)
        self.add_link("c", "eth0", "gateway", "lan0", ["10.1.1.2/24"], ["10.1.1.1/24"])
        self.add_link("sg", "up0", "gateway", "wan0", ["10.9.1.2/24"], ["10.9.1.1/24"])
        self.add_link("s", "eth0", "sg", "lan0", ["203.0.113.10/24"], ["203.0.113.1/24"])
        self.add_link("r", "eth0", "gateway", "rep0", ["198.51.100.7/24"], ["198.51.100.1/24"])
        self.add_link("k", "eth0", "gateway", "dmz0", ["192.0.2.21/24"],
                      ["192.0.2.1/24", "192.0.2.2/24"])
        self.add_route("gateway", "203.0.113.0/24", "10.9.1.2")
        for host, via in (("c", "10.1.1.1"), ("sg", "10.9.1.1"), ("s", "203.0.113.1"),
                          ("r", "198.51.100.1"), ("k", "192.0.2.1")):
            self.add_route(host, "default", via)


class Reader:
    """Does what a document says."""

    def __init__(self, net, where, document):
        self.net, self.where, self.document = net, where, document
        self.here = BEGINS.get(document, "gateway")
        self.files = {}         # host -> text of its wlb.toml
        self.parsed = {}        # (role, table) -> what the document has last said of it
        self.daemons = []       # (host, child)
        self.running = set()    # their names

    def read(self, kind, text):
        """None, or what is wrong."""
        try:
            return self.configure(text) if kind == "toml" else self.command(text)
        except (CommandFailed, TimeoutError, subprocess.TimeoutExpired,
                tomllib.TOMLDecodeError) as error:
            return str(error)

    def configure(self, text):
        parts = re.split(r"^# in \[\[([\w.-]+)\]\](?:, in place of ([\w-]+))?$", text,
                         flags=re.MULTILINE)
        if len(parts) == 1:
            self.take(text, tomllib.loads(text))
        for name, instead, keys in zip(parts[1::3], parts[2::3], parts[3::3]):
            role, _, inner = name.partition(".")
            entry = {k: v for k, v in self.parsed[role, inner].items() if k != instead}
            tables = {role: {inner: [entry | tomllib.loads(keys)]}}
            self.take(to_toml(tables), tables)
        return None

    def take(self, text, tables):
        for role, keys in tables.items():
            assert role in HOST_OF, role
            self.here = HOST_OF[role]
            self.files[self.here] = text
            for name, entries in keys.items():
                if isinstance(entries, list) and isinstance(entries[0], dict):
                    self.parsed[role, name] = entries[-1]
        self.run("wlbctl check /etc/wlb/wlb.toml")

    def command(self, text):
        if text in NOT_RUN:
            return None
        words = text.split()
        name = words[0]
        if name == "wlbctl":
            rest = [w for w in words[1:] if not w.startswith("-")]
            name = rest[1] if "-n" in words else rest[0]
        self.here = HOST_OF.get(name, self.here)
        if name in ("race", "flow", "status"):
            with contextlib.suppress(OSError):      # a document may have rules that drop it
                web.connect(self.net["c"], SERVER)
        if name == "bypass":
            self.need("wlb-cached", "cache.toml")
            self.here = "gateway"
            self.need("wlb-routerd", "cache-router.toml")
            self.here = "k"
        if text.endswith("&"):
            self.start(text[:-1].strip())
            return None
        if ENDLESS.search(text):
            return self.goes_on(text)
        wanted = STATUS.get((self.document, text), 0)
        done = self.run(text, check=False)
        end = time.monotonic() + pace.limit(60)
        while done.returncode == 1 != wanted and PATIENT.search(text) and time.monotonic() < end:
            time.sleep(5)
            done = self.run(text, check=False)
        if done.returncode != wanted:
            return f"status {done.returncode}, not {wanted}: {done.stdout}{done.stderr}"
        return None

    def prepared(self, text):
        """What a shell on this host needs to run that."""
        if self.here in self.files:
            CONFIG.write_text(self.files[self.here], encoding="utf-8")
        else:
            CONFIG.unlink(missing_ok=True)
        return ["env", f"PATH={self.where}:{WLBCTL.parent}:/usr/sbin:/usr/bin:/sbin:/bin",
                "bash", "-c", text]

    def run(self, text, check=True):
        return self.net[self.here].run(*self.prepared(text), check=check)

    def start(self, text):
        log = open(self.where / "log", "a", encoding="utf-8")
        child = self.net[self.here].spawn(*self.prepared("exec " + text), stderr=log)
        self.daemons.append((self.net[self.here], child))
        self.running.add(text.split()[0])
        asked = ASKS[text.split()[0]]
        ctl = Wlbctl(self.net[self.here])

        def answers():
            if child.poll() is not None:
                raise CommandFailed((self.where / "log").read_text(encoding="utf-8"))
            return ctl.run(asked, "show", check=False).returncode == 0
        wait_until(f"{text} answers", answers, 20)

    def need(self, daemon, example):
        """One that the document takes for granted."""
        if daemon not in self.running:
            self.files[self.here] = (REPO / "packaging" / "examples" / example).read_text(
                encoding="utf-8")
            self.start(daemon)

    def goes_on(self, text):
        child = self.net[self.here].spawn(*self.prepared("exec " + text), stdout=-3, stderr=-1)
        time.sleep(1)
        ended = child.poll()
        self.net[self.here].stop(child, signal.SIGINT)
        return None if ended is None else f"has ended: status {ended}: {child.stderr.read()}"

    def close(self):
        for host, child in self.daemons:
            host.stop(child)


@pytest.fixture(scope="module")
def tools(leaks, tmp_path_factory):
    """What stands in the place of what packages put there."""
    where = tmp_path_factory.mktemp("bin")
    (where / "modprobe").write_text(MODPROBE, encoding="ascii")
    (where / "modprobe").chmod(0o755)
    for name in ("/etc/wlb", "/var/lib/wlb", "/var/lib/prometheus/node-exporter"):
        Path(name).mkdir(parents=True, exist_ok=True)
    kernel.load()
    yield where
    kernel.unload()


@pytest.fixture
def site(tools):
    with Site().build() as net:
        for name in ("s", "r"):
            web.serve(net[name], https=True)
        proxies.Haproxy(net["k"])
        yield net


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if examples(d)])
def test_examples(site, tools, document):
    """All of them, so that one that is wrong hides no other; in the end a page comes."""
    key = Path("/etc/wlb/www.key")
    key.write_text("1 5f1c0e9b2a7d4c3388e6a0b1c2d3e4f5\n", encoding="ascii")
    key.chmod(0o600)
    reader = Reader(site, tools, document)
    wrong = []
    try:
        for kind, number, text in examples(document):
            problem = reader.read(kind, text)
            with open(OUT / "manual.log", "a", encoding="utf-8") as log:
                print(f"{document}:{number}: on {reader.here}: {text}", problem or "", file=log)
            if problem:
                wrong.append(f"{document}:{number}: {text}\n    on {reader.here}: {problem}")
        assert web.connect(site["c"], SERVER)[0]
    finally:
        reader.close()
    assert not wrong, "\n".join(wrong)


def test_not_run():
    """The list has no line that no document has, and nothing of ours."""
    lines = {text for d in DOCUMENTS for kind, _, text in examples(d) if kind == "command"}
    assert set(NOT_RUN) <= lines and {text for _, text in STATUS} <= lines
    assert not [line for line in NOT_RUN if "wlbctl" in line or re.match(r"wlb-\w+d\b", line)]


def test_mentioned():
    """What is spoken of within sentences is a command that there is."""
    said = subprocess.run([WLBCTL, "--help"], text=True, capture_output=True, check=True).stdout
    commands = {}
    for line in re.findall(r"^  ([a-z]+ [a-z]*) .*\.$", said, re.MULTILINE):
        name, verb = line.split(" ")
        commands.setdefault(name, set()).add(verb)
    assert len(commands) > 10
    wrong = []
    for path in sorted([REPO / "README.md", *(REPO / "docs").rglob("*.md"),
                        *(REPO / "docs").glob("*.[578]")]):
        text = path.read_text(encoding="utf-8")
        for mention in re.findall(r"(?:`|\.Ic |\.Dl # )wlbctl ((?:-\w+ )*[^`\n]*)", text):
            words = [w for w in mention.split() if re.match("[a-z]", w)]
            if words and re.fullmatch("[a-z]+", words[0]) and (
                    words[0] not in commands or "" not in commands[words[0]] and
                    not {*words[1:2], *(() if words[1:] else commands[words[0]])} <=
                    commands[words[0]]):
                wrong.append(f"{path.relative_to(REPO)}: wlbctl {mention}")
    assert not wrong, "\n".join(wrong)
