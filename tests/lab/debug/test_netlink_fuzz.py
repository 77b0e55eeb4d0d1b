# SPDX-License-Identifier: GPL-2.0-only
"""Requests by the rules and against them, to the hosts of a net that carries traffic."""

import collections
import errno
import json
import os
import random
import struct

import pytest

from wlblab import netlink
from wlblab.grammar import Grammar
from wlblab.host import OUT
from wlblab.traffic import Traffic

MESSAGES = int(os.environ.get("WLB_FUZZ", "100000"))


class Target:
    """A host's family "wlb", spoken to in bytes."""

    def __init__(self, host):
        self.ctl = netlink.Wlb(host)
        self.codes = collections.Counter()

    def send(self, message):
        """The error that the kernel answers with, 0 if it is content, None for a dump
        or silence."""
        code = None
        try:
            self.ctl.socket.send(message)
        except OSError as error:
            return error.errno
        while True:
            try:
                data = self.ctl.socket.recv(1 << 18, 0x40)     # MSG_DONTWAIT
            except BlockingIOError:
                return code
            kind = struct.unpack_from("=H", data, 4)[0]
            if kind == 2:
                code = -struct.unpack_from("=i", data, 16)[0]


def no_groups(targets):
    for target in targets:
        target.ctl.request(netlink.GROUP_SET)
        target.ctl.request(netlink.CACHE_SET)
        target.ctl.request(netlink.PROCESS_SET)


@pytest.mark.whole
def test_fuzz(net):
    """Requests never harm: what is refused changes nothing, nothing but the errors of the
    manual comes back, no page is wrong; afterwards all is as it was."""
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    grammar = Grammar(dice)
    targets = [Target(net[name]) for name in ("cg", "sg", "r1")]
    asked = {True: collections.Counter(), False: collections.Counter()}
    with Traffic(net) as traffic:
        for number in range(MESSAGES):
            target = dice.choice(targets)
            message, intact = grammar.message(target.ctl.family)
            check = not number % 50
            before = check and target.ctl.configuration()
            code = target.send(message)
            asked[intact][code] += 1
            if check and code:
                assert target.ctl.configuration() == before, (number, message.hex())
            assert code in (None, 0, errno.EINVAL, errno.ESTALE, errno.ENOENT, errno.EPERM,
                            errno.EOPNOTSUPP, errno.ERANGE, errno.EBUSY, errno.EMSGSIZE,
                            errno.ENODEV, errno.EEXIST, errno.ENOSPC), (number, code, message.hex())
            if not number % (MESSAGES // 20):
                # It has forbidden nearly everything by now: as it should be again.
                no_groups(targets)
                net.wlb("sg").apply("")     # replicas that were set outlive an origin's change
                net.configure(race="raw")
                traffic.served_by(net.replicas + net.servers)
        net.unconfigure()
        no_groups(targets)
        traffic.goes_on()
        lost = traffic.lost()
        traffic.goes_on(20 * traffic.parallel)
        assert traffic.lost() == lost
        net.configure(race="raw")
        traffic.served_by(net.replicas + net.servers)
    outcomes = traffic.outcomes
    (OUT / "netlink.json").write_text(json.dumps({
        "netlink_fuzz": MESSAGES, "seed": seed, "outcomes": outcomes,
        "intact": {str(k): v for k, v in asked[True].items()},
        "broken": {str(k): v for k, v in asked[False].items()}}, indent=1))
    # It got past the first checks.
    assert asked[True][0] > MESSAGES / 50 and asked[False][errno.EINVAL] > MESSAGES / 10
    assert outcomes["wrong"] == 0
    for target in targets:
        target.ctl.close()
