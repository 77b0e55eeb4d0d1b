# SPDX-License-Identifier: GPL-2.0-only
"""wlbctl, and configuration files made of Python values."""

import json
import subprocess

from . import pace
from .host import CommandFailed
from .kernel import REPO

WLBCTL = REPO / "build" / "userspace" / "wlbctl"

# syn_tagged is their sum and the gauge "racing": see WLB_STATS in wlb.h.
RACE_ENDS = ("race_won_replica", "race_won_server", "race_unanswered", "race_refused",
             "race_evicted", "race_replaced", "race_flushed")


def _value(value):
    """JSON's strings, numbers and lists are TOML's too; its objects are not."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def table(title, /, array=False, **keys):
    """One TOML table. In keys _ stands for -; a key that is None is left out."""
    lines = [f"[[{title}]]" if array else f"[{title}]"]
    lines += [f"{k.rstrip('_').replace('_', '-')} = {_value(v)}"
              for k, v in keys.items() if v is not None]
    return "\n".join(lines) + "\n\n"


class Wlbctl:
    """wlbctl of one host."""

    patience = 60       # s

    def __init__(self, host):
        self.host = host

    def run(self, *args, check=True, stdin=None):
        done = subprocess.run([WLBCTL, "-n", self.host.name, *map(str, args)], text=True,
                              input=stdin, capture_output=True,
                              timeout=pace.limit(self.patience))
        if check and done.returncode:
            raise CommandFailed(f"{self.host.name}: wlbctl {' '.join(map(str, args))}: status "
                                f"{done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def json(self, *args):
        return json.loads(self.run("-j", *args).stdout)

    def apply(self, text):
        path = f"/run/wlb/{self.host.name}.toml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return self.run("apply", path).stdout

    def stats(self):
        return self.json("stats")

    def counters(self):
        return self.stats()["counters"]

    def flows(self):
        return self.json("flow", "list")

    def races(self):
        return self.json("race", "list")

    def monitor(self, **kwargs):
        """Starts `wlbctl -j monitor`; one race per line on its stdout."""
        return self.host.spawn(WLBCTL, "-j", "monitor", stdout=subprocess.PIPE, **kwargs)


def unaccounted(stats):
    """Races that began and neither ended nor run: 0, or the module lost count."""
    counters = stats["counters"]
    return counters["syn_tagged"] - stats["racing"] - sum(counters[name] for name in RACE_ENDS)
