# SPDX-License-Identifier: GPL-2.0-only
"""W93: winners that die under a connection, and those that are only silent."""

import socket
import struct
import time

import pytest

from wlblab import firewall, web, wlb
from wlblab.clones import Delta, lab

WAYS = [("nat", None), ("spoof", "gre"), ("tunnel", "ipip")]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(filter(None, way)))
DEAD = 8


@pytest.fixture(scope="module")
def net():
    with lab(clients=1) as t0:
        t0.own_origin()
        yield t0


@pytest.fixture(autouse=True)
def settled(net):
    for host in ("s", "r2", "r3"):
        net.netem(host, "sg" if host == "s" else "core", f"delay {60 if host == 'r2' else 120}ms")
    yield
    net.wlb("cg").run("flow", "flush")
    assert wlb.unaccounted(net.wlb("cg").stats()) == 0


def configure(net, mode, via, dead=DEAD):
    net.configure(served={"return_": mode, "via": via},
                  client_gateway={"timeouts": {"dead": f"{dead}s"}})


def dies(net, family):
    """Seconds until the client of a download hears that r1 is gone."""
    download = web.Download(net["c1"], net.address["s", family])
    assert download.read(1 << 16)
    net.link_down("r1", "core")
    start = time.monotonic()
    try:
        assert web.fetch(net["c1"], net.address["s", family]) == ("r2", b"r2\n")
        assert time.monotonic() - start < 2
        with pytest.raises(ConnectionResetError):
            while download.read(1 << 16):
                pass
        return time.monotonic() - start
    finally:
        net.link_up("r1", "core")
        net.restore("r1")
        net.restore("core")
        net.warm_up()


@pytest.mark.parametrize("walled", [False, True], ids=["", "masquerade"])
@ways
def test_dies(net, family, way, walled):
    """In the middle of a download: who comes next is served by the next replica at once, and
    the client is told within the time that was set, through a firewall that hides it too."""
    configure(net, *way)
    grown = Delta(net.wlb("cg"))
    if walled:
        firewall.stateful(net["cg"], masquerade=True)
    try:
        seconds = dies(net, family)
    finally:
        if walled:
            firewall.remove(net["cg"])
    # the worker goes through the table every other second
    assert DEAD - 1 <= seconds <= DEAD + 5, seconds
    assert grown()["winner_dead"] == 1 and grown()["winner_asked"] >= 2


@ways
def test_silent(net, family, way):
    """A connection that has nothing to say for twice that time goes on: its winner is asked,
    and answers."""
    configure(net, *way)
    grown = Delta(net.wlb("cg"))
    with net["c1"].connect(net.address["s", family], 80) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"X-Who: r1" in sock.recv(4096)
        time.sleep(2 * DEAD + 3)
        assert grown()["winner_asked"] >= 2 and "winner_dead" not in grown()
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"X-Who: r1" in sock.recv(4096)


def test_never(net, family):
    """0: nobody is asked, nobody is told."""
    configure(net, "nat", None, dead=0)
    grown = Delta(net.wlb("cg"))
    with net["c1"].connect(net.address["s", family], 80) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"X-Who: r1" in sock.recv(4096)
        time.sleep(DEAD + 3)
        assert not {"winner_asked", "winner_dead"} & set(grown())


def test_forgets(net, family):
    """W94: the replica that is asked does not know the connection any more: the client hears
    of it without having sent anything."""
    configure(net, "nat", None)
    grown = Delta(net.wlb("cg"))
    with net["r1"].entered(), socket.create_server(
            (net.address["r1", family], 443),
            family=socket.AF_INET6 if family == 6 else socket.AF_INET) as listener, \
            net["c1"].connect(net.address["s", family], 443) as client:
        listener.settimeout(5)
        server = listener.accept()[0]
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with Silence(net, family):
            server.close()
        client.settimeout(DEAD + 4)
        with pytest.raises(ConnectionResetError):
            client.recv(4096)
    assert grown()["winner_asked"] and "winner_dead" not in grown()


class Silence:
    """Nothing of r1 gets through meanwhile."""

    def __init__(self, net, family):
        address = net.address["r1", family]
        self._core = net["core"]
        self._rule = f"""table inet mute {{
            chain forward {{
                type filter hook forward priority filter
                {'ip' if family == 4 else 'ip6'} saddr {address} drop
            }}
        }}"""

    def __enter__(self):
        self._core.run("nft", "-f", "-", stdin=self._rule)

    def __exit__(self, *_):
        self._core.run("nft", "delete", "table", "inet", "mute")
