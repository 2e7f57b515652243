"""Does memory grow with the length of the input? A clip of 1 minute against one of 10 minutes.

Run by hand: `python tests/benchmarks/memory.py CLIP [--minutes 1 10] [-- OPTIONS]`. The same
frames, repeated, are restored by `python -m jdsr_cli restore`; what follows `--` is given to it.
The peak of the resident memory (that of the process, as the system counts it) is printed for
each length, with its course, and the ratio. The exit code is 1 where that is above 1.1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from repeated_clip import add_clip_options, repeat_clip, say

MOST = 1.1
"""Peak of the longest clip by that of the shortest, up to which memory counts as bounded."""

INTERVAL = 0.25
"""Seconds between two looks at the memory."""

STEPS = 10
"""Parts of a run of which the memory is told."""


@dataclass(frozen=True)
class Course:
    """The memory of a run, in MiB."""

    peak: float
    """By the system's own count, which misses nothing."""
    resident: list[float]
    """At regular moments."""
    seconds: float

    def __str__(self) -> str:
        """Give the peak and the highest figure of each tenth of the run."""
        size = max(1, len(self.resident) // STEPS)
        parts = [self.resident[i : i + size] for i in range(0, len(self.resident), size)]
        course = " ".join(f"{max(part):.0f}" for part in parts)
        return f"peak {self.peak:.0f} MiB in {self.seconds:.0f} s; tenth by tenth: {course}"


def resident(process: int) -> float:
    """Return the resident memory of a process in MiB, 0 where it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def measure(clip: Path, out: Path, options: list[str]) -> Course:
    """Restore a clip and watch the memory."""
    command = [sys.executable, "-m", "jdsr_cli", "restore", str(clip), "--out", str(out)]
    begin = time.monotonic()
    process = subprocess.Popen([*command, "--quiet", *options], stdout=subprocess.DEVNULL)
    seen: list[float] = []
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        seen.append(resident(process.pid))
        time.sleep(INTERVAL)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the run ended with {process.returncode}")
    return Course(usage.ru_maxrss / 1024, seen, time.monotonic() - begin)


def main() -> int:
    """Measure each length; print the peaks and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_clip_options(parser)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10])
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    given, options = parser.parse_args(arguments[:cut]), arguments[cut + 1 :]
    peaks = []
    with tempfile.TemporaryDirectory() as place:
        for minutes in given.minutes:
            clip = repeat_clip(
                given.clip, Path(place) / f"{minutes}min.mkv",
                seconds=60 * minutes, height=given.height, rate=given.rate,
            )  # fmt: skip
            course = measure(clip, Path(place) / "out", options)
            peaks.append(course.peak)
            say(f"{minutes:3} min: {course}")
    ratio = peaks[-1] / peaks[0]
    say(f"{given.minutes[-1]} min by {given.minutes[0]} min: {ratio:.3f}")
    return 0 if ratio <= MOST else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
