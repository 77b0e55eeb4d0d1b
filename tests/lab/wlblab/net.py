# SPDX-License-Identifier: GPL-2.0-only
"""Hosts and the links between them."""

import os
import signal
import subprocess

from .host import CommandFailed, Host

# Before any device exists, so that every device inherits them. No duplicate
# address detection: it would keep IPv6 addresses unusable for a second.
_SYSCTLS = {
    "net__ipv6__conf__all__accept_dad": 0,
    "net__ipv6__conf__default__accept_dad": 0,
    "net__ipv6__conf__default__accept_ra": 0,
    "net__ipv6__conf__default__router_solicitations": 0,
    "net__ipv6__conf__all__keep_addr_on_down": 1,
    "net__ipv6__conf__default__keep_addr_on_down": 1,
}


def clear():
    """Removes all hosts there are, and ends who runs on them. Of nets that were closed there are
    none; one that failed while it was built has them still."""
    try:
        names = os.listdir("/run/netns")
    except FileNotFoundError:   # nobody has had a host yet
        return
    for name in names:
        pids = subprocess.run(["ip", "netns", "pids", name], check=True, text=True,
                              capture_output=True).stdout
        for pid in map(int, pids.split()):
            os.kill(pid, signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", name], check=True)


class Net:
    """Describe it with add_host, add_link and add_route, then build(). A context
    manager: everything is gone at the end of the with block."""

    def __init__(self, rp_filter=0):
        self.hosts = {}
        self._rp_filter = rp_filter
        self._forward = set()
        self._links = []            # (a, device of a, b, device of b)
        self._bridges = {}          # host -> {bridge: [port, ...]}
        self._config = {}           # host -> lines for ip -batch
        self._netem = {}            # (host, device) -> netem arguments

    def __getitem__(self, name):
        return self.hosts[name]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def add_host(self, name, forward=False):
        self.hosts[name] = Host(name)
        self._config[name] = ["link set lo up"]
        self._bridges[name] = {}
        if forward:
            self._forward.add(name)
        return self.hosts[name]

    def add_link(self, a, a_dev, b, b_dev, a_addresses=(), b_addresses=(), delay_ms=None):
        """A wire with an optional delay each way. Addresses have their prefix length."""
        self._links.append((a, a_dev, b, b_dev))
        for host, device, addresses in ((a, a_dev, a_addresses), (b, b_dev, b_addresses)):
            self._config[host].append(f"link set {device} up")
            self.add_addresses(host, device, addresses)
            if delay_ms:
                self._netem[host, device] = f"delay {delay_ms}ms"

    def add_bridge(self, host, name, ports, addresses=()):
        """Call it before add_link makes the ports, which take no addresses."""
        self._bridges[host][name] = list(ports)
        self._config[host].append(f"link set {name} up")
        self.add_addresses(host, name, addresses)

    def add_addresses(self, host, device, addresses):
        for address in addresses:
            nodad = " nodad" if ":" in address else ""
            self._config[host].append(f"address replace {address} dev {device}{nodad}")

    def add_route(self, host, prefix, via):
        if prefix == "default":
            prefix = "::/0" if ":" in via else "0.0.0.0/0"
        self._config[host].append(f"route replace {prefix} via {via}")

    def device(self, host, peer):
        """The device of host that leads to its neighbour peer."""
        return self.ends()[host, peer]

    def ends(self):
        """{(host, peer): device of host} for both ends of every link."""
        return {end: device for a, a_dev, b, b_dev in self._links
                for end, device in (((a, b), a_dev), ((b, a), b_dev))}

    def build(self):
        self._batch("ip", [f"netns add {name}" for name in self.hosts])
        for name, host in self.hosts.items():
            host.sysctl(**_SYSCTLS, net__ipv4__conf__all__rp_filter=self._rp_filter,
                        net__ipv4__conf__default__rp_filter=self._rp_filter)
            if name in self._forward:
                host.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self._batch("ip", [
            f"link add {a_dev} netns {a} type veth peer name {b_dev} netns {b}"
            for a, a_dev, b, b_dev in self._links])
        jobs = []
        for name in self.hosts:
            lines = []
            for bridge, ports in self._bridges[name].items():
                lines.append(f"link add {bridge} type bridge")
                lines += [f"link set {port} master {bridge}" for port in ports]
            jobs.append((["ip", "-n", name], lines + self._config[name]))
        jobs += self._netem_jobs(self._netem)
        self._batches(jobs)
        return self

    def close(self):
        for host in self.hosts.values():
            host.close()
        self._batch("ip", [f"netns del {name}" for name in self.hosts], check=False)
        self.hosts = {}

    def netem(self, host, peer, arguments):
        """Sets what happens to packets from host to peer, as tc-netem(8) has it:
        "delay 20ms loss 5%"; "" for nothing."""
        key = host, self.device(host, peer)
        had = key in self._netem
        if self._netem.get(key, "") == arguments:
            return
        self._netem[key] = arguments
        if arguments:
            self._batches(self._netem_jobs({key: arguments}))
        elif had:
            self._batches([(["tc", "-n", key[0]], [f"qdisc del dev {key[1]} root"])])
        if not arguments:
            del self._netem[key]

    def no_netem(self):
        """Takes every delay and loss away."""
        self._batches([(["tc", "-n", host], [f"qdisc del dev {device} root"])
                       for host, device in self._netem])
        self._netem.clear()

    def keep_neighbours(self):
        """Whoever is known as a neighbour now stays known, so that no packet waits until the
        next question to him, or its repetition where packets are lost, is answered."""
        jobs = []
        for name, host in self.hosts.items():
            known = [line.split() for line in host.out("ip", "neigh", "show").splitlines()]
            jobs.append((["ip", "-n", name], [
                f"neigh replace {words[0]} dev {words[2]} lladdr {words[4]} nud permanent"
                for words in known if words[3:4] == ["lladdr"]]))
        self._batches(jobs)

    def link_down(self, host, peer):
        """Pulls the cable, at the host's end."""
        self._batch(["ip", "-n", host], [f"link set {self.device(host, peer)} down"])

    def link_up(self, host, peer):
        self._batch(["ip", "-n", host], [f"link set {self.device(host, peer)} up"])
        # The kernel forgets routes of a link that is down.
        self.restore(host)

    def restore(self, host):
        """Gives a host its links, addresses and routes back."""
        self._batch(["ip", "-n", host], self._config[host])

    @staticmethod
    def _netem_jobs(netem):
        # 10000 packets: more than the tests have in flight; netem's own limit of
        # 1000 would drop some of a fast download. One program for a host: starting it is
        # what takes long.
        lines = {}
        for (host, device), arguments in netem.items():
            lines.setdefault(host, []).append(
                f"qdisc replace dev {device} root netem limit 10000 {arguments}")
        return [(["tc", "-n", host], batch) for host, batch in lines.items()]

    @classmethod
    def _batch(cls, command, lines, check=True):
        cls._batches([([command] if isinstance(command, str) else command, lines)], check)

    @staticmethod
    def _batches(jobs, check=True):
        """Runs batches of ip or tc side by side."""
        running = []
        for command, lines in jobs:
            args = [*command, *([] if check else ["-force"]), "-batch", "-"]
            child = subprocess.Popen(args, text=True, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            running.append((args, lines, child))
        for args, lines, child in running:
            output, _ = child.communicate("".join(line + "\n" for line in lines), 60)
            if check and child.returncode:
                raise CommandFailed(f"{' '.join(args)}: {output}")
