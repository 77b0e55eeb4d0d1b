# SPDX-License-Identifier: GPL-2.0-only
"""Completion in bash and zsh, typed at a terminal: words and the names of what runs."""

import os
import pty
import re
import select
import time

import pytest

from wlblab import kernel, pace, wccp
from wlblab.cached import Cached
from wlblab.host import wait_until
from wlblab.net import Net
from wlblab.wlb import WLBCTL

FILES = kernel.REPO / "packaging" / "completion"
END = "@end@"
# A key that puts in all that the last word may become, and one that shows the line as it is.
BASH = rf"""
PS1=; bind 'set enable-bracketed-paste off'; bind 'set completion-ignore-case off'
. {FILES}/wlbctl
show() {{ printf '\n<%s>{END}\n' "$READLINE_LINE"; }}
bind '"\C-t": insert-completions'
bind -x '"\C-o": show'
"""
# What zsh has for other programs would all be read, which takes a machine minutes.
ZSH = rf"""
PS1=; unset zle_bracketed_paste
own=/usr/share/zsh/functions/Completion
fpath=({FILES} $own $own/Base)
autoload -U compinit $own/Unix/_files $own/Unix/_path_files
compinit -C -D
every() {{ _main_complete; compstate[insert]=all }}
zle -C every complete-word every
show() {{ printf '\n<%s>{END}\n' "$BUFFER"; }}
zle -N show
bindkey '^T' every '^O' show
"""
SHELLS = {"bash": (["bash", "--norc", "-i"], BASH), "zsh": (["zsh", "-f", "-i"], ZSH)}


class Shell:
    def __init__(self, host, name, where):
        command, setup = SHELLS[name]
        script = where / "setup"
        script.write_text(setup, encoding="utf-8")
        with host.entered():
            pid, self.terminal = pty.fork()
            if pid == 0:
                os.chdir(where)
                os.environ.update(PATH=f"{WLBCTL.parent}:{os.environ['PATH']}", TERM="vt100")
                os.execvp(command[0], command)
        self.pid = pid
        self.type(f". {script}; echo 'ready@'end@\n", f"ready{END}")

    def type(self, text, until):
        """What the terminal shows from here on until that."""
        os.write(self.terminal, text.encode())
        seen, patience = "", time.monotonic() + pace.limit(60)
        while not (found := re.search(until, seen)):
            ready = select.select([self.terminal], [], [], 1)[0]
            assert time.monotonic() < patience, seen
            if ready:
                seen += os.read(self.terminal, 1 << 16).decode().replace("\r", "")
        return found

    def becomes(self, line):
        """The line with all that its last word may become."""
        found = self.type(f"{line}\x14\x0f", rf"(?s)<([^<]*)>{END}")
        self.type("\x15\x0f", f"<>{END}")
        return found[1].split()

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


@pytest.fixture(scope="module")
def gateway(leaks):
    kernel.load()
    with Net() as net:
        for name in ("cg", "k"):
            net.add_host(name)
        net.add_link("cg", "lan0", "k", "lan0", ["10.2.0.1/24"], ["10.2.0.2/24"])
        net.build()
        host = net["cg"]
        for line in ("service add web --ports 80 --replicas any",
                     "service add mail --ports 25 --replicas any",
                     "origin add www --server 203.0.113.10 --ports 80 --replica 198.51.100.7",
                     "replica add far --server 203.0.113.20 --ports 80 --local 10.2.0.1 "
                     "--from 203.0.113.1"):
            host.run(WLBCTL, *line.split())
        wccp.Routerd(host).start(*({"service": service, "redirect_in": ["lan0"],
                                    "group_list": ["10.2.0.0/24"], "source": ["10.2.0.1"]}
                                   for service in ("web-cache", 51)))
        Cached(net["k"]).start({"service": "web-cache", "address": "10.2.0.2",
                                "routers": ["10.2.0.1"]})
        add = WLBCTL, "bypass", "add", "2001:db8::1"
        wait_until("the router takes the cache", lambda: net["k"].run(
            *add, check=False).returncode == 0, 60)
        yield host
    kernel.unload()


@pytest.fixture(params=SHELLS, scope="module")
def shell(gateway, tmp_path_factory, request):
    where = tmp_path_factory.mktemp(request.param)
    (where / "my.toml").touch()
    shell = Shell(gateway, request.param, where)
    yield shell
    shell.close()


def test_words(shell, gateway):
    """Objects and commands: all that --help has, so a new one too."""
    commands = [line.split() for line in gateway.out(WLBCTL, "--help").splitlines()
                if re.match("  [a-z]+ .*\\.$", line)]
    objects = sorted({words[0] for words in commands})
    assert len(objects) > 10 and shell.becomes("wlbctl ") == ["wlbctl", *objects]
    verbs = ["add", "del", "list"]
    assert shell.becomes("wlbctl -j origin ") == ["wlbctl", "-j", "origin", *verbs]
    assert [w[1] for w in commands if w[0] == "origin"] == verbs


@pytest.mark.parametrize("line,whole", [
    ("wlbctl serv", "wlbctl service"),
    ("wlbctl --ne", "wlbctl --netns"),
    ("wlbctl service add new --ra", "wlbctl service add new --race"),
    ("wlbctl service add new --race ", "wlbctl service add new --race direct race"),
    ("wlbctl service add new --fastpath=of", "wlbctl service add new --fastpath=off"),
    ("wlbctl service add new --ports 80 --replicas a", "wlbctl service add new --ports 80 "
     "--replicas any"),
    ("wlbctl service del ", "wlbctl service del mail web"),
    ("wlbctl -n cg service del m", "wlbctl -n cg service del mail"),
    ("wlbctl -n ", "wlbctl -n cg k"),
    ("wlbctl gateway show w", "wlbctl gateway show www"),
    ("wlbctl replica busy ", "wlbctl replica busy off on"),
    ("wlbctl replica busy on f", "wlbctl replica busy on far"),
    ("wlbctl wccp clear ", "wlbctl wccp clear 51 web-cache"),
    ("wlbctl wccp show web-cache v", "wlbctl wccp show web-cache view"),
    ("wlbctl wccp show co", "wlbctl wccp show counters"),
    ("wlbctl check m", "wlbctl check my.toml"),
    ("wlbctl -n k cache drain ", "wlbctl -n k cache drain web-cache"),
    ("wlbctl -n k bypass del 2001:", "wlbctl -n k bypass del 2001:db8::1"),
    ("wlbctl nothing ", "wlbctl nothing"),
])
def test_names(shell, line, whole):
    """Options, their values, and what runs in the namespace of the command line."""
    assert shell.becomes(line) == whole.split()
