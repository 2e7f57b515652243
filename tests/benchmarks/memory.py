"""Memory for clips of different length, by default 1 minute and 10 minutes.

Run by hand: `python tests/benchmarks/memory.py CLIP [--minutes 1 10] [-- OPTIONS]`. The same
frames, repeated, are restored by `python -m jdsr_cli restore`; arguments after `--` are passed to
it. The peak of the resident memory of the process, according to the operating system, is printed
for each length, with its course over time, and the ratio. The exit code is 1 if it exceeds 1.1.
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

from repeated_clip import add_clip_options, parse_options, print_line, repeat_clip

MAX_RATIO = 1.1
"""Maximum ratio of the peaks of the longest and the shortest clip."""

INTERVAL = 0.25
"""Seconds between two samples of the memory."""

STEPS = 10
"""Number of parts of a run whose memory is printed."""


@dataclass(frozen=True)
class MemoryUsage:
    """The memory of a run, in MiB."""

    peak: float
    """Peak according to the operating system."""
    resident: list[float]
    """Samples at regular intervals."""
    seconds: float

    def __str__(self) -> str:
        """Return the peak and the highest value of each tenth of the run."""
        size = max(1, len(self.resident) // STEPS)
        parts = [self.resident[i : i + size] for i in range(0, len(self.resident), size)]
        memory = " ".join(f"{max(part):.0f}" for part in parts)
        return f"peak {self.peak:.0f} MiB in {self.seconds:.0f} s; tenth by tenth: {memory}"


def resident(process: int) -> float:
    """Return the resident memory of a process in MiB, 0 if it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def measure(clip: Path, out: Path, options: list[str]) -> MemoryUsage:
    """Restore a clip and sample the memory."""
    command = [sys.executable, "-m", "jdsr_cli", "restore", str(clip), "--out", str(out)]
    started = time.monotonic()
    process = subprocess.Popen([*command, "--quiet", *options], stdout=subprocess.DEVNULL)
    samples: list[float] = []
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        samples.append(resident(process.pid))
        time.sleep(INTERVAL)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the run ended with {process.returncode}")
    return MemoryUsage(usage.ru_maxrss / 1024, samples, time.monotonic() - started)


def main() -> int:
    """Measure each length; print the peaks and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_clip_options(parser)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10])
    parsed, options = parse_options(parser)
    peaks = []
    with tempfile.TemporaryDirectory() as temporary:
        for minutes in parsed.minutes:
            clip = repeat_clip(
                parsed.clip, Path(temporary) / f"{minutes}min.mkv",
                seconds=60 * minutes, height=parsed.height, rate=parsed.rate,
            )  # fmt: skip
            memory = measure(clip, Path(temporary) / "out", options)
            peaks.append(memory.peak)
            print_line(f"{minutes:3} min: {memory}")
    ratio = peaks[-1] / peaks[0]
    print_line(f"{parsed.minutes[-1]} min / {parsed.minutes[0]} min: {ratio:.3f}")
    return 0 if ratio <= MAX_RATIO else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
