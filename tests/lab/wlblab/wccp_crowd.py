# SPDX-License-Identifier: GPL-2.0-only
"""Many caches of many service groups in one process: 8192 memberships and more are too many for
a thread each (wccp.Cache). They say no more than it takes to be members of a full group: they
list as many routers as a group may have, of which one is real."""

import heapq
import ipaddress
import select
import socket
import struct
import time

from . import wccp

T = 10              # s, the usual interval between HERE_I_AM
# Of what a cache says: where its router's receive ID is.
_HELLO_AT, _ASSIGN_AT = "hello", "assign"


def service(number):
    """Of group `number`: 0 is web-cache, the others are dynamic ones."""
    return wccp.standard() if number == 0 else wccp.dynamic(number - 1)


def name(number):
    return "web-cache" if number == 0 else number - 1


class _Member:
    """One cache in one group."""
    __slots__ = ("receive_id", "template", "at", "caches", "reflected")

    def __init__(self):
        self.receive_id = None          # of the router's latest answer
        self.template = self.at = None  # what it says once it is answered
        self.caches = 0                 # in the router's view
        self.reflected = None           # number of the key there


class Crowd:
    """addresses: of the caches, all of them the host's. router: whom they speak to; others:
    routers that they say they hear too. interval: s, in the words of variable timers unless it
    is T."""

    def __init__(self, host, addresses, router, others, groups, interval=T):
        self.interval = interval
        self.addresses, self.router, self.groups = list(addresses), router, groups
        self._words = [socket.inet_aton(a) for a in self.addresses]
        self._others = [(socket.inet_aton(a), 1) for a in others]
        self._router = socket.inet_aton(router)
        self._poll = select.epoll()
        self._sockets, self._index = [], {}
        with host.entered():
            for i, address in enumerate(self.addresses):
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
                sock.bind((address, wccp.PORT))
                self._poll.register(sock.fileno(), select.EPOLLIN)
                self._sockets.append(sock)
                self._index[sock.fileno()] = i
        self._members = [[_Member() for _ in self.addresses] for _ in range(groups)]
        self._services = {service(g)[4:6]: g for g in range(groups)}
        self._change = [None] * groups
        self._deal_at = [None] * groups
        self._key = [0] * groups
        self.said = self.heard = self.dealt = 0
        # each group's first words, all of them spread over one interval
        began, total = time.monotonic(), groups * len(self.addresses)
        self._due = [(began + interval * n / total, n % groups, n // groups) for n in range(total)]
        heapq.heapify(self._due)

    def close(self):
        for sock in self._sockets:
            sock.close()
        self._poll.close()

    # What they say.

    def _routers(self, own):
        """List of routers and the offset of the real one's receive ID; as the drafts have it
        each router's address comes with the receive ID."""
        listed = sorted([(self._router, own), *self._others])
        at = 4 + 8 * [word for word, _ in listed].index(self._router) + 4
        return struct.pack("!I", len(listed)) + b"".join(
            word + struct.pack("!I", number) for word, number in listed), at

    def _hello(self, cache, group, receive_id):
        identity = self._words[cache] + struct.pack("!HH32sHH", 0, 0, bytes(32), 100, 0)
        if receive_id is None:
            routers, at = struct.pack("!I", 0), 0
            caches = []
        else:
            routers, at = self._routers(receive_id)
            caches = self._words
        before = [service(group), wccp.component(3, identity)]
        view = struct.pack("!I", 1) + routers + struct.pack("!I", len(caches)) + b"".join(caches)
        agreed = b"".join(struct.pack("!HHI", kind, 4, value) for kind, value in (
            (1, wccp.GRE), (2, wccp.HASH), (3, wccp.GRE)))
        if self.interval != T:
            agreed += wccp.timers(self.interval)
        data = wccp.message(wccp.HERE_I_AM, *before, wccp.component(5, view),
                            wccp.component(8, agreed), minor=int(self.interval != T))
        return bytearray(data), len(wccp.message(0, *before)) + 4 + 4 + at

    def _say(self, cache, group):
        member = self._members[group][cache]
        if member.receive_id is None:
            data, _ = self._hello(cache, group, None)
        else:
            if member.template is None:
                member.template, member.at = self._hello(cache, group, member.receive_id)
            data = member.template
            struct.pack_into("!I", data, member.at, member.receive_id)
        self._sockets[cache].sendto(data, (self.router, wccp.PORT))
        self.said += 1

    def _deal(self, group):
        """The lowest address deals all buckets out, one to each in turn."""
        self._key[group] += 1
        member = self._members[group][0]
        listed = sorted([(self._router, member.receive_id, self._change[group]),
                         *((word, number, 1) for word, number in self._others)])
        body = self._words[0] + struct.pack("!II", self._key[group], len(listed))
        body += b"".join(word + struct.pack("!II", *numbers) for word, *numbers in listed)
        count = len(self._words)
        body += struct.pack("!I", count) + b"".join(self._words)
        body += bytes(i % count for i in range(256))
        data = wccp.message(wccp.REDIRECT_ASSIGN, service(group), wccp.component(6, body),
                            minor=int(self.interval != T))
        self._sockets[0].sendto(data, (self.router, wccp.PORT))
        self.dealt += 1

    # What they hear.

    def _take(self, cache, data):
        parts = wccp.components(data)
        if data[3] != wccp.I_SEE_YOU:
            return
        group = self._services[parts[1][:2]]
        member = self._members[group][cache]
        member.receive_id, = struct.unpack_from("!I", parts[2], 4)
        self.heard += 1
        if 4 not in parts:
            return
        view = parts[4]
        change, _, number, routers = struct.unpack_from("!I4sII", view)
        member.caches, = struct.unpack_from("!I", view, 16 + 4 * routers)
        member.reflected = number
        if cache == 0:
            now = time.monotonic()
            if change != self._change[group]:
                self._deal_at[group] = now + 1.5 * self.interval
            elif self._deal_at[group] is None and number != self._key[group]:
                self._deal_at[group] = now + self.interval
            self._change[group] = change

    def usable(self):
        """Memberships of groups that see all caches and the latest assignment."""
        count = len(self.addresses)
        return sum(m.caches == count and self._key[g] and m.reflected == self._key[g] and
                   self._deal_at[g] is None
                   for g, members in enumerate(self._members) for m in members)

    def joined(self):
        """Memberships that the router's view of the group has."""
        return sum(max(m.caches for m in members) for members in self._members)

    def run(self, seconds, until=lambda: False, every=0.1):
        """Lets them speak so long, or until it is so; returns the seconds that passed."""
        began = look = time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            while self._due[0][0] <= now:
                due, group, cache = self._due[0]
                self._say(cache, group)
                heapq.heapreplace(self._due, (due + self.interval, group, cache))
            if now >= look:
                look = now + every
                if until():
                    break
                for group, at in enumerate(self._deal_at):
                    if at is not None and at <= now:
                        self._deal_at[group] = None
                        self._deal(group)
            for fd, _ in self._poll.poll(max(0, min(self._due[0][0], look) - time.monotonic())):
                cache = self._index[fd]
                try:
                    while True:
                        self._take(cache, self._sockets[cache].recv(65535))
                except BlockingIOError:
                    pass
        return time.monotonic() - began


def addresses(first, count):
    """So many IPv4 addresses from this one on."""
    start = ipaddress.IPv4Address(first)
    return [str(start + i) for i in range(count)]
