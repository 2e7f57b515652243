"""How faces are prepared: options, checked, and what they amount to as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from jdsr_cli.errors import UsageError

CROPS = ("138", "138-left", "178", "aligned")
LANDMARKS = ("five", "fan")
PARSING = ("none", "facexlib")


@dataclass(frozen=True)
class PrepareSettings:
    """How `prepare` makes 128-px faces of pictures.

    Raises:
        UsageError: A value is none of those allowed.

    """

    crop: str = "138"
    """Window of a CelebA picture (SPEC 4.2): `138` is 138x138 at (20, 40), `138-left` the same at
    x 30, `178` the middle 178x178, `aligned` the least-squares similarity from its five points to
    the template. Other pictures are aligned by their points to the template, in the same window.
    """
    landmarks: str = "five"
    """`five`: those of the source (68 where it has them); `fan`: facexlib's FAN, whose 98 points
    become 68; else the path of an ONNX file that takes 112x112 RGB in [0, 1] and gives 136
    numbers, x and y in [0, 1]."""
    parsing: str = "none"
    """`none`; `facexlib`: its BiSeNet or ParseNet; else the path of a parser of our own."""
    workers: int = 0
    """Processes that share the work; 0 does it in this one."""
    least_width: float = 64.0
    """Pictures whose face has to be looked for are left out where it is narrower, in pixels of the
    crop before it is brought to 128: enlarged it is no truth to learn or measure from."""

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise UsageError(
                f"there is no crop {self.crop!r}", where="crop", hint=f"Use {', '.join(CROPS)}"
            )
        for name, value, known in (
            ("landmarks", self.landmarks, LANDMARKS),
            ("parsing", self.parsing, PARSING),
        ):
            if value not in known and not Path(value).is_file():
                raise UsageError(
                    f"{value!r} is neither {' nor '.join(known)} nor a file",
                    where=name,
                    hint="Check the path",
                )
        if self.workers < 0:
            raise UsageError(f"{self.workers} workers are fewer than none", where="workers")
        if not (math.isfinite(self.least_width) and self.least_width >= 0):
            raise UsageError(f"{self.least_width} is no width of a face", where="least_width")

    @property
    def plain(self) -> bool:
        """Whether faces that are aligned already stay as they are."""
        return self.landmarks == "five" and self.parsing == "none"
