"""Levels of identity cosines below which a restored face gets a warning, for one network each.

Cosines of different recognition networks cannot be compared, so levels name the SHA-256 of the file
that they were fitted to. `tests/benchmarks/fit_identity_levels.py` fits them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.toml_files import read_toml
from jdsr_cli.weights.locations import sha256_of

FORMAT = "jdsr identity levels 1"
SIDECAR = ".levels.toml"
"""What the name of a file of levels has after that of its network."""
BUILT_IN = Path(__file__).parent / "calibrations"
"""Folder of the levels that jdsr carries, each named after the SHA-256 of its network."""
TABLES = ("input_masked", "input_bare", "track_masked", "track_bare", "bare")
"""The figures; those of masked faces and of others have levels of their own."""
_HINT = "Write it again with tests/benchmarks/fit_identity_levels.py"


@dataclass(frozen=True)
class IdentityLevels:
    """Levels of the cosines of one recognition network, by the width of the face."""

    network_sha256: str
    """Of the network's file, 64 lower-case hexadecimal digits."""
    honest_share: float
    """Share of the faithful restorations that are below a level, in (0, 0.5]."""
    widths: tuple[float, ...]
    """Native widths in pixels to which the levels belong, in increasing order."""
    tables: Mapping[str, tuple[float, ...]]
    """Levels of each of `TABLES`, one for each width, in [-1, 1]."""

    def level(self, table: str, width: float) -> float:
        """Return the level of a figure for a native width in pixels.

        Levels between two widths are interpolated over the logarithm of the width; below the least
        and above the largest width they are those of that width.
        """
        grid = np.log(self.widths)
        return float(np.interp(math.log(max(width, 1e-3)), grid, self.tables[table]))

    def text(self, comment: str) -> str:
        """Return the levels as TOML.

        Args:
            comment: What they were fitted to, one line or more.

        """
        lines = [f"# {line}".rstrip() for line in comment.splitlines()]
        lines += [
            f'format = "{FORMAT}"',
            f'network_sha256 = "{self.network_sha256}"',
            f"honest_share = {self.honest_share:g}",
            f"widths = [{', '.join(f'{width:g}' for width in self.widths)}]",
        ]
        for name in TABLES:
            lines.append(f"{name} = [{', '.join(f'{one:.3f}' for one in self.tables[name])}]")
        return "\n".join(lines) + "\n"


def find_levels(network: Path, levels: Path | None = None) -> IdentityLevels | None:
    """Return the levels of a recognition network; None if there are none.

    In this order: the file that is given, the sidecar `<network>.levels.toml`, and the levels that
    jdsr carries for the hash of the network.

    Args:
        network: File of the network.
        levels: File of its levels, if one is given.

    Raises:
        WeightsMissingError: The file that is given does not exist.
        WeightsCorruptError: A file cannot be read, is damaged, or is of another network.
        WeightsError: The network cannot be read.

    """
    digest = sha256_of(network)
    if levels is not None:
        if not levels.is_file():
            raise WeightsMissingError("no such file of identity levels", where=levels, hint=_HINT)
        return _of_network(levels, network, digest)
    sidecar = network.with_name(network.name + SIDECAR)
    if sidecar.is_file():
        return _of_network(sidecar, network, digest)
    carried = BUILT_IN / f"{digest}.toml"
    return read_levels(carried) if carried.is_file() else None


def _of_network(path: Path, network: Path, digest: str) -> IdentityLevels:
    found = read_levels(path)
    if found.network_sha256 != digest:
        raise WeightsCorruptError(
            f"the levels are of another network (SHA-256 {found.network_sha256[:12]}...) than "
            f"{network.name} ({digest[:12]}...)",
            where=path,
            hint="Fit levels to this network with tests/benchmarks/fit_identity_levels.py",
        )
    return found


def read_levels(path: Path) -> IdentityLevels:
    """Read a file of levels.

    Raises:
        WeightsCorruptError: It is not TOML, or a field is missing, unknown or out of range.

    """
    try:
        content = read_toml(path)
    except (ValueError, OSError) as error:
        raise _broken(path, f"cannot be read ({error})") from error
    if content.get("format") != FORMAT:
        raise _broken(path, f"is no file of identity levels: format is not {FORMAT!r}")
    required = {"format", "network_sha256", "honest_share", "widths", *TABLES}
    for name in sorted(required ^ set(content)):
        state = "lacks" if name in required else "has an unknown field"
        raise _broken(path, f"{state} {name!r}")
    digest, share = content["network_sha256"], content["honest_share"]
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise _broken(path, "network_sha256 is not 64 lower-case hexadecimal digits")
    if not _is_number(share, 0.0, 0.5) or share == 0:
        raise _broken(path, "honest_share is not above 0 and at most 0.5")
    widths = _numbers(path, content, "widths", 1.0, 1e4)
    if any(wider <= width for width, wider in pairwise(widths)):
        raise _broken(path, "widths do not increase")
    tables = {name: _numbers(path, content, name, -1.0, 1.0) for name in TABLES}
    for name, values in tables.items():
        if len(values) != len(widths):
            raise _broken(path, f"{name} has {len(values)} levels for {len(widths)} widths")
    return IdentityLevels(digest, float(share), widths, tables)


def _numbers(
    path: Path, content: Mapping[str, Any], name: str, low: float, high: float
) -> tuple[float, ...]:
    values = content[name]
    if not isinstance(values, list) or not values:
        raise _broken(path, f"{name} is not a list of numbers")
    if not all(_is_number(one, low, high) for one in values):
        raise _broken(path, f"{name} has a value that is not a number from {low:g} to {high:g}")
    return tuple(float(one) for one in values)


def _is_number(value: object, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value <= high  # type: ignore[operator]


def _broken(path: Path, what: str) -> WeightsCorruptError:
    return WeightsCorruptError(what, where=path, hint=_HINT)
