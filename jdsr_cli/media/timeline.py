"""Strictly increasing timestamps from what a decoder delivers."""

from __future__ import annotations

from fractions import Fraction

_JUMP_STEPS = 3
"""A step back of at least so many frames is a new recording joined on, not a jitter."""

_STEADY_SHARE = Fraction(9, 10)
"""Share of equal steps from which a stream has a constant rate, so that a gap is a loss."""


class Timeline:
    """Gives every frame of a stream its time, and remembers what had to be mended.

    Timestamps that increase are passed on untouched. Where one is missing, the frame follows
    the last one at the nominal rate. Where time steps back by less than three frames, the frame is
    put one tick after the last one; where it jumps back further (a recorder that began anew),
    this and all that follow are moved on, their distances kept. Gaps are left as they are, but
    told where the rate is constant otherwise, since frames are missing there.

    Args:
        time_base: Seconds per tick.
        frame_rate: Nominal frames per second, None where unknown (25 is taken).

    """

    def __init__(self, time_base: Fraction, frame_rate: Fraction | None) -> None:
        rate = frame_rate or Fraction(25)
        self._step = max(1, round(1 / (rate * time_base)))
        self._time_base = time_base
        self._last: int | None = None
        self._offset = 0
        self.missing = 0
        self.nudged = 0
        self.jumps = 0
        self._steps = 0
        self._steady = 0
        self._gaps = 0
        self._lost = 0
        self._first_gap = Fraction(0)

    def place(self, pts: int | None) -> int:
        """Return the time of the next frame in ticks, given its own timestamp if it has one."""
        last = self._last
        if pts is None:
            self.missing += 1
            placed = 0 if last is None else last + self._step
        else:
            placed = pts + self._offset
            if last is not None and placed <= last:
                placed = self._mend(placed, last)
            elif last is not None:
                self._judge(placed - last, last)
        self._last = placed
        return placed

    def _mend(self, placed: int, last: int) -> int:
        if last - placed < _JUMP_STEPS * self._step:
            self.nudged += 1
            return last + 1
        self.jumps += 1
        self._offset += last + self._step - placed
        return last + self._step

    def _judge(self, step: int, last: int) -> None:
        """Take note of a step that is as long as several frames."""
        self._steps += 1
        frames = round(step / self._step)
        if frames <= 1:
            self._steady += 1
        else:
            if not self._gaps:
                self._first_gap = last * self._time_base
            self._gaps += 1
            self._lost += frames - 1

    def warnings(self) -> list[str]:
        """Return one sentence for each kind of fault that was mended."""
        found = []
        if self.missing:
            found.append(f"{self.missing} frames had no timestamp; the nominal rate was taken")
        if self.nudged:
            found.append(f"{self.nudged} timestamps did not increase; moved one tick on")
        if self.jumps:
            found.append(f"time jumps back {self.jumps} times; what follows was joined on")
        if self._gaps and self._steady >= _STEADY_SHARE * self._steps:
            found.append(
                f"about {self._lost} frames are missing in {self._gaps} gaps of an otherwise "
                f"steady rate, the first after {float(self._first_gap):.2f} s"
            )
        return found
