# SPDX-License-Identifier: GPL-2.0-only
"""Proxies of Debian on the hosts of caches: each says in X-Proxy who it is, listens at 3129
for what is redirected and at 3128 for whoever asks whether it works."""

import os
import shutil
from pathlib import Path

from .host import wait_until

PORT, PROBE = 3129, 3128

_SQUID = """
http_port {probe}
http_port {port} tproxy
spoof_client_ip deny all
http_access allow all
cache_effective_user proxy
pid_filename none
access_log stdio:{where}/access.log
cache_log {where}/cache.log
coredump_dir {where}
cache_mem 64 MB
maximum_object_size_in_memory 16 MB
memory_cache_shared off
refresh_pattern . 60 20% 60
shutdown_lifetime 1 second
visible_hostname {name}
reply_header_add X-Proxy {name}
"""

# Where a connection went to before it was redirected nginx does not know: Host tells.
_NGINX = """
worker_processes 1;
daemon off;
pid {where}/pid;
error_log {where}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log {where}/access.log;
    client_body_temp_path {where}/body;
    proxy_temp_path {where}/proxy;
    fastcgi_temp_path {where}/fastcgi;
    uwsgi_temp_path {where}/uwsgi;
    scgi_temp_path {where}/scgi;
    proxy_cache_path {where}/cache keys_zone=pages:1m;
    server {{
        listen {probe};
        return 204;
    }}
    server {{
        listen {port} reuseport backlog=4096;
        listen [::]:{port} ipv6only=on reuseport backlog=4096;
        location / {{
            proxy_pass http://$http_host;
            proxy_cache pages;
            proxy_cache_valid 200 1m;
            proxy_cache_key $http_host$request_uri;
            add_header X-Proxy {name} always;
        }}
    }}
}}
"""

_HAPROXY = """
global
    maxconn 2000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
cache pages
    total-max-size 16
    max-age 60
frontend alive
    bind :{probe}
    monitor-uri /
listen web
    bind :{port} transparent
    bind :::{port} v6only transparent
    option transparent
    http-request cache-use pages
    http-response cache-store pages
    http-response set-header X-Proxy {name}
"""


class Proxy:
    """Listens when it is made; stop() ends it at once, as a crash does."""

    form, file, deliver = "", "", {"tproxy": PORT}

    def __init__(self, host):
        self.host = host
        self.where = Path("/run/wlb") / f"proxy-{host.name}"
        shutil.rmtree(self.where, ignore_errors=True)
        self.where.mkdir(parents=True)
        self.config = self.where / "config"
        self.config.write_text(self.form.format(where=self.where, name=host.name, port=PORT,
                                                probe=PROBE))
        self.child = None
        self.start()

    def command(self):
        raise NotImplementedError

    def start(self):
        self.child = self.host.spawn(*self.command(), stdout=-3, stderr=-3)
        wait_until(f"{self.host.name}'s proxy listens", lambda: self.listens(PORT) and
                   self.listens(PROBE), 60)

    def listens(self, port):
        assert self.child.poll() is None, self.log()
        return self.host.out("ss", "-Hlnt", "sport", "=", str(port))

    def log(self):
        return "".join(path.read_text() for path in self.where.glob("*.log"))

    def stop(self, signal=9):
        self.host.stop(self.child, signal)
        self.child = None


class Squid(Proxy):
    form = _SQUID

    def start(self):
        shutil.chown(self.where, "proxy")
        super().start()

    def command(self):
        return "squid", "-N", "-f", self.config


class Nginx(Proxy):
    form = _NGINX
    deliver = {"redirect": PORT}

    def command(self):
        os.makedirs(self.where / "cache", exist_ok=True)
        return "nginx", "-p", self.where, "-e", self.where / "error.log", "-c", self.config

    def stop(self, signal=9):
        # its workers live on without their master
        for line in self.host.out("ss", "-Hlntp", "sport", "=", str(PORT)).split("pid=")[1:]:
            pid = int(line.partition(",")[0])
            if pid != self.child.pid:
                os.kill(pid, signal)
        super().stop(signal)


class Haproxy(Proxy):
    form = _HAPROXY

    def command(self):
        return "haproxy", "-db", "-f", self.config
