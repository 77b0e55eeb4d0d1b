# SPDX-License-Identifier: GPL-2.0-only
"""What people do with connections, in every return mode: pages by HTTPS, traceroute, and a
replica that dies. r1 is the nearest; the server answers last."""

import socket
import struct

import pytest

from wlblab import packets, web
from wlblab.clones import Delta, Tap, lab, settle
from wlblab.host import wait_until
from wlblab.packets import PERMITTED

WAYS = [("nat", None), ("spoof", "gre"), ("tunnel", "gre"), ("tunnel", "ipip")]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(filter(None, way)))
# By which each is later than the one before it; more than a busy host adds to one of them.
LATER_MS = 100


@pytest.fixture(scope="module")
def net():
    with lab(clients=1, https=True) as t0:
        t0.own_origin()
        yield t0


@pytest.fixture(autouse=True)
def settled(net):
    for late, (host, peer) in enumerate((("r2", "core"), ("r3", "core"), ("s", "sg")), 1):
        net.netem(host, peer, f"delay {late * LATER_MS}ms")
    yield
    settle(net)


def configure(net, way, **kwargs):
    mode, via = way
    net.configure(served={"return_": mode, "via": via}, **kwargs)


@ways
def test_https(net, family, way):
    """W114: everybody has the server's certificate; two requests on one connection, which
    has raced once."""
    configure(net, way)
    s = net.address["s", family]
    before = Delta(net.wlb("cg"))
    address = f"[{s}]" if family == 6 else s
    page = "https://www.example/"
    said = net["c1"].out("curl", "-sSf", "--cacert", web.ROOT / "cert.pem", "--resolve",
                         f"www.example:443:{address}", "--max-time", 20, "-o", "/dev/null", "-o",
                         "/dev/null", "-w", r"%{num_connects} %{ssl_verify_result} %header{x-who}"
                         r"\n", page, page)
    assert said.splitlines() == ["1 0 r1", "0 0 r1"]
    assert before()["syn_tagged"] == 1
    (flow,) = net.wlb("cg").flows()
    assert (flow["winner"], flow["return"]) == (net.address["r1", family], way[0])


HOPS = {4: ["10.1.1.1", "10.9.1.2", "10.9.2.1"],
        6: ["2001:db8:1:1::1", "2001:db8:9:1::2", "2001:db8:9:2::1"]}
TIME_EXCEEDED = {4: b"\x0b\0", 6: b"\x03\0"}


def connecting(net, family, ttl):
    """A socket of the client whose packets live for so many hops."""
    with net["c1"].entered():
        sock = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
    sock.settimeout(10)
    if family == 6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    return sock


@ways
def test_traceroute(net, family, way):
    """W109: hop by hop to the server, whose distance it is that counts: each hop but the
    client's own gateway quotes the tagged SYN; what is left of those races ends by its time."""
    configure(net, way, client_gateway={"timeouts": {"racing": "3s"}})
    s, head = net.address["s", family], 40 if family == 6 else 20
    control = net.wlb("cg")
    before = Delta(control)
    with Tap(net["c1"], "lan0") as tap:
        for ttl, hop in enumerate(HOPS[family], 1):
            with connecting(net, family, ttl) as sock:
                with pytest.raises(OSError, match="No route to host"):
                    sock.connect((s, 80))
                port = sock.getsockname()[1]
            # An error that comes while connect() has the socket is not believed, and the SYN
            # is sent again after a second, in the same race.
            for error in tap.wait(lambda p, h=hop: not p.out and p.src == h and
                                  p.data[p.header:p.header + 2] == TIME_EXCEEDED[family]):
                quoted = error.data[error.header + 8:]
                assert struct.unpack_from("!H", quoted, head) == (port,)
                options = quoted[head + 20:head + (quoted[head + 12] >> 4) * 4]
                tags = [option for kind, option in packets.options_list(options) if kind == 253]
                assert [option[4] & 15 for option in tags] == [PERMITTED] * (ttl > 1)
    wait_until("nothing races", lambda: before().get("race_unanswered") == 2, timeout=20,
               step=0.1)
    assert before()["syn_tagged"] == 2 and not control.flows()
    # From the server's distance on there is a connection, and the replica is no farther.
    with connecting(net, family, len(HOPS[family]) + 1) as sock:
        sock.connect((s, 80))
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"X-Who: r1" in sock.recv(4096)
    assert web.fetch(net["c1"], s)[0] == "r1"


@ways
def test_winner_dies(net, family, way):
    """W93: the replica of a download is cut off: who comes now is served by the next one, as
    soon as that answers; and the download goes on when the replica is back."""
    configure(net, way)
    s = net.address["s", family]
    download = web.Download(net["c1"], s)
    download.read(1 << 16)
    net.link_down("r1", "core")
    try:
        (page,) = web.pages(net["c1"], s, 1)
        assert page.ok and page.who == "r2"
        # A SYN that is lost is sent again after a second.
        assert page.connect_ms < 1000
    finally:
        net.link_up("r1", "core")
    head, body = download.finish()
    assert b"X-Who: r1" in head and body == web.big_file().read_bytes()
    assert web.fetch(net["c1"], s)[0] == "r1"
