# SPDX-License-Identifier: GPL-2.0-only
"""wlbctl doctor of the roles of wide-area selection: it finds what keeps a host from its work,
and what it says mends it. wlb-cached's part of it is test_cached::test_doctor."""

import json

import pytest

from wlblab import web
from wlblab.clones import lab
from wlblab.host import CommandFailed


@pytest.fixture(scope="module")
def net():
    with lab(clients=1) as net:
        net.own_origin()
        net.netem("s", "sg", "delay 100ms")     # a replica wins
        configure(net)
        yield net


def configure(net, **service):
    net.configure(ports=(80,), service=service, served={"return_": "tunnel"})


def doctor(net, host, *args):
    """Status, and what is not good."""
    done = net.wlb(host).run("-j", "doctor", *args, check=False)
    return done.returncode, [f for f in json.loads(done.stdout)["findings"]
                             if f["grade"] != "good"]


def found(net, host, what):
    status, findings = doctor(net, host)
    return status, [f for f in findings if what in f["finding"]]


def test_healthy(net):
    """Nothing is found where all is as it should be, in each role."""
    assert web.fetch(net["c1"], net.address["s", 4])[0] in ("r1", "r2", "r3")
    for host in ("cg", "sg", "r1", "r2"):
        assert doctor(net, host) == (0, []), host
    said = net.wlb("cg").run("doctor").stdout
    assert "good: net.ipv4.ip_forward is on\n" in said and "flows\n" in said


@pytest.mark.parametrize("host,fault,what,family", [
    ("cg", "sysctl -qw net.ipv4.ip_forward=0", "net.ipv4.ip_forward is off", 4),
    ("sg", "sysctl -qw net.ipv6.conf.all.forwarding=0", "net.ipv6.conf.all.forwarding is off", 6),
    ("r1", "ip address del 203.0.113.10/32 dev lo", "203.0.113.10 is no address", None),
])
def test_fault(net, host, fault, what, family):
    """A fault is found and told of with the command that mends it; the status is 1 until then."""
    assert found(net, host, what) == (0, [])
    net[host].run(*fault.split())
    status, (finding,) = found(net, host, what)
    assert status == 1 and finding["grade"] == "fault" and finding["consequence"]
    if family:
        with pytest.raises(CommandFailed):
            web.fetch(net["c1"], net.address["s", family], timeout=3)
    net[host].run(*finding["mend"].split())
    assert found(net, host, what) == (0, [])
    assert web.fetch(net["c1"], net.address["s", family or 4])[0] in ("r1", "r2", "r3")


@pytest.mark.parametrize("rules,what", [
    ("table inet t { flowtable f { hook ingress priority 0; devices = { wan0 };\n}\n}",
     "flowtable f"),
    ("table inet t { chain c { type filter hook forward priority 0;\n"
     "tcp dport 81 limit rate 9/second accept;\n}\n}", "limit or count"),
])
def test_passed_by(net, rules, what):
    """What nftables would do wrong with flows of ours is warned of."""
    net["cg"].run("nft", rules)
    try:
        status, (finding,) = found(net, "cg", what)
        assert status == 0 and finding["grade"] == "warning" and finding["mend"]
        assert doctor(net, "sg") == (0, [])     # it has no flows
    finally:
        net["cg"].run("nft", "delete", "table", "inet", "t")
    assert found(net, "cg", what) == (0, [])


def test_counter(net):
    """What was refused has its reason and remedy: a replica that nobody permits."""
    configure(net, replicas=["192.0.2.0/24"])
    try:
        assert web.fetch(net["c1"], net.address["s", 4])[0] == "s"
        _, (finding,) = found(net, "cg", "answer_unlisted")
        assert finding["grade"] == "warning" and "replicas of the service" in finding["mend"]
    finally:
        configure(net)


def test_file(net, tmp_path):
    """A file that says otherwise than what runs, one whose daemon does not run, and a bad one."""
    path = tmp_path / "wlb.toml"
    path.write_text(net.wlb("cg").run("save").stdout, encoding="utf-8")
    assert doctor(net, "cg", path) == (0, doctor(net, "cg")[1])
    path.write_text("", encoding="utf-8")
    assert "not what the file says" in doctor(net, "cg", path)[1][0]["finding"]
    path.write_text('[[cache-router.group]]\nservice = "web-cache"\nredirect-in = ["lan0"]\n'
                    'group-list = ["10.2.0.0/16"]\nsource = ["10.1.1.1"]\n', encoding="utf-8")
    status, findings = doctor(net, "core", path)
    assert status == 1 and [f["mend"] for f in findings if f["grade"] == "fault"] == [
        "systemctl start wlb-routerd"]
    path.write_text("nonsense = 1\n", encoding="utf-8")
    done = net.wlb("cg").run("doctor", path, check=False)
    assert done.returncode == 1 and "1:1" in done.stderr and not done.stdout
