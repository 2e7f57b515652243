"""Faces of named sources: aligned faces whose table says from which set each comes."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jdsr_cli.datasets.aligned import read_rows
from jdsr_cli.datasets.face_set import FaceSet, subset
from jdsr_cli.errors import DatasetError, UsageError

TABLE = "faces.csv"


def select_sources(faces: FaceSet, data: Path, names: Sequence[str]) -> FaceSet:
    """Select the faces that come from some sources.

    Args:
        faces: The faces.
        data: Archives of aligned faces, or one of them; beside it, `faces.csv` has the columns
            `key` and `source`.
        names: Names of the sources.

    Raises:
        DatasetError: There is no such table, or it cannot be read.
        UsageError: None of the faces comes from one of the sources.

    """
    folder = data if data.is_dir() else data.parent
    table = _read(folder / TABLE)
    found = Counter(table.get(key, "") for key in faces.keys)
    for name in names:
        if not found[name]:
            known = ", ".join(f"{one} ({count:,})" for one, count in found.items() if one)
            raise UsageError(
                f"no face of the split comes from the source {name!r}",
                where="--sources", hint=f"There are {known or 'none'}",
            )  # fmt: skip
    return subset(faces, [i for i, key in enumerate(faces.keys) if table.get(key) in names])


def _read(path: Path) -> dict[str, str]:
    try:
        return {row["key"]: row["source"] or "" for row in read_rows(path)}
    except FileNotFoundError as error:
        raise DatasetError(
            "the faces have no table that names their sources", where=path,
            hint="Leave --sources out, or put faces.csv with the columns key and source there",
        ) from error  # fmt: skip
    except KeyError as error:
        raise DatasetError(f"the table has no column {error}", where=path) from error
    except (OSError, csv.Error, ValueError) as error:
        raise DatasetError(f"the table cannot be read ({error})", where=path) from error
