# SPDX-License-Identifier: GPL-2.0-only
"""wlb-cached of one host."""

import json
import subprocess
import time

from .host import wait_until
from .kernel import REPO
from .wlb import Wlbctl, table

CACHED = REPO / "build" / "userspace" / "wlb-cached"


class Cached:
    def __init__(self, host):
        self.host = host
        self.child = None
        self.path = f"/run/wlb/{host.name}-cached.toml"
        self.log_path = f"/run/wlb/{host.name}-cached-{time.monotonic_ns()}.log"
        self.ctl = Wlbctl(host)

    def configure(self, *groups, **keys):
        text = table("cache", **keys) if keys else ""
        text += "".join(table("cache.group", array=True, **group) for group in groups)
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)

    def setup(self, *options):
        return self.ctl.run("cache", "setup", self.path, *options).stdout

    def start(self, *groups, **keys):
        """With what hands packets to the proxy, if there are groups."""
        if groups:
            self.configure(*groups, **keys)
            self.setup()
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.child = self.host.spawn(CACHED, "-c", self.path, "-l", "debug", stderr=log)
        wait_until("wlb-cached answers", self.answers, 20)

    def answers(self):
        assert self.child.poll() is None, self.log()
        return self.ctl.run("cache", "show", check=False).returncode == 0

    def kill(self, signal=9):
        self.host.stop(self.child, signal)
        self.child = None

    def stop(self):
        """Leaves the groups, and nothing behind."""
        self.kill(15)
        self.setup("--remove")

    def log(self):
        with open(self.log_path, encoding="utf-8") as log:
            return log.read()

    def show(self, family=4, group="web-cache"):
        groups = json.loads(self.ctl.run("-j", "cache", "show", group).stdout)["groups"]
        (found,) = [g for g in groups if g["family"] == f"IPv{family}"]
        return found

    def about(self):
        """What is said of the host."""
        return json.loads(self.ctl.run("-j", "cache", "show").stdout)["host"]

    def doctor(self):
        """(exit status, findings that are not good)"""
        done = self.ctl.run("-j", "cache", "doctor", self.path, check=False)
        return done.returncode, [f for f in json.loads(done.stdout)["findings"]
                                 if f["grade"] != "good"]

    def refused(self, text):
        """What the daemon says of a configuration that it does not take."""
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)
        with self.host.entered():
            done = subprocess.run([CACHED, "-c", self.path], text=True, capture_output=True,
                                  timeout=60, check=False)
        assert done.returncode == 1, done
        return done.stderr
