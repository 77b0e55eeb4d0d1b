# SPDX-License-Identifier: GPL-2.0-only
"""A million flows: memory of each, what it takes to make them and to let them end, and for how
long the worker that ends them keeps everybody else from the processor; beside connection
tracking's and IPVS's. scripts/bench.sh runs this.

One processor whose clock counts instructions, as for bench.py: seconds are 10^9 of these."""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import bench
from wlblab import inject, kernel
from wlblab.host import wait_until
from wlblab.packets import ACK, LINUX, SYN

FLOWS = int(os.environ.get("FLOWS") or 1000000)
PEERS = ("nf_tables", "nft_chain_nat", "nf_nat", "nft_ct", "nf_conntrack", "ip_vs_rr", "ipip")
TICK = 0.001
BUCKETS = 1 << 17       # all three's
PASS = 2        # seconds for the worker to see all flows
# The most that the worker may keep a processor to itself, in instructions; now and then the
# machine itself takes one or two million.
PAUSE = 3000000


def slabs():
    """Bytes of all slabs: with what is lost in them, and with what belongs to a flow besides."""
    lines = pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Slab:"))


def worked():
    """Instructions that kernel workers have executed, by their names."""
    total = 0
    for path in pathlib.Path("/proc").glob("[0-9]*/schedstat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if path.with_name("comm").read_text(encoding="ascii").startswith("kworker"):
                total += int(path.read_text(encoding="ascii").split()[0])
    return total


class Waiting(threading.Thread):
    """Of the highest priority, it wants the processor each millisecond: how late it gets it is
    how long others did not let go. Its own bookkeeping is in that too. Something keeps the
    processor busy: a clock that skips idle time may skip too much of it."""

    def __init__(self):
        super().__init__()
        self.worst = 0
        self._done = False
        self._busy = None

    def run(self):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        while not self._done:
            began = time.monotonic_ns()
            time.sleep(TICK)
            self.worst = max(self.worst, time.monotonic_ns() - began - round(TICK * 1e9))

    def __enter__(self):
        self._busy = subprocess.Popen(["sh", "-c", "while :; do :; done"])
        self.start()
        return self

    def __exit__(self, *_):
        self._done = True
        self.join()
        self._busy.kill()
        self._busy.wait()


class Flows:
    def __init__(self):
        self.bench = bench.Bench()
        self.rows = []

    def made(self, name, family, packets):
        """Each flow's packets, all flows' first ones first: what of it memory keeps."""
        before, costs = slabs(), {}
        for what, packet, device in packets:
            costs[what] = round(inject.run(self.bench.host, packet, device, FLOWS, FLOWS))
        row = {"name": name, "family": family, "flows": FLOWS,
               "bytes": round((slabs() - before) / FLOWS, 1), "instructions": costs}
        self.rows.append(row)
        print(f"{name}, IPv{family}: {row['bytes']} bytes a flow, instructions {costs}", flush=True)
        return row

    @staticmethod
    def of_many(packet):
        """Its clients, in IPv6, of a network each: the quota is a network's."""
        return (packet if packet.family == 4 else
                dataclasses.replace(packet, host_at=packet.host_at - 8))

    def ours(self, family):
        syn = self.of_many(bench.outwards(family, SYN, options=LINUX, payload=b""))
        answer = self.of_many(bench.inwards(family, bench.replica(family), SYN | ACK, 1001, LINUX,
                                            b""))
        ctl = self.bench.ctl()
        with self.bench.config(self.bench.client_gateway(family)):
            row = self.made("wlb", family, (("SYN", syn, "c0"), ("answer", answer, "s0")))
            assert ctl.stats()["flows"] == FLOWS, ctl.stats()
        with self.bench.config(self.bench.client_gateway(family)):
            began = time.monotonic()
            end = began + FLOWS * 2e-5 + 1
            self.bench.restore(family, FLOWS, 0, until=end)
            row["restored"] = round((time.monotonic() - began) * 1e9 / FLOWS)
            left = end - time.monotonic()
            assert left > PASS / 2, f"{left} s left"
            with Waiting() as idle:
                time.sleep(PASS / 4)
            time.sleep(end - time.monotonic())
            before = worked()
            with Waiting() as ending:
                time.sleep(1.5 * PASS)
            row["end"] = round((worked() - before) / FLOWS)
            row["pause"], row["pause_idle"] = ending.worst, idle.worst
            found = ctl.stats()["flows"]
            assert not found, f"{found} flows have not ended"
        print(f"  restored by {row['restored']} instructions, ended by {row['end']}; the longest "
              f"wait of others {row['pause']}, {row['pause_idle']} while nothing ends", flush=True)

    def tracked(self, family):
        """A rule that looks at states; nothing is rewritten."""
        syn = bench.outwards(family, SYN, options=LINUX, payload=b"")
        with self.bench.rules("table inet t { chain f { type filter hook forward priority 0;"
                              " ct state invalid drop; }\n}"):
            self.made("conntrack", family, (("SYN", syn, "c0"),))
            self.bench.run("conntrack", "-F")

    def ipvs(self, family):
        with self.bench.ipvs(family, "-m"):
            self.made("IPVS NAT", family, (
                ("SYN", bench.outwards(family, SYN, options=LINUX, payload=b""), "c0"),))

    def all(self):
        for family in (4, 6):
            self.ours(family)
        kernel.unload()
        for family in (4, 6):
            self.tracked(family)
            self.ipvs(family)


def main():
    subprocess.run(["modprobe", "-a", "dummy", *PEERS], check=True)
    subprocess.run(["modprobe", "ip_vs", f"conn_tab_bits={BUCKETS.bit_length() - 1}"], check=True)
    subprocess.run(["sysctl", "-q", f"net.netfilter.nf_conntrack_max={4 * FLOWS}",
                    f"net.netfilter.nf_conntrack_buckets={BUCKETS}"], check=True)
    inject.load()
    kernel.load()
    flows = Flows()
    flows.bench.build()
    wait_until("devices are up", lambda: flows.bench.sent().keys() >= {"c0", "s0"})
    flows.all()
    with open(f"{bench.OUT}/flows.json", "w", encoding="utf-8") as file:
        json.dump({"kernel": os.uname().release, "commit": os.environ.get("WLB_COMMIT"),
                   "flows": flows.rows}, file, indent=1)
    wrong = [f"IPv{row['family']}: others waited for {row['pause']} instructions, more than {PAUSE}"
             for row in flows.rows if row.get("pause", 0) > PAUSE]
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
