# SPDX-License-Identifier: GPL-2.0-only
"""The control sockets of daemons: who may ask, what clients that misbehave come to, and that
nobody is told a secret."""

import base64
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

from wlblab import registry, wccp
from wlblab.cached import Cached
from wlblab.host import wait_until
from wlblab.http import Http
from wlblab.wlb import WLBCTL, table

T = 0.5
GROUP = {"service": "web-cache", "redirect_in": ["lan0"], "group_list": ["10.2.0.0/24"]}
NOBODY = 65534
MOST = 32               # clients
PATIENCE = 5            # s


@pytest.fixture
def router(farm):
    router = wccp.Routerd(farm["r"])
    yield router
    if router.child:
        router.kill(15)


def connect(host, daemon="wlb-routerd"):
    with host.entered():
        sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    with host.entered():
        sock.connect("\0" + daemon)
    return sock


def hear(sock):
    """All that is said until the daemon closes; a socket that has not read all is reset."""
    text = b""
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            text += part
    return text.decode()


def once(host, request):
    with connect(host) as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(request)
        return json.loads(hear(sock))


def resident(child):
    """kB"""
    status = pathlib.Path(f"/proc/{child.pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def files(child):
    return len(os.listdir(f"/proc/{child.pid}/fd"))


def by_nobody(host, *command):
    child = host.popen(*command, user=NOBODY, group=NOBODY, extra_groups=[],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate(timeout=60)
    return child.returncode, out, err


def test_others(router, farm):
    """An ordinary user is refused, and told why, be he root of a namespace of his own."""
    router.start(GROUP)
    own = ["unshare", "-r"]
    for prefix in ([], own):
        for command in (["show"], ["-j", "show"], ["clear"], ["reload"], ["monitor"]):
            options, verb = command[:-1], command[-1]
            status, out, err = by_nobody(farm["r"], *prefix, WLBCTL, *options, "wccp", verb)
            assert (status, out) == (1, ""), (prefix, command, out, err)
            assert "only root may ask wlb-routerd" in err, (prefix, command, err)
    assert by_nobody(farm["r"], *own, "id", "-u")[:2] == (0, "0\n")
    assert Http(farm["r"], "routerd").metrics()['wlb_control_refused_total{why="not-root"}'] == 10
    assert router.answers()
    assert "read anew" not in router.log()


@pytest.mark.parametrize("said,why", [
    (b"\n", "must be a JSON object"),
    (b"GET / HTTP/1.1\r\n\r\n", "must be a JSON object"),
    (b"[" * 4000 + b"\n", "must be a JSON object"),
    (b'{"command":"show"\xff}\n', "must be a JSON object"),
    (b"x" * 100000, "at most 4096 octets"),
    (b'{"command":5}\n', "command must be a text"),
    (b'{"command":"show","group":{"a":[]}}\n', "group must be a text"),
    (b'{"command":"hash","source":"10.1.1.2","destination":"10.2.0.1","protocol":1000}\n',
     "protocol must be a number, 0..255"),
    (b'{"command":"hash","source":7}\n', "source must be a text"),
    (b'{"command":"hash"}\n', "address"),
    (b'{"command":"show","what":1}\n', 'no field \"what\"'),
    (b'{"command":"end"}\n', "command must be show"),
], ids=range(12))
def test_broken(router, farm, said, why):
    """What is no request is told so; the daemon goes on."""
    router.start(GROUP)
    assert why in once(farm["r"], said)["error"]
    assert "groups" in once(farm["r"], b'{"command":"show"}\n')
    assert router.child.poll() is None


def test_crowd(router, farm):
    """Clients that say nothing, too little, or too slowly keep others away for as long as they
    may take, and no longer; all that they had is given back."""
    router.start(GROUP)
    host = farm["r"]
    once(host, b'{"command":"show"}\n')
    before = resident(router.child), files(router.child)
    crowd = [connect(host) for _ in range(MOST)]
    began = time.monotonic()
    crowd[0].sendall(b'{"comm')
    for _ in range(1000):
        with connect(host) as sock:
            assert "has 32 clients already" in hear(sock)
    refused = router.ctl.run("wccp", "show", check=False)
    assert refused.returncode == 1 and "wlb-routerd has 32 clients already" in refused.stderr
    with contextlib.suppress(BrokenPipeError):
        while time.monotonic() < began + 2 * PATIENCE:
            crowd[1].sendall(b" ")
            time.sleep(0.5)
    for sock in crowd:
        assert json.loads(hear(sock))["error"] == f"no request within {PATIENCE} s"
        sock.close()
    assert time.monotonic() < began + 2 * PATIENCE
    assert router.answers()
    metrics = Http(host, "routerd").metrics()
    assert metrics['wlb_control_refused_total{why="too-slow"}'] == MOST
    assert metrics['wlb_control_refused_total{why="too-many"}'] == 1001
    wait_until("nothing is left of them", lambda: files(router.child) <= before[1] + 4, 20)
    for _ in range(2000):
        once(host, b'{"command":"show"}\n' if _ % 2 else b"x\n")
    print(f"{before[0]} kB, then {resident(router.child)} kB")
    assert resident(router.child) < before[0] + 4096


def test_deaf_watchers(router, farm):
    """Watchers that do not read keep nobody waiting, and there is an end to what is kept for
    them; one that is stopped is not the daemon's business either."""
    router.start(GROUP)
    host = farm["r"]
    deaf = [connect(host) for _ in range(MOST - 1)]
    for sock in deaf:
        sock.sendall(b'{"command":"watch"}\n')
    before = resident(router.child)
    cache = wccp.Cache(farm["k1"], farm.caches["k1"][4], farm.router["k1"][4])
    try:
        wait_until("it has all buckets",
                   lambda: router.shares() == {farm.caches["k1"][4]: 256}, 20)
    finally:
        cache.stop()
    assert resident(router.child) < before + 8192
    for sock in deaf:
        sock.close()
    wait_until("they are gone", lambda: once(host, b'{"command":"show"}\n').get("groups"), 10)


KEY = "lab-registry-secret-of-this-test"
HEX = "5ec2e7ba5eba11c0ffee5ec2e7ba5eba11c0ffee"
PASSWORD = "pa5sw0rd"


def forms(secret):
    data = bytes.fromhex(secret) if secret == HEX else secret.encode()
    return {secret.encode(), data, data.hex().encode(), data.hex().upper().encode(),
            base64.b64encode(data).rstrip(b"="), ", ".join(map(str, data)).encode(),
            ",".join(map(str, data)).encode()}


SECRETS = set.union(*map(forms, (KEY, HEX, PASSWORD)))


def secret_file(name, text, mode=0o600, owner=0):
    path = registry.key_file(name, text)
    os.chmod(path, mode)
    os.chown(path, owner, 0)
    return path


class Site:
    """All daemons that know a secret, and use it."""

    def __init__(self, farm):
        self.farm = farm
        self.key = secret_file("clients.key", f"1 {KEY}\n2 {HEX}\n")
        self.password = secret_file("clients.password", PASSWORD + "\n")
        gateway, replica = farm.router["k1"][4], farm.caches["k1"][4]
        origin = farm.origins[4][0]
        self.router = wccp.Routerd(farm["r"])
        self.cached = Cached(farm["k2"])
        self.gatewayd = registry.Gatewayd(farm["r"])
        self.replicad = registry.Replicad(farm["k1"])
        self.daemons = [self.router, self.cached, self.gatewayd, self.replicad]
        farm.wlb("r").apply(table("server-gateway.origin", array=True, **{
            "name": "www", "server": origin, "ports": [80],
            "registry": {"key-file": self.key, "listen": gateway, "replicas": ["10.2.0.0/24"],
                         "interval": f"{int(T * 1000)}ms"}}))
        farm.wlb("k1").apply(table("replica.origin", array=True, **{
            "name": "www", "server": origin, "ports": [80], "local": replica,
            "clones_from": [gateway], "gateways": [gateway], "key-file": self.key}))
        self.group = {"service": "web-cache", "address": farm.caches["k2"][4],
                      "routers": [gateway], "interval": "500ms", "password_file": self.password}

    def start(self):
        self.gatewayd.start()
        self.replicad.start()
        self.router.start({**GROUP, "password_file": self.password})
        self.cached.configure(self.group)
        self.cached.start()
        wait_until("it is registered", lambda: farm_in(self.gatewayd), 20)
        wait_until("the cache has all buckets", lambda: self.router.shares() ==
                   {self.farm.caches["k2"][4]: 256}, 30)

    def close(self):
        for daemon in self.daemons:
            if daemon.child:
                daemon.kill(15)
        self.farm.wlb("r").apply("")
        self.farm.wlb("k1").apply("")


def farm_in(gatewayd):
    return list(gatewayd.in_force())


@pytest.fixture
def site(farm):
    site = Site(farm)
    yield site
    site.close()


def told(site):
    """{by what: what it tells} of everything that tells something."""
    found = {}
    for name, objects in (("r", ("wccp", "gateway")), ("k1", ("replica",)), ("k2", ("cache",))):
        ctl = site.farm.wlb(name)
        commands = [("status",), ("save",), ("show",), ("stats",), ("metrics",), ("doctor",),
                    ("origin", "list"), ("gateway", "list"), ("replica", "list"),
                    *((what, verb) for what in objects for verb in ("show", "reload"))]
        for command in commands:
            for options in ((), ("-j",)):
                done = ctl.run(*options, *command, check=False)
                found[f"{name}: {' '.join((*options, *command))}"] = done.stdout + done.stderr
    for what in (("show", "web-cache", "detail"), ("show", "web-cache", "counters")):
        found[" ".join(what)] = site.router.ctl.run("wccp", *what).stdout
        found["cache " + " ".join(what)] = site.cached.ctl.run("cache", *what).stdout
    for host, daemon in (("r", "routerd"), ("r", "gatewayd"), ("k1", "replicad"), ("k2", "cached")):
        for path in ("/", "/status.json", "/metrics"):
            found[f"{daemon} {path}"] = Http(site.farm[host], daemon).get(path)
    for daemon in site.daemons:
        found[daemon.log_path] = daemon.log()
    return found


def secrets_in(found):
    return {by for by, text in found.items()
            for secret in SECRETS if secret in text.encode(errors="surrogateescape")}


def test_secrets(site):
    """Nothing that tells something tells a key or a password."""
    site.start()
    # What is wrong, too: messages of who does not have them, files that are not as they should.
    other = secret_file("other.key", f"1 {KEY}-not\n")
    with site.farm["k2"].entered():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.sendto(registry.message(registry.HELLO, 1, b"", secret=b"x" * 16),
                (site.farm.router["k1"][4], registry.PORT))
    sock.close()
    os.unlink(other)
    found = told(site)
    assert len(found) > 60 and all(text for by, text in found.items() if "log" in by)
    broken = [f"{KEY} 1\n", f"1 {KEY} {HEX}\n", f"1 {KEY}\n1 {HEX}\n", f"1 {KEY[:15]}\n",
              f"99999999999 {KEY}\n", KEY * 2000]
    for i, text in enumerate(broken):
        secret_file("clients.key", text)
        for daemon in (site.gatewayd, site.replicad):
            done = daemon.ctl.run(daemon.object, "reload", check=False)
            assert done.returncode == 1 and site.key in done.stderr
            found[f"{daemon.object}, key file {i}"] = done.stderr
    for i, text in enumerate((f"{PASSWORD}{PASSWORD}\n", f"\n{PASSWORD}\n")):
        secret_file("clients.password", text)
        for what, ctl in (("wccp", site.router.ctl), ("cache", site.cached.ctl)):
            done = ctl.run(what, "reload", check=False)
            assert done.returncode == 1 and site.password in done.stderr
            found[f"{what}, password file {i}"] = done.stderr
    found.update({daemon.log_path: daemon.log() for daemon in site.daemons})
    assert secrets_in(found) == set()
    # The check can fail.
    assert secrets_in({"a": f"x{KEY}y", "b": f"[{', '.join(map(str, PASSWORD.encode()))}]",
                       "c": ""}) == {"a", "b"}


@pytest.mark.parametrize("mode,owner,why", [
    (0o644, 0, "has mode 0644"), (0o604, 0, "has mode 0604"), (0o620, 0, "has mode 0620"),
    (0o602, 0, "has mode 0602"), (0o600, NOBODY, f"belongs to user {NOBODY}"),
])
def test_files_of_secrets(site, mode, owner, why):
    """A file that others can read or change is refused, by name, with what is wrong and what
    should be; what is in force stays."""
    site.start()
    secret_file("clients.key", f"1 {KEY}\n", mode, owner)
    secret_file("clients.password", PASSWORD + "\n", mode, owner)
    wanted = "must be root's" if owner else "must be 0600 or 0640"
    for what, ctl, path in (("gateway", site.gatewayd.ctl, site.key),
                            ("replica", site.replicad.ctl, site.key),
                            ("wccp", site.router.ctl, site.password),
                            ("cache", site.cached.ctl, site.password)):
        done = ctl.run(what, "reload", check=False)
        assert done.returncode == 1, what
        assert path in done.stderr and why in done.stderr and wanted in done.stderr, done.stderr
    time.sleep(4 * T)
    assert farm_in(site.gatewayd)
    assert site.router.shares() == {site.farm.caches["k2"][4]: 256}
    for daemon in site.daemons:
        daemon.kill(signal.SIGTERM)
    text = table("cache-router.group", array=True, **GROUP, password_file=site.password)
    assert why in site.router.refused(text)
    for path, mode_now in ((site.key, 0o640), (site.password, 0o640)):
        os.chown(path, 0, 0)
        os.chmod(path, mode_now)
    site.start()
