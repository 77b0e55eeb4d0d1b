# SPDX-License-Identifier: GPL-2.0-only
"""SYNs of many clients that do not exist."""

import struct

from . import packets
from .packets import LINUX, SYN


class Flood:
    """SYNs of many clients, made from one by RFC 1624: some 20 us each, not 200."""

    def __init__(self, ghosts, payload=b""):
        self._wire = ghosts.lan
        raw = packets.tcp("10.1.0.0", ghosts.server, 0, 80, SYN, 1, options=LINUX,
                          payload=payload)
        self._frame = bytearray(ghosts.lan.frame(raw))
        self._ip = len(self._frame) - len(raw)
        self._sums = [struct.unpack_from("!H", self._frame, self._ip + at)[0] ^ 0xffff
                      for at in (10, 36)]

    def send(self, host, port):
        frame, at = self._frame, self._ip
        for where, total in ((10, self._sums[0] + host), (36, self._sums[1] + host + port)):
            total = (total & 0xffff) + (total >> 16)
            total = (total & 0xffff) + (total >> 16)
            struct.pack_into("!H", frame, at + where, total ^ 0xffff)
        struct.pack_into("!H", frame, at + 14, host)
        struct.pack_into("!H", frame, at + 20, port)
        self._wire.send_frame(frame)
