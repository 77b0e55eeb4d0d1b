# SPDX-License-Identifier: GPL-2.0-only
"""wlb-processd of one host."""

import json
import subprocess
import time

from .host import OUT, wait_until
from .kernel import REPO
from .wlb import Wlbctl, table

PROCESSD = REPO / "build" / "userspace" / "wlb-processd"


class Processd:
    def __init__(self, host):
        self.host = host
        self.child = None
        self.path = f"/run/wlb/{host.name}-processd.toml"
        self.log_path = f"/run/wlb/{host.name}-processd-{time.monotonic_ns()}.log"
        self.ctl = Wlbctl(host)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child is not None:
            self.kill(15)

    def configure(self, *rules, copies=(), **keys):
        text = table("processing", **keys) if keys else ""
        text += "".join(table("processing.copy", array=True, **copy) for copy in copies)
        text += "".join(table("processing.rule", array=True, **rule) for rule in rules)
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)

    def start(self, *rules, **keys):
        if rules:
            self.configure(*rules, **keys)
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.child = self.host.spawn(PROCESSD, "-c", self.path, "-l", "debug", stderr=log)
        wait_until("wlb-processd answers", self.answers, 20)

    def answers(self):
        assert self.child.poll() is None, self.log()
        return self.ctl.run("process", "show", check=False).returncode == 0

    def kill(self, signal=9):
        child, self.child = self.child, None
        self.host.stop(child, signal)

    def log(self):
        with open(self.log_path, encoding="utf-8") as log:
            return log.read()

    def reload(self, *rules, **keys):
        self.configure(*rules, **keys)
        self.ctl.run("process", "reload")

    def rules(self):
        return json.loads(self.ctl.run("-j", "process", "show").stdout)["rules"]

    def copies(self):
        """By name."""
        shown = json.loads(self.ctl.run("-j", "process", "show").stdout)["copies"]
        return {copy["name"]: copy for copy in shown}

    def refused(self, *rules, **keys):
        """What it says of a configuration that it does not start with."""
        self.configure(*rules, **keys)
        with self.host.entered():
            done = subprocess.run([PROCESSD, "-c", self.path], text=True, capture_output=True,
                                  timeout=60, check=False)
        assert done.returncode == 1, done
        return done.stderr


def file_of(name):
    """Where a scenario may have copies kept: they stay with its captures."""
    return OUT / f"{name}-{time.monotonic_ns()}.pcapng"


def fields(host, path, *names):
    """One dict per packet, by tshark, which must like all of the file."""
    args = ["tshark", "-n", "-r", str(path), "-T", "json"]
    for name in names:
        args += ["-e", name]
    return [packet["_source"]["layers"] for packet in json.loads(host.out(*args) or "[]")]
