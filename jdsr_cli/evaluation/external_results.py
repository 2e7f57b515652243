"""Results of other tools: their inputs go out as files, and their pictures come back in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from jdsr_cli.atomic import atomic_file
from jdsr_cli.datasets.face_set import UNREADABLE
from jdsr_cli.datasets.samples import EvaluationSample, to_tensor
from jdsr_cli.errors import DatasetError, InputMissingError
from jdsr_cli.evaluation.methods import Method

PICTURES = (".png", ".webp", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")


class ExternalResults:
    """A folder of 128x128 pictures, each named like the face it restores.

    Args:
        name: What tables call it.
        folder: The pictures; files of other faces in it are left alone.
        keys: The faces that are asked for.

    Raises:
        InputMissingError: No such folder.
        DatasetError: A face has no picture or two, or its picture has another size or cannot be
            read; the message names the file.

    """

    def __init__(self, name: str, folder: Path, keys: Sequence[str]) -> None:
        if not folder.is_dir():
            raise InputMissingError(f"no folder of results for {name}", where=folder)
        self._files: dict[str, Path] = {}
        wanted = set(keys)
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in PICTURES or path.stem not in wanted:
                continue
            if path.stem in self._files:
                raise DatasetError(
                    f"a second picture of {path.stem} beside {self._files[path.stem].name}",
                    where=path,
                )
            self._files[path.stem] = path
        missing = [key for key in keys if key not in self._files]
        if missing:
            raise DatasetError(
                f"{name} has no picture of this face, nor of {len(missing) - 1} others"
                if len(missing) > 1
                else f"{name} has no picture of this face",
                where=folder / f"{missing[0]}.png",
                hint="Every face that is scored needs one; --write-inputs writes what to restore",
            )
        for path in self._files.values():
            _open(path, whole=False)
        self.method = Method(
            name,
            self._read_pictures,
            described={"what": "ready-made pictures", "folder": folder.name},
        )

    def _read_pictures(self, samples: Sequence[EvaluationSample]) -> Tensor:
        return to_tensor([_open(self._files[sample.key], whole=True) for sample in samples])


def _open(path: Path, *, whole: bool) -> NDArray[np.uint8]:
    """Read a picture, or with `whole` False only its size."""
    try:
        with Image.open(path) as picture:
            if picture.size != (128, 128):
                width, height = picture.size
                raise DatasetError(f"the picture is {width}x{height}, not 128x128", where=path)
            if picture.mode.startswith(("I", "F")):
                raise DatasetError(
                    "the picture has more than 8 bits a channel", where=path, hint="Save 8-bit RGB"
                )
            if not whole:
                return np.zeros((0, 0, 3), np.uint8)
            return np.asarray(picture.convert("RGB"), np.uint8)
    except DatasetError:
        raise
    except UNREADABLE as error:
        raise DatasetError("not a readable picture", where=path) from error


def write_inputs(samples: Iterable[EvaluationSample], folder: Path) -> Iterator[EvaluationSample]:
    """Pass faces on, and write the input of each as `<key>.png`.

    Raises:
        OutputError: A file cannot be written.

    """
    for sample in samples:
        path = folder / f"{sample.key}.png"
        with atomic_file(path, make_folder=True) as partial:
            Image.fromarray(sample.pair.lr).save(partial, format="PNG")
        yield sample
