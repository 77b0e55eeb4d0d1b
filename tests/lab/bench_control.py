# SPDX-License-Identifier: GPL-2.0-only
"""What the control plane costs at its limits: scripts/bench-control.sh runs this.
docs/benchmarks.md says what the figures mean.

  routerd  one wlb-routerd in groups of 32 caches and 32 routers, up to 256 of them: it is one
           of the 32 routers; the caches are simulated, and say that they hear 31 others
  flows    wlbctl flow list, of up to 10^6 flows
  apply    wlbctl apply of a file with up to 1,000 services"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

import bench
from wlblab import host, kernel, wccp, wlb
from wlblab.net import Net
from wlblab.wccp_crowd import T, Crowd, addresses, name

OUT = pathlib.Path(os.environ.get("WLB_OUT", "/run/wlb/out"))
CACHES, ROUTERS = 32, 32
STEADY = 3 * T
# us of a processor that a HERE_I_AM of a full group and its answer may cost.
COST = 500
# What a clock that skips idle time calls long.
PATIENCE = 100000


class Usage:
    """Processor time and memory of a process."""

    def __init__(self, pid):
        self._proc = pathlib.Path(f"/proc/{pid}")

    def cpu_s(self):
        """User and system, of all threads, by the scheduler's clock."""
        return sum(int((task / "schedstat").read_text().split()[0])
                   for task in (self._proc / "task").iterdir()) / 1e9

    def system_share(self):
        """Of ticks."""
        words = (self._proc / "stat").read_text().rpartition(")")[2].split()
        user, system = int(words[11]), int(words[12])
        return round(system / (user + system), 2) if user + system else None

    def kb(self, key):
        found = re.search(rf"^{key}:\s+(\d+) kB$", (self._proc / "status").read_text(), re.M)
        return int(found.group(1))


# wlb-routerd.

class Routers(Net):
    def __init__(self):
        super().__init__()
        self.add_host("r", forward=True)
        self.add_host("k")
        self.add_host("c")
        self.caches = addresses("10.2.0.11", CACHES)
        self.add_link("k", "wan0", "r", "dmz0", [f"{a}/16" for a in self.caches], ["10.2.0.1/16"])
        self.add_link("c", "wan0", "r", "lan0", ["10.1.1.2/24"], ["10.1.1.1/24"])


def routerd(net, groups, wrong):
    """From the daemon's start on: until all are usable, and then."""
    router = wccp.Routerd(net["r"])
    router.start(*({"service": name(g), "redirect_in": ["lan0"], "source": ["10.2.0.1"],
                    "group_list": ["10.2.0.0/16"]} for g in range(groups)))
    # 10.2.0.1 is the daemon's; the other routers are only spoken of.
    crowd = Crowd(net["k"], net.caches, "10.2.0.1", addresses("10.2.1.2", ROUTERS - 1), groups)
    usage = Usage(router.child.pid)
    idle_kb = usage.kb("VmRSS")
    total = groups * CACHES
    all_joined = crowd.run(20 * T, lambda: crowd.joined() == total)
    joining_cpu = usage.cpu_s()
    all_usable = all_joined + crowd.run(20 * T, lambda: crowd.usable() == total)
    got = {"groups": groups, "caches": CACHES, "routers": ROUTERS, "T_s": T,
           "joined_s": round(all_joined, 1), "joining_cpu_s": round(joining_cpu, 3),
           "usable_s": round(all_usable, 1), "usable_cpu_s": round(usage.cpu_s(), 3),
           "usable": crowd.usable(), "idle_rss_kb": idle_kb}
    if crowd.usable() != total:
        wrong.append(f"routerd: {crowd.usable()} of {total} memberships usable after "
                     f"{all_usable:.0f} s")
    before, said, heard, dealt = usage.cpu_s(), crowd.said, crowd.heard, crowd.dealt
    took = crowd.run(STEADY)
    spent = usage.cpu_s() - before
    got.update(steady_s=round(took, 1), steady_cpu=spent / took,
               heard_per_second=(crowd.said - said) / took,
               said_per_second=(crowd.heard - heard) / took,
               cpu_us_per_message=1e6 * spent / (crowd.said - said),
               steady_assignments=crowd.dealt - dealt, system_share=usage.system_share(),
               rss_kb=usage.kb("VmRSS"), peak_rss_kb=usage.kb("VmHWM"))
    if got["cpu_us_per_message"] > COST:
        wrong.append(f"routerd: a HERE_I_AM of {groups} groups costs "
                     f"{got['cpu_us_per_message']:.0f} us, not {COST}")
    if crowd.heard - heard < 0.99 * (crowd.said - said):
        wrong.append(f"routerd: {crowd.said - said} HERE_I_AM, {crowd.heard - heard} answers")
    # Members, as the daemon tells of them; and what that costs it.
    before, began = usage.cpu_s(), time.monotonic()
    router.ctl.patience = PATIENCE
    shown = json.loads(router.ctl.run("-j", "wccp", "show").stdout)["groups"]
    got.update(show_s=time.monotonic() - began, show_cpu_s=usage.cpu_s() - before)
    members = sum(c["usable"] for g in shown for c in g["caches"])
    buckets = sum(c.get("share", 0) for g in shown for c in g["caches"])
    if (members, buckets) != (total, groups * 256):
        wrong.append(f"routerd: shows {members} usable members and {buckets} buckets")
    log = router.log()
    got["lost"] = log.count("service lost")
    if got["lost"]:
        wrong.append(f"routerd: {got['lost']} members were lost")
    router.kill(15)
    crowd.close()
    return got


# wlbctl.

def timed(namespace, *args):
    """A command of wlbctl: seconds, CPU seconds, largest size, bytes and lines of output."""
    began = time.monotonic()
    child = subprocess.Popen([wlb.WLBCTL, "-n", namespace, *args], stdout=subprocess.PIPE)
    usage, size, lines, peak = Usage(child.pid), 0, 0, 0
    while True:
        data = os.read(child.stdout.fileno(), 1 << 20)
        if data or not peak:
            try:
                peak = usage.kb("VmHWM")
            except (AttributeError, OSError):   # it has ended
                pass
        if not data:
            break
        size += len(data)
        lines += data.count(b"\n")
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stdout.close()
    if status:
        raise host.CommandFailed(f"wlbctl {args}: status {child.returncode}")
    return {"seconds": time.monotonic() - began, "user_s": used.ru_utime, "sys_s": used.ru_stime,
            "peak_rss_kb": peak, "bytes": size, "lines": lines}


def flows(counts, wrong):
    machine = bench.Bench(quick=True)
    machine.build()
    for count in counts:
        with machine.carried(4, count, 0):
            for form in ((), ("-j",)):
                got = {"flows": count, "command": " ".join(("wlbctl", *form, "flow list")),
                       **timed("gw", *form, "flow", "list")}
                if not form and got["lines"] < count:
                    wrong.append(f"flow list: {got['lines']} lines of {count} flows")
                yield got


def services(count, family=4, more=""):
    prefix = {4: "198.51.100.0/24", 6: "2001:db8:b::/48"}
    text = wlb.table("client-gateway", inside=["c0"])
    return text + "".join(wlb.table(
        "client-gateway.service", array=True, name=f"s{i}{more if i == count // 2 else ''}",
        ports=[1000 + i], replicas=[prefix[family]]) for i in range(count))


def apply(counts, wrong):
    """An empty host takes so many; again, which changes nothing; one has another name."""
    path = pathlib.Path("/run/wlb/services.toml")
    host.Host("gw")
    for count in counts:
        for what, text, lines in (("all new", services(count), count),
                                  ("no change", services(count), 0),
                                  ("one of another name", services(count, more="x"), 2)):
            path.write_text(text, encoding="utf-8")
            got = {"services": count, "what": what, **timed("gw", "apply", str(path))}
            if lines and not lines <= got["lines"] <= lines + 1:
                wrong.append(f"apply, {what}: {got['lines']} lines of change for {lines}")
            yield got
        got = {"services": count, "what": "service list", **timed("gw", "service", "list")}
        yield got
        path.write_text("", encoding="utf-8")
        timed("gw", "apply", str(path))


def numbers(words, usual):
    return [int(w) for w in (os.environ.get(words) or usual).split()]


def say(got):
    print("bench-control: " + ", ".join(
        f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in got.items()), flush=True)


def main():
    if not host.in_lab():
        sys.exit("bench-control: run scripts/bench-control.sh; this part runs in its machine")
    parts = (os.environ.get("PARTS") or "routerd flows apply").split()
    wrong = []
    out = {"kernel": os.uname().release, "commit": os.environ.get("WLB_COMMIT", "")}
    subprocess.run(["modprobe", "-a", "dummy"], check=True)
    kernel.load()
    began = time.monotonic()
    if "routerd" in parts:
        out["routerd"] = []
        with Routers().build() as net:
            for groups in numbers("GROUPS_OF", "1 16 64 256"):
                out["routerd"].append(routerd(net, groups, wrong))
                say(out["routerd"][-1])
    if {"flows", "apply"} & set(parts):
        out["flows"], out["apply"] = [], []
        for got in flows(numbers("FLOWS", "10000 100000 1000000") if "flows" in parts else (),
                         wrong):
            out["flows"].append(got)
            say(got)
        for got in apply(numbers("SERVICES", "10 100 1000") if "apply" in parts else (), wrong):
            out["apply"].append(got)
            say(got)
    kernel.unload()
    out.update(wrong=wrong, machine_s=round(time.monotonic() - began))
    (OUT / "control.json").write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
    for text in wrong:
        print(f"bench-control: {text}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
