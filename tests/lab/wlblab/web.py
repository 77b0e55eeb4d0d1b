# SPDX-License-Identifier: GPL-2.0-only
"""Web servers that say who they are, and a client that counts who answered."""

import dataclasses
import os
import pathlib
import shutil
import socket
import subprocess
import time

from .host import CommandFailed, wait_until

ROOT = pathlib.Path("/run/wlb/web")
BIG = 10 * 1024 * 1024

_CONFIG = """
worker_processes 1;
daemon off;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    sendfile on;
    send_timeout 10m;
    server {{
        {listen}
        add_header X-Who {name};
        location = /10M {{ alias {root}/10M; }}
        {extra}
        location / {{ return 200 "{name}\\n"; }}
    }}
}}
"""


def _certificate():
    path = ROOT / "cert.pem"
    if not path.exists():
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", "/CN=www.example", "-days", "30", "-keyout", ROOT / "key.pem",
             "-out", path], check=True, capture_output=True)
    return path


def big_file():
    """10 MB that do not compress and repeat nowhere; the same on every server."""
    path = ROOT / "10M"
    if not path.exists():
        ROOT.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(BIG))
    return path


def _listens(host, port):
    with host.entered():
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return True
        except OSError:
            return False


def serve(host, https=False, extra=""):
    """Starts nginx on port 80 (and 443) of a host; returns when it listens. extra: more of the
    server's configuration."""
    big_file()
    where = ROOT / host.name
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    listen = "listen 80; listen [::]:80 ipv6only=on;"
    if https:
        listen += (" listen 443 ssl; listen [::]:443 ssl ipv6only=on;"
                   f" ssl_certificate {_certificate()}; ssl_certificate_key {ROOT}/key.pem;")
    config = where / "nginx.conf"
    config.write_text(_CONFIG.format(dir=where, listen=listen, name=host.name, root=ROOT,
                                     extra=extra))
    child = host.spawn("nginx", "-p", where, "-e", where / "error.log", "-c", config)

    def up():
        if child.poll() is not None:
            raise CommandFailed(f"nginx on {host.name} ended: "
                                f"{(where / 'error.log').read_text()}")
        return _listens(host, 443 if https else 80)
    wait_until(f"nginx on {host.name} listens", up, timeout=20)
    return child


def url(address, path="", scheme="http"):
    return f"{scheme}://{f'[{address}]' if ':' in address else address}/{path}"


@dataclasses.dataclass
class Page:
    who: str                # X-Who of the answer, "" if there was none
    connect_ms: float       # until the handshake was done
    ttfb_ms: float          # until the first byte of the answer
    ok: bool


def pages(host, address, count, parallel=1, connect_timeout=20):
    """Loads count pages, each by a connection of its own."""
    form = r"%{http_code} %{exitcode} %{time_connect} %{time_starttransfer} %header{x-who}\n"
    share = -(-count // parallel)
    children = []
    for first in range(1, count + 1, share):
        last = min(first + share - 1, count)
        children.append(host.popen(
            "curl", "-s", "-o", "/dev/null", "-H", "Connection: close", "-w", form,
            "--connect-timeout", connect_timeout, "--max-time", connect_timeout + 10,
            url(address, f"[{first}-{last}]"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE))
    result = []
    for child in children:
        for line in child.communicate()[0].splitlines():
            code, status, connect, ttfb, *who = line.split()
            result.append(Page(who[0] if who else "", float(connect) * 1000,
                               float(ttfb) * 1000, code == "200" and status == "0"))
    if len(result) != count:
        raise CommandFailed(f"{host.name}: curl told about {len(result)} of {count} pages")
    return result


def connect(host, address, port=80):
    """(who served a page, ms until the handshake was done), without a program's start."""
    with host.entered():
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    with sock:
        sock.settimeout(20)
        began = time.monotonic()
        sock.connect((address, port))
        took = time.monotonic() - began
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        data = b""
        while more := sock.recv(4096):
            data += more
    return data.partition(b"\r\n\r\n")[2].decode().strip(), took * 1000


def fetch(host, address, path="", scheme="http", timeout=60):
    """(who answered, body as bytes) of one page; fails if there is none."""
    where = ROOT / f"fetched-by-{host.name}"
    done = host.run("curl", "-sSk", "-f", "-o", where, "-w", "%header{x-who}",
                    "--max-time", timeout, url(address, path, scheme), timeout=timeout + 10)
    return done.stdout, where.read_bytes()


class Download:
    """The big file, or a part of it, that goes on only as it is read."""

    def __init__(self, host, address, start=0, length=BIG):
        self.start = start
        self._sock = host.connect(address, 80)
        self._sock.sendall(b"GET /10M HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                           b"Range: bytes=%d-%d\r\n\r\n" % (start, start + length - 1))
        self._data = bytearray()

    def read(self, length):
        data = self._sock.recv(length)
        self._data += data
        return data

    def finish(self):
        """(head, body) of the answer."""
        while self.read(1 << 16):
            pass
        self._sock.close()
        head, _, body = self._data.partition(b"\r\n\r\n")
        return head, body
