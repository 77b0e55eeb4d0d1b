# SPDX-License-Identifier: GPL-2.0-only
"""Netlink messages for the family "wlb" made by hand, so that wrong ones can be."""

import errno
import socket
import struct

_NETLINK_GENERIC, _SOL_NETLINK = 16, 270
_NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 10, 11
_ERROR, _DONE = 2, 3
_REQUEST, _MULTI_ACK, _ACK_TLVS, _DUMP, _DUMP_INTR = 1, 4, 0x200, 0x300, 0x10
NESTED = 0x8000

CONF_GET, CONF_SET, BUSY_SET, FLOW_GET, FLOW_FLUSH, STATS_GET, RACE_GET = range(1, 8)
FLOW_NEW = 9
GROUP_SET, GROUP_GET, ASSIGN_SET, ASSIGN_GET, LEASE_RENEW = range(10, 15)
CACHE_SET, CACHE_GET, BYPASS_ADD, BYPASS_DEL, BYPASS_GET = range(15, 20)
PROCESS_SET, PROCESS_GET = range(20, 22)
LEARNED_GET, LEARNED_FLUSH, REPLICA_SET, REPLICA_GET = range(22, 26)

(GENERATION, ROLES, CLIENT_GATEWAY, SERVICE, ORIGIN, SERVED, NAME, BUSY, FLOW, COUNT,
 STATS) = range(1, 12)
ROUTER, GROUP, FAMILY, ASSIGNMENT, VALUES, CACHE, BYPASS, PROCESS, LEARNED = range(17, 26)
REPLICA, CONFIGURED = range(26, 28)
ROLE_CG, ROLE_SG, ROLE_REPLICA = 1, 2, 4


def attr(kind, value):
    """bytes as they are, a list of attributes as a nest, a string with its NUL; an int
    is a u32."""
    if isinstance(value, list):
        kind, value = kind | NESTED, b"".join(value)
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    elif isinstance(value, int):
        value = struct.pack("=I", value)
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def u8(kind, value):
    return attr(kind, struct.pack("=B", value))


def u16s(kind, *values):
    return attr(kind, struct.pack(f"={len(values)}H", *values))


def address(kind, text):
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return attr(kind, socket.inet_pton(family, text))


def prefix(kind, text):
    host, length = text.split("/")
    return attr(kind, [address(1, host), u8(2, int(length))])


def attributes(data):
    """(offset, type, value) of each attribute."""
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        yield at, kind & 0x3fff, data[at + 4:at + size]
        at += (size + 3) & ~3


def values(data):
    return {kind: value for _, kind, value in attributes(data)}


class Refused(Exception):
    """What the kernel said: errno, sentence, and the types of the attributes on the way
    to the one at fault."""

    def __init__(self, code, text, path):
        super().__init__(f"{errno.errorcode.get(code, code)}: {text!r} at {path}")
        self.code, self.text, self.path = code, text, path


def _path(data, target, base):
    for at, kind, value in attributes(data):
        start = base + at
        if start == target:
            return (kind,)
        if start < target < start + 4 + len(value):
            return (kind, *_path(value, target, start + 4))
    return ()


class Wlb:
    """A socket of one host that speaks to the module."""

    def __init__(self, host):
        with host.entered():
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC)
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
            self.socket.setsockopt(_SOL_NETLINK, option, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, 32, 8 << 20)     # SO_SNDBUFFORCE
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)     # SO_RCVBUFFORCE
        self._sequence = 0
        self.family = 16           # the controller, which knows the others
        reply, = self.request(3, [attr(2, "wlb")])
        self.family = struct.unpack("=H", values(reply)[1])[0]

    def close(self):
        self.socket.close()

    def timeout(self, seconds):
        """Replies later than that are a TimeoutError."""
        self.socket.settimeout(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, command, attrs=(), dump=False):
        """One system call; replies() has what comes of it."""
        self._sequence += 1
        self._attrs = b"".join(attrs)
        body = struct.pack("=BBH", command, 1, 0) + self._attrs
        flags = _REQUEST | (_DUMP if dump else _MULTI_ACK)
        self.socket.send(struct.pack("=IHHII", 16 + len(body), self.family, flags,
                                     self._sequence, 0) + body)

    def request(self, command, attrs=(), dump=False):
        """Attributes of each reply, as bytes. self.reads counts the reads it took,
        self.torn says if the kernel called the dump inconsistent."""
        self.send(command, attrs, dump)
        return self.replies()

    def replies(self):
        replies, self.reads, self.torn = [], 0, False
        while True:
            data = self.socket.recv(1 << 18)
            self.reads += 1
            while data:
                size, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data)
                assert sequence == self._sequence
                message, data = data[16:size], data[(size + 3) & ~3:]
                self.torn = self.torn or bool(flags & _DUMP_INTR)
                if kind in (_ERROR, _DONE):
                    code = struct.unpack_from("=i", message)[0] if message else 0
                    if code:
                        skip = 20 if kind == _ERROR else 4
                        ack = values(message[skip:]) if flags & _ACK_TLVS else {}
                        text = ack.get(1, b"").rstrip(b"\0").decode()
                        offset = struct.unpack("=I", ack[2])[0] if 2 in ack else 0
                        raise Refused(-code, text, _path(self._attrs, offset, 20)
                                      if offset else ())
                    return replies
                replies.append(message[4:])

    def configuration(self):
        """(generation, everything else)"""
        replies = self.request(CONF_GET, dump=True)
        first = values(replies[0])
        return struct.unpack("=I", first.pop(GENERATION))[0], [first, *replies[1:]]
