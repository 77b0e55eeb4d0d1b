# SPDX-License-Identifier: GPL-2.0-only
"""nftables' counters: what passed a hook, by who knows nothing of the module."""

import json


def judge(host, hook, rules):
    """Counts what passes a hook of host, by name: {name: rule}."""
    text = "table inet judge {\n" + "".join(f"counter {name} {{ }}\n" for name in rules)
    text += f"chain {hook} {{ type filter hook {hook} priority -400;\n"
    text += "".join(f"{rule} counter name {name}\n" for name, rule in rules.items()) + "}\n}\n"
    host.run("nft", "-f", "-", stdin=text)

    def counted():
        objects = json.loads(host.out("nft", "-j", "list", "counters", "table", "inet", "judge"))
        return {o["counter"]["name"]: o["counter"]["packets"]
                for o in objects["nftables"] if "counter" in o}
    return counted
