#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Takes each rule of include/wlb/fsm.h away in turn; the explorer must notice each time.

mutants.py [WORD]...: only those whose rule has one of the words. The list is mutants.toml. Status 1
if a mutant survives, is found by another check than its line says, or does not apply.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent
BUILD = REPO / "build" / "tests" / "mutants"
CXX = os.environ.get("CXX", "g++")
FLAGS = ["-std=c++20", "-O1", f"-I{REPO}/include/uapi"]
FIXED = ["explore.cpp", "world.cpp"]        # take no rule from fsm.h, so are built once
TIMEOUT = 300


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def compile_one(source, target, include):
    done = run(CXX, *FLAGS, f"-I{include}", "-c", str(HERE / source), "-o", str(target))
    return done.stderr if done.returncode else None


def mutate(text, edits):
    for old, new in edits:
        if text.count(old) != 1:
            raise ValueError(f"{text.count(old)} times in fsm.h: {old!r}")
        text = text.replace(old, new)
    return text


def kill(number, mutant, rules):
    """Why the mutant lives, or None."""
    scenario, check = mutant["kills"]
    include = BUILD / str(number)
    shutil.rmtree(include, ignore_errors=True)
    shutil.copytree(REPO / "include" / "wlb", include / "wlb")
    try:
        (include / "wlb" / "fsm.h").write_text(mutate(rules, mutant["edits"]))
    except ValueError as error:
        return str(error)
    errors = compile_one("step.cpp", include / "step.o", include)
    if errors:
        return f"does not compile: {errors}"
    program = include / "explore"
    objects = [str(BUILD / f"{source}.o") for source in FIXED]
    linked = run(CXX, "-o", str(program), str(include / "step.o"), *objects)
    if linked.returncode:
        return linked.stderr
    try:
        explored = run(str(program), "--scenario", scenario)
    except subprocess.TimeoutExpired:
        return f"nothing found in {TIMEOUT} s"
    if explored.returncode == 0:
        return f"survives {scenario}"
    broken = re.findall(r"^broken: (.*)$", explored.stdout, re.M)
    if explored.returncode != 1 or len(broken) != 1:
        return f"status {explored.returncode}: {explored.stderr}"
    if broken[0] != check:
        return f'found by "{broken[0]}", not by "{check}"'
    return None


def main():
    mutants = tomllib.loads((HERE / "mutants.toml").read_text())["mutant"]
    words = sys.argv[1:]
    mutants = [mutant for mutant in mutants
               if not words or any(word in mutant["rule"] for word in words)]
    rules = (REPO / "include" / "wlb" / "fsm.h").read_text()
    BUILD.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        for errors in pool.map(lambda source: compile_one(source, BUILD / f"{source}.o",
                                                          REPO / "include"), FIXED):
            if errors:
                sys.exit(errors)
        results = list(pool.map(lambda item: kill(*item, rules), enumerate(mutants)))
    for mutant, alive in zip(mutants, results):
        if alive:
            print(f"ALIVE {mutant['rule']}: {alive}")
        else:
            scenario, check = mutant["kills"]
            print(f"killed {mutant['rule']}: {scenario}: {check}")
    killed = results.count(None)
    print(f"{len(mutants)} mutants, {killed} killed")
    return 0 if mutants and killed == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
