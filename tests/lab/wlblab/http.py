# SPDX-License-Identifier: GPL-2.0-only
"""What a daemon serves by HTTP, and what of it is kept for tests/page, which judges it where a
browser is fast enough."""

import http.client
import json

from .host import OUT, wait_until
from .wlb import Wlbctl

PORTS = {"routerd": 2062, "cached": 2063, "gatewayd": 2064, "replicad": 2065, "processd": 2066}


class Http:
    def __init__(self, host, daemon):
        self.host = host
        self.daemon = daemon
        self.port = PORTS[daemon]

    def ask(self, path="/", method="GET", host="localhost"):
        """(status, headers, text)"""
        with self.host.connect("127.0.0.1", self.port, timeout=30) as sock:
            sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n"
                         "Connection: close\r\n\r\n".encode())
            answer = http.client.HTTPResponse(sock, method=method)
            answer.begin()
            return answer.status, dict(answer.getheaders()), answer.read().decode()

    def get(self, path):
        status, _, text = self.ask(path)
        assert status == 200, text
        return text

    def status(self):
        return json.loads(self.get("/status.json"))

    def metrics(self):
        """{"name{labels}": value}"""
        return values(self.get("/metrics"))

    def keep(self, name=None):
        """Page, status and metrics, and the module's by wlbctl, once there is a history."""
        wait_until("two samples", lambda: len(self.status()["history"]["seconds"]) > 1, 20)
        where = OUT / "http" / (name or self.daemon)
        where.mkdir(parents=True, exist_ok=True)
        _, headers, text = self.ask("/")
        (where / "page.html").write_text(text, encoding="utf-8")
        (where / "headers.json").write_text(json.dumps(headers), encoding="utf-8")
        for path in ("status.json", "metrics"):
            (where / path).write_text(self.get(f"/{path}"), encoding="utf-8")
        (where / "wlbctl-metrics").write_text(Wlbctl(self.host).run("metrics").stdout,
                                              encoding="utf-8")


def values(text):
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            assert name not in found, f"twice: {name}"
            found[name] = float(value)
    return found
