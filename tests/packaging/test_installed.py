# SPDX-License-Identifier: GPL-2.0-only
"""The packages on a Debian 12 that systemd has started, in a machine of its own: lab.sh -R, with
the root that scripts/install-test.sh has left. The tests are one story and run in this order.

    c --- lan0 [client gateway, cache router, processing] wan0 --- s, server and its gateway
                     rep0 |                | k0
                          r, replica       k, cache and its nginx
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]
NEWER = sorted((REPO / "build" / "deb-newer").glob("*.deb"))
UNITS = {"wlb-routerd": None, "wlb-processd": None, "wlb-gatewayd": "s", "wlb-replicad": "r",
         "wlb-cached": "k"}
CONFIG = {"wlb-gatewayd": "server", "wlb-replicad": "replica", "wlb-cached": "cache"}
HOSTS = {"c": ("lan0", "10.1.0.1", ["10.1.0.2"]),
         "s": ("wan0", "203.0.113.1", ["203.0.113.10", "203.0.113.20"]),
         "r": ("rep0", "198.51.100.1", ["198.51.100.7"]),
         "k": ("k0", "192.0.2.1", ["192.0.2.21"])}
HTTP = {"wlb-routerd": 2062, "wlb-cached": 2063, "wlb-gatewayd": 2064, "wlb-replicad": 2065,
        "wlb-processd": 2066}
CAP_NET_ADMIN = 1 << 12
# What a page says: who has made it, and for whom.
BY_REPLICA, BY_CACHE = "r to 10.1.0.2", "s to 192.0.2.21"
NGINX = """
daemon off;
pid {dir}/{name}.pid;
error_log {dir}/{name}.log;
events {{ }}
http {{
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000;
    client_body_temp_path {dir}/{name}.body;
    proxy_temp_path {dir}/{name}.proxy;
    fastcgi_temp_path {dir}/{name}.fastcgi;
    uwsgi_temp_path {dir}/{name}.uwsgi;
    scgi_temp_path {dir}/{name}.scgi;
    {servers}
}}
"""
# One connection: a page for each line that it reads.
KEEPER = """
import socket, sys
connection = socket.create_connection((sys.argv[1], 80), 60)
for _ in sys.stdin:
    connection.sendall(b"GET / HTTP/1.1\\r\\nHost: " + sys.argv[1].encode() + b"\\r\\n\\r\\n")
    answer = b""
    while answer[-1:] != b"\\n" or answer[-2:] == b"\\r\\n":
        more = connection.recv(4096)
        if not more:
            sys.exit("the connection was closed")
        answer += more
    print(answer.split(b"\\r\\n\\r\\n")[1].decode().strip(), flush=True)
"""


def run(*command, check=True, timeout=300):
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=timeout)
    assert not check or done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}"
    return done.stdout.strip()


def inside(host, *command):
    return ["ip", "netns", "exec", host, *command]


def show(unit, what):
    return run("systemctl", "show", "--value", "-p", what, unit)


def journal(unit):
    return run("journalctl", "--no-pager", "-n", "40", "-u", unit)


def wait_until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def is_running(unit):
    return run("systemctl", "is-active", unit, check=False) == "active"


class Keeper:
    """A client's connection that lasts."""

    def __init__(self, server):
        self.child = subprocess.Popen(
            inside("c", sys.executable, "-c", KEEPER, server), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def page(self):
        print("page", file=self.child.stdin, flush=True)
        line = self.child.stdout.readline().strip()
        # What a failing one says, and it ends with that.
        return line if " to " in line else line + self.child.stdout.read()


def serve(where, name, *servers):
    file = where / f"{name}.conf"
    file.write_text(NGINX.format(dir=where, name=name, servers="\n".join(servers)))
    subprocess.Popen(inside(name, "nginx", "-c", str(file)))


@pytest.fixture(scope="module", autouse=True)
def net(tmp_path_factory):
    """Hosts around the gateway, which is this machine's own namespace."""
    run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    for name, (device, gateway, addresses) in HOSTS.items():
        run("ip", "netns", "add", name)
        run("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "address", "add", f"{gateway}/24", "dev", device)
        run("ip", "link", "set", device, "up")
        for address in addresses:
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        for own in ("lo", "eth0"):
            run("ip", "-n", name, "link", "set", own, "up")
        run("ip", "-n", name, "route", "add", "default", "via", gateway)
    # The server is far, on its way back; so in race mode equal the replica wins.
    run(*inside("s", "tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "100ms"))
    where = tmp_path_factory.mktemp("nginx")
    for name in ("s", "r"):
        serve(where, name, 'server { listen 80; location / {',
              f'return 200 "{name} to $remote_addr\\n"; }} }}')
    serve(where, "k", 'server { listen 3128; location / { return 200 "k\\n"; } }',
          'server { listen 3129; location / { proxy_pass http://$http_host; } }')


def drop_in(unit, text):
    folder = pathlib.Path(f"/etc/systemd/system/{unit}.service.d")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test.conf").write_text(text)


def test_boot():
    """What was enabled runs, though there was no interface yet but lo."""
    assert run("systemctl", "is-system-running", "--wait", check=False) == "running", \
        run("systemctl", "--failed", check=False)
    for unit in ("wlb", "wlb-processd"):
        assert is_running(unit), journal(unit)
    assert run("wlbctl", "service", "list").split()[:2] == ["service", "web"]


def test_enable():
    """The others are enabled, run, and have nothing that they do not need."""
    for host, name in (("s", "server"), ("r", "replica")):
        run("wlbctl", "-n", host, "apply", f"/etc/wlb/{name}.toml")
    for unit, name in CONFIG.items():
        setup = ("ExecStartPre=+/usr/sbin/wlbctl -n k cache setup /etc/wlb/cache.toml\n"
                 if name == "cache" else "")
        drop_in(unit, f"[Service]\nNetworkNamespacePath=/run/netns/{UNITS[unit]}\n{setup}"
                f"ExecStart=\nExecStart=/usr/sbin/{unit} -c /etc/wlb/{name}.toml\n")
    drop_in("wlb-routerd", "[Service]\nWatchdogSec=10\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "--now", *UNITS, check=False)
    for unit in UNITS:
        assert is_running(unit), journal(unit)
        status = pathlib.Path(f"/proc/{show(unit, 'MainPID')}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == CAP_NET_ADMIN, unit
        assert int(fields["NoNewPrivs"]) == 1 and int(fields["Seccomp"]) == 2, unit
    assert pathlib.Path("/var/lib/wlb").stat().st_mode & 0o777 == 0o700


def serves(server, who):
    wait_until(f"a page is {who}", lambda: run(
        *inside("c", "curl", "-s", "-m", "10", f"http://{server}/"), check=False) == who)


def both_serve():
    """Connections that last, once what an earlier test has ended is there again."""
    servers = {BY_REPLICA: "203.0.113.10", BY_CACHE: "203.0.113.20"}
    for who, server in servers.items():
        serves(server, who)
    return {who: Keeper(server) for who, server in servers.items()}


def test_page_of_a_replica():
    """It registers by its own word, and wins."""
    wait_until("the replica is registered", lambda: "198.51.100.7" in run(
        "wlbctl", "-n", "s", "gateway", "list"))
    wait_until("its state is ready", lambda: "ready" in run(
        "wlbctl", "-n", "s", "gateway", "show", check=False))
    serves("203.0.113.10", BY_REPLICA)


def test_page_of_a_cache():
    serves("203.0.113.20", BY_CACHE)


def test_copies():
    """Of the pages, in the one directory that wlb-processd may write to."""
    file = pathlib.Path("/var/lib/wlb/watch.pcapng")
    wait_until("copies are written", lambda: file.exists() and file.stat().st_size > 500)
    assert file.stat().st_mode & 0o777 == 0o600


def test_http():
    """Each daemon serves what it knows from within its sandbox; wlbctl has the kernel's part."""
    for unit, name in UNITS.items():
        command = ["curl", "-sSf", f"http://127.0.0.1:{HTTP[unit]}/metrics"]
        text = run(*(inside(name, *command) if name else command))
        assert f'daemon="{unit}"' in text and "\nwlb_module_up 1" in text, text
    assert "Content-Security-Policy: default-src 'none'; script-src 'sha256-" in \
        run("curl", "-sSI", "http://127.0.0.1:2062/")
    assert '\nwlb_redirected_packets_total{way="gre"} ' in run("wlbctl", "metrics")


def test_watchdog():
    """A daemon that works feeds it; one that hangs is replaced, and flows go on."""
    keeper = Keeper("203.0.113.20")
    assert keeper.page() == BY_CACHE
    first = show("wlb-routerd", "WatchdogTimestampMonotonic")
    wait_until("the watchdog is fed", lambda: show(
        "wlb-routerd", "WatchdogTimestampMonotonic") != first, 10)
    pid = int(show("wlb-routerd", "MainPID"))
    os.kill(pid, signal.SIGSTOP)
    wait_until("another runs", lambda: int(show("wlb-routerd", "MainPID")) not in (0, pid) and
               is_running("wlb-routerd"))
    assert int(show("wlb-routerd", "NRestarts")) == 1
    assert keeper.page() == BY_CACHE


def test_reload():
    """A new configuration, and one with errors, without a lost flow."""
    keepers = both_serve()
    file = pathlib.Path("/etc/wlb/wlb.toml")
    text = file.read_text()
    pids = {unit: show(unit, "MainPID") for unit in UNITS}

    def go_on():
        assert {who: keeper.page() for who, keeper in keepers.items()} == {k: k for k in keepers}
    go_on()
    more = '[[client-gateway.service]]\nname = "more"\nports = [81]\nreplicas = "any"\n'
    file.write_text(text + more)
    run("systemctl", "reload", "wlb")
    assert " more " in run("wlbctl", "service", "list")
    wait_until("wlb-processd has followed", lambda: "configuration read anew" in journal(
        "wlb-processd"))
    go_on()
    file.write_text(text + "[[client-gateway.service]]\nname = 1\n")
    assert subprocess.run(["systemctl", "reload", "wlb"], check=False).returncode == 1
    assert " more " in run("wlbctl", "service", "list")
    go_on()
    file.write_text(text)
    run("systemctl", "reload", "wlb")
    assert " more " not in run("wlbctl", "service", "list")
    go_on()
    assert {unit: show(unit, "MainPID") for unit in UNITS} == pids
    assert all(is_running(unit) for unit in ("wlb", *UNITS))


def test_upgrade():
    """The daemons are the new ones, the module stays, and so do flows of replica and cache."""
    keepers = both_serve()
    assert {who: keeper.page() for who, keeper in keepers.items()} == {k: k for k in keepers}
    pids = {unit: show(unit, "MainPID") for unit in UNITS}
    module = os.stat("/sys/module/wlb").st_ino
    started = show("wlb", "ActiveEnterTimestampMonotonic")
    newest = run("dpkg-deb", "-f", NEWER[0], "Version")
    assert run("wlbctl", "--version") != f"wlbctl {newest}"
    # DKMS compiles in scripts/install-test.sh: here a compiler would take ten minutes.
    for headers in pathlib.Path("/lib/modules").glob("*/build"):
        headers.unlink()
    print(run("dpkg", "-i", *NEWER, timeout=600))
    assert run("wlbctl", "--version") == f"wlbctl {newest}"
    for unit in UNITS:
        wait_until(f"{unit} runs", lambda name=unit: is_running(name), 10)
        assert show(unit, "MainPID") != pids[unit]
    assert os.stat("/sys/module/wlb").st_ino == module
    assert show("wlb", "ActiveEnterTimestampMonotonic") == started
    assert {who: keeper.page() for who, keeper in keepers.items()} == {k: k for k in keepers}


def test_purge():
    """Nothing runs, nothing is loaded, nothing is left."""
    for unit in UNITS:
        folder = pathlib.Path(f"/etc/systemd/system/{unit}.service.d")
        if folder.exists():
            (folder / "test.conf").unlink()
            folder.rmdir()
    print(run("apt-get", "purge", "-y", "wlb", "wlb-dkms"))
    assert not pathlib.Path("/sys/module/wlb").exists()
    assert run("ps", "-C", ",".join(UNITS), "-o", "comm=", check=False) == ""
    assert run("systemctl", "list-units", "--all", "--plain", "--no-legend", "wlb*") == ""
    assert run("systemctl", "is-system-running") == "running"
    # Of what a package itself brought scripts/install-test.sh asserts it; this is for what has run.
    left = run("find", "/etc", "/var", "/tmp", "/root", "/usr/lib/systemd", "/usr/src",
               "/lib/modules", "-xdev", "-name", "*wlb*", "-not", "-path", f"{REPO}/*", "-not",
               "-path", "/var/cache/wlb")
    assert left == ""
