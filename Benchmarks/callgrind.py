# SPDX-License-Identifier: Apache-2.0
"""Counts what a program executes in user space, by valgrind's callgrind, which does not depend on the machine's load."""

import collections
import os
import re
import shutil
import subprocess
import sys

# What a function executes by itself, and how often it is called.
Cost = collections.namedtuple("Cost", "instructions calls")


def strip(binary, folder):
    """A copy without debug records, over which older valgrinds stumble."""
    copy = os.path.join(folder, os.path.basename(binary))
    if subprocess.run(["strip", "--strip-debug", "-o", copy, binary], stderr=subprocess.DEVNULL).returncode != 0:
        shutil.copy(binary, copy)
    return copy


def command(program, file):
    """A program's command line, to be run so that its counts are written to the file."""
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={file}"] + program


class Counts:
    """The counts of one run."""

    def __init__(self, file):
        self.total = 0
        self.functions = {}
        names, instructions, calls = {}, collections.Counter(), collections.Counter()
        current, is_call = None, False
        for line in open(file, errors="replace"):
            if line[0].isdigit() or line[0] in "+-*":
                # The line behind "calls=" is what the call has cost, which the callee has in its own lines.
                if not is_call:
                    instructions[current] += int(line.split()[1])
                is_call = False
            elif line.startswith("fn="):
                current = self._name(line[3:], names)
            elif line.startswith("cfn="):
                callee = self._name(line[4:], names)
            elif line.startswith("calls="):
                calls[callee] += int(line[6:].split()[0])
                is_call = True
            elif line.startswith(("summary:", "totals:")):
                self.total = int(line.split()[1])
        for name in instructions | calls:
            # The copies that recursion makes are one function.
            plain = re.sub(r"'\d+$", "", name)
            before = self.functions.get(plain, Cost(0, 0))
            self.functions[plain] = Cost(before.instructions + instructions[name], before.calls + calls[name])

    @staticmethod
    def _name(text, names):
        number, _, name = text.strip().partition(" ")
        if name:
            names[number] = name
        return names.get(number, number)

    def calls(self, name):
        return self.functions.get(name, Cost(0, 0)).calls


def per_operation(few, many, operations):
    """What one operation has cost: its instructions, its allocations, and its functions, the dearest first."""
    allocations = sum(many.calls(name) - few.calls(name) for name in ("malloc", "calloc", "realloc", "posix_memalign"))
    rows = []
    for name, cost in many.functions.items():
        before = few.functions.get(name, Cost(0, 0))
        own, calls = cost.instructions - before.instructions, cost.calls - before.calls
        if own:
            rows.append((own / operations, calls / operations, name))
    return (many.total - few.total) / operations, allocations / operations, sorted(rows, reverse=True)


def demangled(names):
    """Swift's names as a reader knows them, where the tool is there."""
    try:
        done = subprocess.run(["swift", "demangle", "--compact"], input="\n".join(names), stdout=subprocess.PIPE,
                              text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return names
    return done.stdout.splitlines()


def print_profile(rows, least, file=sys.stdout):
    """The functions that execute at least so many instructions for one operation."""
    rows = [row for row in rows if row[0] >= least]
    for (own, calls, _), name in zip(rows, demangled([name for _, _, name in rows])):
        print(f"  {own:8.1f} {calls:6.2f} calls  {name[:110]}", file=file)
