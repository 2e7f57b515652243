"""Find the pictures and label maps of a parsing set in a folder or a tar archive."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jdsr_cli.datasets.aligned import is_in_split
from jdsr_cli.errors import DatasetError

_PICTURES = frozenset({".webp", ".jpg", ".jpeg"})


@dataclass(frozen=True)
class LabelledFile:
    """A picture and its label map."""

    source: Path
    """The folder or the archive."""
    picture: str
    """Path in the source."""
    labels: str
    """Path in the source."""
    offsets: tuple[tuple[int, int], tuple[int, int]] | None = None
    """Offset and length of both in the archive; None in a folder."""

    @property
    def key(self) -> str:
        """Split and name, such as ``train/0001``."""
        return str(PurePosixPath(self.picture).with_suffix(""))

    @property
    def split(self) -> str:
        """Name of the folder that contains the picture."""
        return PurePosixPath(self.picture).parent.name

    def read(self) -> tuple[bytes, bytes]:
        """Return the bytes of the picture and of the label map.

        Raises:
            DatasetError: They cannot be read.

        """
        try:
            if self.offsets is None:
                both = ((self.source / self.picture), (self.source / self.labels))
                return both[0].read_bytes(), both[1].read_bytes()
            parts = []
            with self.source.open("rb") as archive:
                for start, length in self.offsets:
                    archive.seek(start)
                    parts.append(archive.read(length))
            return parts[0], parts[1]
        except OSError as error:
            raise DatasetError(
                f"{self.key} cannot be read ({error.strerror or error})", where=self.source
            ) from error


def find_labelled_files(source: Path, split: str | None) -> list[LabelledFile]:
    """Return the files of a split (see `open_parsing_set`), sorted by name.

    Raises:
        DatasetError: The archive cannot be read, there is no picture, or one has no labels.

    """
    files = _in_folder(source) if source.is_dir() else _in_archive(source)
    has_val = any(file.split == "val" for file in files)
    chosen = [file for file in files if _belongs(file, split, has_val)]
    if not chosen:
        raise DatasetError(
            f"no labelled pictures{'' if split is None else f' of split {split}'}",
            where=source,
            hint="Expected train/ and test/ with pictures (.webp, .jpg) and maps (.png)",
        )
    return sorted(chosen, key=lambda file: file.key)


def _belongs(file: LabelledFile, split: str | None, has_val: bool) -> bool:
    if split is None:
        return True
    if file.split != "train" or split not in ("train", "val") or has_val:
        return file.split == split
    return is_in_split(Path(file.picture), split)


def source_state(source: Path) -> str:
    """Return the names, sizes and times of the files of a set, as text."""
    paths = sorted(source.rglob("*")) if source.is_dir() else [source]
    states = ((path, path.stat()) for path in paths if path.is_file())
    return "\n".join(f"{path.name}:{state.st_size}:{state.st_mtime_ns}" for path, state in states)


def _in_folder(source: Path) -> list[LabelledFile]:
    names = [str(path.relative_to(source).as_posix()) for path in source.glob("*/*")]
    return [LabelledFile(source, name, maps) for name, maps in _paired(names, source)]


def _in_archive(source: Path) -> list[LabelledFile]:
    try:
        with tarfile.open(source, "r:") as archive:
            members = {
                str(PurePosixPath(member.name)): (member.offset_data, member.size)
                for member in archive
                if member.isfile()
            }
    except (tarfile.TarError, OSError) as error:
        raise DatasetError(f"not a readable tar archive ({error})", where=source) from error
    return [
        LabelledFile(source, name, maps, (members[name], members[maps]))
        for name, maps in _paired(members, source)
    ]


def _paired(names: Iterable[str], source: Path) -> list[tuple[str, str]]:
    available = set(names)
    pairs = []
    for name in sorted(available):
        path = PurePosixPath(name)
        if path.suffix.lower() not in _PICTURES or path.parent.name not in ("train", "val", "test"):
            continue
        labels = str(path.with_suffix(".png"))
        if labels not in available:
            raise DatasetError(f"{name} has no label map {labels}", where=source)
        pairs.append((name, labels))
    return pairs
