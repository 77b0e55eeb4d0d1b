# SPDX-License-Identifier: GPL-2.0-only
"""Firewalls of a gateway: what the module must not get in the way of."""

import json
import pathlib
import subprocess

_STATEFUL = """table inet wall {
    chain forward {
        type filter hook forward priority filter; policy drop
        ct state invalid counter name invalid drop
        ct state established,related accept
        iifname "lan*" tcp dport { 80, 443, 8080 } ct state new accept
        counter name other drop
    }
    chain prerouting {
        type filter hook prerouting priority filter
        iifname "wan0" ct state invalid counter name invalid drop
    }
    %s
    counter invalid { }
    counter other { }
}"""

_MASQUERADE = """chain postrouting {
        type nat hook postrouting priority srcnat
        oifname "wan0" masquerade
    }"""

_OWN = """table inet wall {
    chain input {
        type filter hook input priority filter; policy drop
        ct state established,related accept
        meta l4proto icmpv6 accept
        counter name other drop
    }
    chain output {
        type filter hook output priority filter; policy drop
        ct state established,related accept
        tcp dport { 80, 8080 } ct state new accept
        ct state untracked accept   # the module's resets to losers
        meta l4proto icmpv6 accept
        counter name other drop
    }
    counter other { }
}"""

_UNTRACKED = """table inet wall {
    chain forward {
        type filter hook forward priority filter; policy drop
        ct state invalid counter name invalid drop
        ct state untracked tcp dport { 80, 443, 8080 } accept
        ct state untracked tcp sport { 80, 443, 8080 } accept
        counter name other drop
    }
    counter invalid { }
    counter other { }
}"""


def stateful(host, masquerade=False):
    """Drops all that it does not expect; hides clients behind wan0's address."""
    host.run("nft", "-f", "-", stdin=_STATEFUL % (_MASQUERADE if masquerade else ""))
    _say_why(host)


def _say_why(host):
    """What connection tracking finds invalid, and why, goes to the kernel's log."""
    subprocess.run(["modprobe", "-q", "nf_log_syslog"], check=False)
    everywhere = pathlib.Path("/proc/sys/net/netfilter/nf_log_all_netns")
    if not everywhere.exists():
        return
    everywhere.write_text("1")
    host.run("sysctl", "-q", "net.netfilter.nf_log.2=nf_log_ipv4",
             "net.netfilter.nf_log.10=nf_log_ipv6", check=False)
    host.run("sysctl", "-q", "net.netfilter.nf_conntrack_log_invalid=255", check=False)


def own(host):
    """A client's, for itself: web pages out, and what belongs to them."""
    host.run("nft", "-f", "-", stdin=_OWN)


def untracked(host):
    """Connection tracking is on, and must not have seen what passes."""
    host.run("nft", "-f", "-", stdin=_UNTRACKED)


def counted(host):
    """{counter of its rules: packets}; those that are 0 are left out."""
    listed = json.loads(host.out("nft", "-j", "list", "counters", "table", "inet", "wall"))
    counters = [item["counter"] for item in listed["nftables"] if "counter" in item]
    return {c["name"]: c["packets"] for c in counters if c["packets"]}


def remove(host):
    host.run("nft", "delete", "table", "inet", "wall")
