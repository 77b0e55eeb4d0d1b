# SPDX-License-Identifier: GPL-2.0-only
"""Requests to the module by the rules of include/uapi/linux/wlb.h, and ways to break
them. Every choice comes from one random.Random, so that a seed repeats a run."""

import socket
import struct

from .netlink import NESTED

_NAMES = ["web", "www", "a", "x" * 31, "x" * 32, "", "web\n", "ü", "www4"]
_DEVICES = ["lan0", "lan1", "lo", "wan0", "", "x" * 15, "x" * 16, "no/name", "nobody0"]
_ADDRESSES = ["203.0.113.10", "198.51.100.2", "198.51.100.18", "10.9.2.1", "10.1.1.2", "0.0.0.0",
              "127.0.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1",
              "2001:db8:a::10", "2001:db8:b:1::10", "2001:db8:9:2::1", "::", "::1", "ff02::1",
              "fe80::1", "::ffff:192.0.2.1"]
_PORTS = [80, 443, 8080, 0, 1, 65535]
_NUMBERS = [0, 1, 2, 3, 7, 8, 31, 32, 33, 128, 129, 255, 1000, 1024, 4096, 131072, 1000000, 1 << 24,
            (1 << 24) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]

_PREFIX = {1: "address", 2: "length"}
_REPLICA = {1: "address", 2: "u8", 3: "u32"}
# Of each nest, what may be in it: type -> (kind, how many at most).
_GATEWAY = {1: ("device", 3), **{n: ("u32", 1) for n in range(2, 9)}, 9: ("returns", 1),
            10: ("u32", 1), 11: ("u32", 1), 12: ("bool", 1), 13: ("u32", 1), 14: ("learned", 1)}
_SERVICE = {1: ("name", 1), 2: ("ports", 1), 3: ("flag", 1), 4: (_PREFIX, 3), 5: ("flag", 1),
            6: (_PREFIX, 3), 7: ("u32", 1), 8: ("bool", 1), 9: ("fan-out", 1), 10: ("u32", 1),
            11: ("bool", 1)}
_ORIGIN = {1: ("name", 1), 2: ("address", 3), 3: ("ports", 1), 4: ("u8", 1), 5: ("u32", 1),
           6: (_REPLICA, 5), 7: ("address", 1), 8: ("flag", 1), 9: ("fan-out", 1), 10: ("bool", 1),
           11: ("u32", 1), 12: ("u32", 1), 13: ("u32", 1)}
_SERVED = {1: ("name", 1), 2: ("address", 2), 3: ("ports", 1), 4: ("address", 1), 5: (_PREFIX, 3),
           7: ("u8", 1), 8: ("u8", 1), 9: ("flag", 1)}
_FLOW = {n: ("address", 1) for n in (1, 3, 5)}
# A flow put back needs all that belongs to its state.
_TOMBSTONE = {1: ("address", 1), 2: ("port", 1), 3: ("address", 1), 4: ("port", 1),
              6: ("tombstone", 1), 7: ("ms", 1), 8: ("sequence", 1)}
_NAT = {**_TOMBSTONE, 5: ("address", 1), 6: ("carried", 1), 9: ("nat", 1),
        **{n: ("sequence", 1) for n in range(11, 15)}, 15: ("flags", 1), 16: ("port", 1)}
_TUNNEL = {**_NAT, 9: ("encapsulated", 1), 10: ("bool", 1)}
_RULE = {1: ("flag", 1), 2: (_PREFIX, 1), 3: (_PREFIX, 1)}
_GROUP = {1: ("name", 1), 2: ("bool", 1), 3: ("u8", 1), 4: ("device", 2), 5: ("device", 2),
          6: ("device", 2), 7: (_RULE, 2), 8: ("flag", 1), 9: ("bool", 1), 12: ("u32", 1)}
_MEMBER = {1: ("address", 1), 2: ("way", 1), 3: ("way", 1)}
_MASK = {1: ("mask", 1), 2: ("mask", 1), 3: ("port", 1), 4: ("port", 1)}
_SERVICE_WORDS = {1: ("u8", 1), 2: ("protocol", 1), 3: ("sequence", 1), 4: ("eight", 1)}
_AFTERWARDS = {9: ("address", 1), 10: ("u32", 1), 11: ("u32", 1), 12: ("ports", 1)}
_HASHED = {**_SERVICE_WORDS, 5: ("hash", 1), 6: (_MEMBER, 2), 7: ("buckets", 1), **_AFTERWARDS}
_MASKED = {**_SERVICE_WORDS, 5: ("masks", 1), 6: (_MEMBER, 2), 8: (_MASK, 2), **_AFTERWARDS}
_DOOR = {1: ("address", 1), 2: ("way", 1), 3: ("way", 1), 4: ("bool", 1), 5: ("u8", 1),
         6: ("address", 1)}
_CACHE = {1: (_DOOR, 3), 2: (_RULE, 2), 3: ("u32", 1), 4: ("u32", 1), 5: ("flag", 1),
          6: ("port", 2)}
_BYPASS = {1: ("address", 1), 2: ("address", 1), 3: ("ms", 1)}
_PROCESS = {1: ("on", 1), 2: (_PREFIX, 1), 3: (_PREFIX, 1), 4: ("protocol", 1), 5: ("port", 1),
            6: ("u8", 1), 7: ("address", 1), 8: ("label", 1), 9: ("flag", 1), 10: ("port", 1),
            11: ("u32", 1)}
_WHOLE = (_TOMBSTONE, _NAT, _TUNNEL)
_REQUESTS = {
    1: {}, 2: {1: ("u32", 1), 2: ("roles", 1), 3: (_GATEWAY, 1), 4: (_SERVICE, 3), 5: (_ORIGIN, 3),
               6: (_SERVED, 3), 28: ({1: ("u32", 1)}, 1)},
    3: {7: ("name", 1), 8: ("bool", 1)}, 4: {}, 5: {9: (_FLOW, 1)}, 6: {}, 7: {},
    10: {17: ({1: ("flag", 1), 2: ("u32", 1)}, 1), 18: (_GROUP, 3)}, 11: {}, 13: {}, 14: {},
    15: {22: (_CACHE, 1)}, 16: {}, 17: {23: (_BYPASS, 1)}, 18: {23: (_BYPASS, 1)}, 19: {},
    20: {24: ({1: (_PROCESS, 3)}, 1)}, 21: {}, 22: {}, 23: {25: ({1: ("address", 1)}, 1)},
    24: {7: ("name", 1), 26: (_REPLICA, 3), 27: ("flag", 1)}, 25: {},
}


_ONE_OF = {"tombstone": (2,), "carried": (1, 1, 3), "nat": (0,), "encapsulated": (1, 2),
           "flags": (0, 0, 1, 3, 4, 0x60, 0x67, 255), "way": (0, 0, 1, 2), "hash": (0,),
           "masks": (1,), "protocol": (6, 6, 0, 17), "fan-out": (1, 4, 8, 2, 0, 9)}
_DUMPS = (1, 4, 7, 11, 13, 16, 19, 21, 22, 25)


class Grammar:
    def __init__(self, dice):
        self._dice = dice
        self._family = 4

    def _value(self, kind):
        dice = self._dice
        if kind == "address":
            wanted = self._family if dice.random() < 0.95 else dice.choice((4, 6))
            usual = 3 if dice.random() < 0.9 else None
            pool = [a for a in _ADDRESSES if (":" in a) == (wanted == 6)][:usual]
            text = dice.choice(pool)
            return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
        if kind == "ports":
            return struct.pack("=H", dice.choice(_PORTS[:3])) + b"".join(
                struct.pack("=H", dice.choice(_PORTS)) for _ in range(dice.choice((0, 0, 1, 20))))
        if kind in ("name", "device"):
            pool = _NAMES if kind == "name" else _DEVICES
            return dice.choice(pool[:3] if dice.random() < 0.9 else pool).encode() + b"\0"
        if kind == "length":
            return bytes([dice.choice((32, 32, 24, 8, 0) if self._family == 4 else
                                      (128, 128, 64, 48, 129))])
        if kind == "roles":
            return struct.pack("=I", dice.choice((7, 7, 7, 7, 1, 2, 4, 0, 8)))
        if kind == "returns":
            return struct.pack("=I", dice.choice((7, 7, 7, 1, 2, 4, 5, 0, 8)))
        if kind == "learned":
            return struct.pack("=I", dice.choice((16, 4096, 4096, 65536, 15, 65537)))
        if kind == "on":
            return struct.pack("=I", dice.choice((1, 2, 3, 3, 3, 0, 4)))
        if kind == "label":
            return dice.randbytes(dice.choice((1, 2, 5, 15, 16, 0, 17)))
        if kind == "eight":
            return struct.pack("=8H", *dice.choices(_PORTS, k=8))
        if kind == "buckets":
            return bytes(dice.choices((0, 0, 0, 128, 255, 1), k=256) if dice.random() < 0.5
                         else [0] * 256)
        if kind == "mask":
            return bytes(dice.choices((0, 0, 0, 1, 3), k=4 if self._family == 4 else 16))
        if kind == "values":
            return b"".join(struct.pack("=IBBH", number, 0, 0, 0)
                            for number in range(dice.choice((1, 2, 4, 300))))
        if kind == "family":
            return bytes([2 if self._family == 4 else 10])
        if kind == "port":
            return struct.pack("=H", dice.choice(_PORTS))
        if kind in ("sequence", "ms"):
            return struct.pack("=I", dice.choice(_NUMBERS))
        if kind in _ONE_OF:
            return bytes([dice.choice(_ONE_OF[kind])])
        if kind == "bool":
            return bytes([dice.choice((0, 1, 1, 2))])
        if kind == "u8":
            return bytes([dice.choice((0, 1, 0, 1, 2, 255))])
        if kind == "u32":
            return struct.pack("=I", dice.choice(_NUMBERS))
        assert kind == "flag"
        return b""

    def _attributes(self, rules):
        dice, out = self._dice, []
        for kind, rule in rules.items():
            what, most = rule if isinstance(rule, tuple) else (rule, 1)
            if any(rules is whole for whole in _WHOLE):
                out.append((kind, self._value(what)))
                continue
            if what == "flag" and dice.random() < 0.8 or dice.random() < 0.15:
                continue
            if what == "u32" and dice.random() < 0.8:
                continue
            for _ in range(dice.randint(1, most)):
                if isinstance(what, dict):
                    self._family = dice.choice((4, 4, 6)) if most == 3 else self._family
                    out.append((kind | NESTED, self._attributes(what)))
                else:
                    out.append((kind, self._value(what)))
        return out

    def _break(self, attributes):
        """One thing wrong, somewhere in the tree."""
        dice = self._dice
        if not attributes:
            attributes.append((dice.randrange(40), bytes(dice.randrange(20))))
            return
        at = dice.randrange(len(attributes))
        kind, value = attributes[at]
        if isinstance(value, list) and value and dice.random() < 0.7:
            self._break(value)
            return
        how = dice.randrange(8)
        raw = value if isinstance(value, bytes) else b"\1\0\0"
        if how == 0:
            attributes[at] = (kind, raw[:dice.randrange(len(raw) + 1)])
        elif how == 1:
            attributes[at] = (kind, raw + dice.randbytes(dice.choice((1, 2, 4, 12, 300))))
        elif how == 2:
            other = dice.choice((0, 1, 6, 9, 17, 70, 255, 0x3fff))
            attributes[at] = (other | (kind & NESTED), value)
        elif how == 3:
            attributes[at] = (kind ^ NESTED, value)
        elif how == 4:
            attributes.extend([attributes[at]] * dice.choice((1, 2, 20, 70)))
        elif how == 5:
            del attributes[at]
        elif how == 6:
            dice.shuffle(attributes)
        else:
            attributes[at] = (kind, dice.randbytes(len(raw)))

    def _pack(self, attributes):
        out = b""
        for kind, value in attributes:
            if isinstance(value, list):
                value = self._pack(value)
            if len(value) > 60000:
                value = value[:60000]
            out += struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
        return out

    def message(self, family):
        """(the whole message without sequence and port, is it by the rules?)"""
        dice = self._dice
        self._family = dice.choice((4, 4, 6))
        command = dice.choices((2, 3, 5, 1, 4, 6, 7, 9, *range(10, 26)),
                               (60, 10, 10, 5, 5, 5, 5, 10, 20, 3, 30, 3, 3, 20, 3, 10, 5,
                                3, 20, 3, 20, 3, 10, 3))[0]
        if command == 9:
            rules = {9: (dice.choice(_WHOLE), 1)}
        elif command == 12:
            rules = {7: ("name", 1), 19: ("family", 1), 20: (dice.choice((_HASHED, _MASKED)), 1)}
            if rules[20][0] is _MASKED:
                rules[21] = ("values", 1)
        else:
            rules = _REQUESTS[command]
        attributes = self._attributes(rules)
        version, flags, intact = 1, 5, True
        if command in _DUMPS:
            flags = dice.choice((0x301, 0x305))
        if dice.random() < 0.5:
            intact = False
            for _ in range(dice.choice((1, 1, 1, 2, 5))):
                self._break(attributes)
        if dice.random() < 0.05:
            command, intact = dice.randrange(256), False
        if dice.random() < 0.05:
            flags, intact = dice.randrange(0x10000) | 1, False
        if dice.random() < 0.02:
            version, intact = dice.randrange(256), False
        body = bytearray(struct.pack("=BBH", command, version, 0) + self._pack(attributes))
        if dice.random() < 0.1:
            intact = False
            for _ in range(dice.choice((1, 1, 3, 10))):
                body[dice.randrange(2, len(body))] = dice.randrange(256)
        if dice.random() < 0.03:
            intact = False
            del body[dice.randrange(len(body)):]
        # 0: the kernel's own; what is cut short still has the header's idea of its length.
        return struct.pack("=IHHII", 16 + len(body), family, flags, 0, 0) + bytes(body), intact
