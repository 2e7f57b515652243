"""Processor time of commands that do no work: help and version.

Run by hand: `python tests/benchmarks/start_up.py [--count 20]`. The commands run in turn, each in
a process of its own, so that a slow phase of the machine affects all of them. The shortest and the
median processor time are printed, beside those of an empty Python process, and the number of
imported modules.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from repeated_clip import print_line

COMMANDS = ("--version", "--help", "restore --help", "train --help")
EMPTY = "empty process"
RUN = """
import atexit, sys
sys.argv[0] = "jdsr"
atexit.register(lambda: print(len(sys.modules), file=sys.stderr))
if sys.argv[1:]:
    from jdsr_cli.cli.app import main
    main()
"""


def measure(arguments: list[str]) -> tuple[float, int]:
    """Return the processor time of a command in seconds, and how many modules it imports."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=True
    )
    after = os.times()
    user = after.children_user - before.children_user
    system = after.children_system - before.children_system
    return user + system, int(done.stderr.split()[-1])


def main() -> None:
    """Measure the commands in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=20, help="runs of each command")
    count = parser.parse_args().count
    commands = {EMPTY: [], **{command: command.split() for command in COMMANDS}}
    times: dict[str, list[float]] = {command: [] for command in commands}
    modules = dict.fromkeys(commands, 0)
    for _ in range(count):
        for command, arguments in commands.items():
            seconds, modules[command] = measure(arguments)
            times[command].append(seconds)
    print_line(f"{'command':16}  {'shortest':>8}  {'median':>8}  {'modules':>7}")
    for command, found in times.items():
        median = statistics.median(found)
        print_line(f"{command:16}  {min(found):6.2f} s  {median:6.2f} s  {modules[command]:7}")


if __name__ == "__main__":
    main()
