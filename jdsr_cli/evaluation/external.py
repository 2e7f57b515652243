"""Other tools in a comparison: inputs are written to files, and their results are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from jdsr_cli.atomic import atomic_file
from jdsr_cli.datasets.face_set import PILLOW_ERRORS
from jdsr_cli.datasets.samples import EvaluationSample, to_tensor
from jdsr_cli.errors import DatasetError, InputMissingError
from jdsr_cli.evaluation.methods import Method

RESULT_SUFFIXES = (".png", ".webp", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")


class ExternalResults:
    """A folder of 128x128 images, each named after the face it restores.

    Args:
        name: Name in tables.
        folder: The images; files of other faces are ignored.
        keys: The evaluated faces.

    Raises:
        InputMissingError: The folder does not exist.
        DatasetError: A face has no image or two, or its image has another size or cannot be
            read; the message names the file.

    """

    def __init__(self, name: str, folder: Path, keys: Sequence[str]) -> None:
        if not folder.is_dir():
            raise InputMissingError(f"no folder of results for {name}", where=folder)
        self._files: dict[str, Path] = {}
        expected = set(keys)
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in RESULT_SUFFIXES or path.stem not in expected:
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
                hint="Every evaluated face needs one; --write-inputs writes the inputs to restore",
            )
        for path in self._files.values():
            _read_result(path, size_only=True)
        self.method = Method(
            name,
            self._read_pictures,
            description={"what": "ready-made pictures", "folder": folder.name},
        )

    def _read_pictures(self, samples: Sequence[EvaluationSample]) -> Tensor:
        return to_tensor(
            [_read_result(self._files[sample.key], size_only=False) for sample in samples]
        )


def _read_result(path: Path, *, size_only: bool) -> NDArray[np.uint8]:
    """Read an image; with `size_only` check its size and return an empty array."""
    try:
        with Image.open(path) as picture:
            if picture.size != (128, 128):
                width, height = picture.size
                raise DatasetError(f"the picture is {width}x{height}, not 128x128", where=path)
            if picture.mode.startswith(("I", "F")):
                raise DatasetError(
                    "the picture has more than 8 bits a channel", where=path, hint="Save 8-bit RGB"
                )
            if size_only:
                return np.zeros((0, 0, 3), np.uint8)
            return np.asarray(picture.convert("RGB"), np.uint8)
    except DatasetError:
        raise
    except PILLOW_ERRORS as error:
        raise DatasetError("not a readable picture", where=path) from error


def write_inputs(samples: Iterable[EvaluationSample], folder: Path) -> Iterator[EvaluationSample]:
    """Yield the samples unchanged, and write the input of each to `<key>.png`.

    Raises:
        OutputError: A file cannot be written.

    """
    for sample in samples:
        path = folder / f"{sample.key}.png"
        with atomic_file(path, make_folder=True) as partial:
            Image.fromarray(sample.pair.lr).save(partial, format="PNG")
        yield sample
