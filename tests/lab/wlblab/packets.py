# SPDX-License-Identifier: GPL-2.0-only
"""TCP packets made by hand, byte by byte where a test wants them broken, and packets
as a wire carries them. By struct: in the emulated machine scapy takes 16 s to import
and 30 ms to build a packet."""

import errno
import ipaddress
import select
import socket
import struct
import time

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << i for i in range(8))
TCP = socket.IPPROTO_TCP

MSS = b"\x02\x04\x05\xb4"
SACK_PERMITTED = b"\x04\x02"
TIMESTAMP = b"\x08\x0a\x00\x01\xe2\x40\x00\x00\x00\x00"
WINDOW_SCALE = b"\x03\x03\x07"
NOP = b"\x01"
LINUX = MSS + SACK_PERMITTED + TIMESTAMP + NOP + WINDOW_SCALE

NOT_PERMITTED, PERMITTED, ANSWER = range(3)
EXID = 0x574c
OFFERS = 0x0f       # nat, spoof, tunnel, gre

_SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23
_SO_RCVBUFFORCE = 33
_NEEDS_CSUM = 1
_CSUM_OFFSET = 16   # of the checksum in the TCP header
_ETHER = 14
_EXTENSIONS = {0, 43, 44, 51, 60}


def tag(state, nonce=0, offers=OFFERS, exid=EXID):
    return struct.pack("!BBHBBH", 253, 8, exid, 0x10 | state, offers, nonce)


def pack(address):
    return ipaddress.ip_address(address).packed


def fold(data):
    """The ones' complement sum of 16-bit words (RFC 1071), not complemented."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def _pseudo(src, dst, length):
    if len(src) == 4:
        return src + dst + struct.pack("!HH", TCP, length)
    return src + dst + struct.pack("!II", length, TCP)


def segment(src, dst, sport, dport, flags, seq=0, ack=0, options=b"", payload=b"",
            doff=None, check=None, window=64240):
    """A TCP segment. check: a number, "partial" as a sender with checksum offload
    leaves it, or None for the right one. doff: in words, None for the right one."""
    src, dst = pack(src), pack(dst)
    if doff is None:
        doff = 5 + (len(options) + 3) // 4
        options = options.ljust(doff * 4 - 20, b"\0")
    head = struct.pack("!HHIIBBH", sport, dport, seq % 2**32, ack % 2**32, doff << 4, flags,
                       window)
    body = options + payload
    pseudo = _pseudo(src, dst, 20 + len(body))
    if check == "partial":
        check = fold(pseudo)
    elif check is None:
        check = fold(pseudo + head + body) ^ 0xffff
    return head + struct.pack("!HH", check, 0) + body


def ip(src, dst, payload, proto=TCP, ttl=64, options=b"", fragment=0, ident=0):
    """An IP packet. In IPv4 options are the header's, fragment its flags and offset;
    IPv6 extension headers come with the payload, proto is the first one's number."""
    src, dst = pack(src), pack(dst)
    if len(src) == 16:
        return struct.pack("!IHBB", 6 << 28, len(payload), proto, ttl) + src + dst + payload
    options = options.ljust((len(options) + 3) // 4 * 4, b"\0")
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBB", 0x40 | words, 0, words * 4 + len(payload), ident, fragment,
                       ttl, proto)
    check = fold(head + src + dst + options) ^ 0xffff
    return head + struct.pack("!H", check) + src + dst + options + payload


def tcp(src, dst, *args, ttl=64, **kwargs):
    return ip(src, dst, segment(src, dst, *args, **kwargs), ttl=ttl)


def options_list(data):
    """[(kind, whole option)] of a well-formed option list, up to its end."""
    found = []
    while data and data[0]:
        length = 1 if data[0] == 1 else data[1]
        found.append((data[0], data[:length]))
        data = data[length:]
    return found


class Packet:
    """One packet as it was on the wire, from its IP header on."""

    def __init__(self, raw, csum_start=None):
        self.raw = raw
        self.family = raw[0] >> 4
        self.fragment = False
        self._csum_start = csum_start   # of a checksum that the device is to finish
        if self.family == 4:
            self.offset = (raw[0] & 15) * 4
            self.ttl, self.proto = raw[8], raw[9]
            addresses = raw[12:16], raw[16:20]
            self.fragment = bool(struct.unpack("!H", raw[6:8])[0] & 0x3fff)
            self.length = struct.unpack("!H", raw[2:4])[0]
        else:
            self.offset = 40
            self.proto, self.ttl = raw[6], raw[7]
            addresses = raw[8:24], raw[24:40]
            self.length = 40 + struct.unpack("!H", raw[4:6])[0]
            while self.proto in _EXTENSIONS:
                kind, (self.proto, units) = self.proto, raw[self.offset:self.offset + 2]
                self.fragment |= kind == 44
                self.offset += {44: 8, 51: units * 4 + 8}.get(kind, units * 8 + 8)
        self._addresses = addresses
        self.src, self.dst = map(str, map(ipaddress.ip_address, addresses))
        self.tcp = None
        if self.proto == TCP and not self.fragment and len(raw) >= self.offset + 20:
            self._parse_tcp()

    def _parse_tcp(self):
        self.tcp = self.raw[self.offset:]
        (self.sport, self.dport, self.seq, self.ack, doff, self.flags, self.window,
         self.check) = struct.unpack("!HHIIBBHH", self.tcp[:18])
        self.header_length = (doff >> 4) * 4
        self.options = self.tcp[20:self.header_length]
        self.payload = self.tcp[self.header_length:]

    def __repr__(self):
        if self.tcp is None:
            return f"<{self.src} > {self.dst} proto {self.proto} {self.raw.hex()}>"
        return (f"<{self.src}:{self.sport} > {self.dst}:{self.dport} flags {self.flags:#x} "
                f"seq {self.seq} ack {self.ack} opt {self.options.hex()} len {len(self.payload)}>")

    def fragment_offset(self):
        if self.family == 4:
            return (struct.unpack("!H", self.raw[6:8])[0] & 0x1fff) * 8
        return struct.unpack("!H", self.raw[self.offset - 6:self.offset - 4])[0] & 0xfff8

    def sound(self):
        """Lengths and checksums are right, so that a receiver takes it."""
        if self.length != len(self.raw):
            return False
        if self.family == 4 and fold(self.raw[:(self.raw[0] & 15) * 4]) != 0xffff:
            return False
        pseudo = _pseudo(*self._addresses, len(self.tcp))
        if self._csum_start is None:
            return fold(pseudo + self.tcp) == 0xffff
        return self._csum_start == self.offset and self.check == fold(pseudo)

    def tags(self):
        return [option for kind, option in options_list(self.options) if kind == 253]

    def tag(self):
        """(state, nonce) of the only tag of a SYN."""
        (option,) = self.tags()
        kind, length, exid, state, offers, nonce = struct.unpack("!BBHBBH", option[:8])
        assert (kind, length, exid, state >> 4, offers) == (253, len(option), EXID, 1, (
            OFFERS if state & 15 == PERMITTED else 0)), option.hex()
        return state & 15, nonce

    def hop(self, hops=1):
        """The bytes that it has after so many routers that do nothing else."""
        raw = bytearray(self.raw)
        if self.family == 4:
            raw[8] -= hops
            raw[10:12] = b"\0\0"
            raw[10:12] = struct.pack("!H", fold(bytes(raw[:(raw[0] & 15) * 4])) ^ 0xffff)
        else:
            raw[7] -= hops
        return bytes(raw)


def routed(raw, hops=1):
    return Packet(raw).hop(hops)


def mac(host, device):
    with host.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((device, 0))
        return sock.getsockname()[4]


class Wire:
    """The end of a link at one host's device: hears what comes in there, and sends to
    the other end, whose MAC address is peer."""

    def __init__(self, host, device, peer=None):
        self._peer = peer
        with host.entered():
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._sock.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        self._sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 128 << 20)
        self._sock.bind((device, 3))        # ETH_P_ALL
        self._own = self._sock.getsockname()[4]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._sock.close()

    def frame(self, raw, partial=False):
        """What send_frame takes, for who sends many."""
        head = bytes(10)
        if partial:
            head = struct.pack("=BBHHHH", _NEEDS_CSUM, 0, 0, 0, _ETHER + Packet(raw).offset,
                               _CSUM_OFFSET)
        return head + self._peer + self._own + (b"\x08\x00", b"\x86\xdd")[raw[0] >> 4 == 6] + raw

    def send_frame(self, frame):
        while True:
            try:
                self._sock.send(frame)
                return
            except BlockingIOError:     # as much is on its way as may be
                select.select([], [self._sock], [])
            except OSError as error:    # the other end's queue is full
                if error.errno != errno.ENOBUFS:
                    raise
                time.sleep(0.001)

    def send(self, raw, partial=False):
        self.send_frame(self.frame(raw, partial))

    def _next(self, timeout):
        self._sock.settimeout(timeout)
        try:
            data = self._sock.recv(1 << 17)
        except (TimeoutError, BlockingIOError):
            return None
        flags, _, _, _, start, _ = struct.unpack("=BBHHHH", data[:10])
        if data[22:24] not in (b"\x08\x00", b"\x86\xdd"):
            return self._next(timeout)
        return Packet(data[24:], start - _ETHER if flags & _NEEDS_CSUM else None)

    def receive(self, wanted, count=1, timeout=5.0):
        """The next count TCP packets that wanted(packet) is true of; what comes
        between is forgotten. Fewer if they do not come in time."""
        found = []
        end = time.monotonic() + timeout
        while len(found) < count and (left := end - time.monotonic()) > 0:
            packet = self._next(left)
            if packet and packet.tcp is not None and wanted(packet):
                found.append(packet)
        return found

    def forget(self):
        """What has come so far is of no interest."""
        self._sock.settimeout(0)
        try:
            while True:
                self._sock.recv(64)     # less than a vnet header is EINVAL
        except BlockingIOError:
            pass

    def drain(self, wait=0.1):
        """All that has come, TCP or not, and what comes within wait s."""
        found = []
        while (packet := self._next(wait)) is not None:
            found.append(packet)
        return found


def fragments(raw, size=24, ident=0x5bad):
    """The packet in fragments of size bytes of payload, a multiple of 8."""
    packet = Packet(raw)
    body, parts = raw[packet.offset:], []
    for at in range(0, len(body), size):
        more = at + size < len(body)
        if packet.family == 4:
            parts.append(ip(packet.src, packet.dst, body[at:at + size], ttl=packet.ttl,
                            fragment=at // 8 | (0x2000 if more else 0), ident=ident))
        else:
            head = struct.pack("!BBHI", TCP, 0, at | more, ident)
            parts.append(ip(packet.src, packet.dst, head + body[at:at + size], proto=44,
                            ttl=packet.ttl))
    return parts


def reassemble(parts):
    """The packet that these are the fragments of, as Packet; it may be in one piece."""
    if not parts or not parts[0].fragment:
        (whole,) = parts
        return whole
    body = b""
    for part in sorted(parts, key=lambda p: p.fragment_offset()):
        assert part.fragment_offset() == len(body), "a hole"
        body += part.raw[part.offset:]
    return Packet(ip(parts[0].src, parts[0].dst, body, ttl=parts[0].ttl))
