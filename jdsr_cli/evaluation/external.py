"""Other tools in a comparison: inputs are written to files, and their results are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from jdsr_cli.atomic import atomic_file
from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.face_set import PICTURE_FORMATS
from jdsr_cli.datasets.samples import EvaluationSample, to_tensor
from jdsr_cli.errors import DatasetError, InputMissingError
from jdsr_cli.evaluation.methods import Method
from jdsr_cli.faces.ffhq import FFHQ_SIZE, into_ffhq, out_of_ffhq
from jdsr_cli.settings.evaluation import FaceTemplate
from jdsr_cli.synthesis.compression import resize_bicubic

PICTURE_SUFFIXES = (".png", ".webp", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
ADDED_NAMES = ("_00", "_restored", "_out")
"""What tools add to the name of a face: GFPGAN the number of the face in its picture, others a
word."""
OTHER_FOLDERS = ("cmp", "cropped_faces", "restored_imgs", "final_results")
"""Folders that tools write beside those of restored faces: comparisons, the inputs as they were
cropped, and whole pictures (GFPGAN, CodeFormer, KEEP)."""
MAX_NAMED = 20
"""Greatest number of further pictures that an error names; the rest is counted."""
MAX_DEPTH = 3
"""Greatest number of names of a picture below the folder of results: two folders and its own."""
SIZES: Mapping[FaceTemplate, tuple[int, ...]] = {
    "jdsr": (TEMPLATE_SIZE, 256, 512, 1024),
    "ffhq": (256, 512, 1024),
}
"""Sides in pixels of the pictures that are read, by the template of their faces."""


class ExternalResults:
    """A folder of square pictures, each named after the face that it restores.

    Pictures are found in the folder and two levels below it, except in `OTHER_FOLDERS`. A picture
    belongs to the face whose key is its name without the suffix, otherwise to the face whose key is
    that name without one of `ADDED_NAMES`; other files are ignored. Larger pictures than 128x128
    are reduced.

    Args:
        name: Name in tables.
        folder: The pictures.
        keys: The evaluated faces.
        template: Alignment of the faces in the pictures.

    Raises:
        InputMissingError: The folder does not exist.
        DatasetError: A face has no picture or two, or its picture has another size or cannot be
            read; the message names the file, and others that cannot be used.

    """

    def __init__(
        self, name: str, folder: Path, keys: Sequence[str], template: FaceTemplate = "jdsr"
    ) -> None:
        if not folder.is_dir():
            raise InputMissingError(f"no folder of results for {name}", where=folder)
        self._template: FaceTemplate = template
        self._files: dict[str, Path] = {}
        expected = set(keys)
        for path in _pictures(folder):
            key = _key(path.stem, expected)
            if key is None:
                continue
            if key in self._files:
                raise DatasetError(
                    f"a second picture of {key} beside {self._files[key].relative_to(folder)}",
                    where=path,
                    hint="Give the folder that holds the restored faces only",
                )
            self._files[key] = path
        missing = [key for key in keys if key not in self._files]
        if missing:
            raise DatasetError(
                f"{name} has no picture of this face, nor of {len(missing) - 1} others"
                if len(missing) > 1
                else f"{name} has no picture of this face",
                where=folder / f"{missing[0]}.png",
                hint="Every evaluated face needs one; --write-inputs writes the inputs to restore",
            )
        sides = _check_pictures(list(self._files.values()), folder, SIZES[template])
        self.method = Method(
            name,
            self._read_pictures,
            description={
                "what": "ready-made pictures",
                "folder": folder.name,
                "sides": ", ".join(map(str, sorted(sides))),
                "alignment": _ALIGNMENTS[template],
            },
        )

    def _read_pictures(self, samples: Sequence[EvaluationSample]) -> Tensor:
        sizes, place = SIZES[self._template], _PLACES[self._template]
        return to_tensor([place(_read(self._files[sample.key], sizes)) for sample in samples])


_ALIGNMENTS: Mapping[FaceTemplate, str] = {
    "jdsr": "that of the truth; larger pictures are reduced to 128x128 by PIL's bicubic, "
    "antialiased",
    "ffhq": "that of FFHQ (five points of facexlib); mapped to that of the truth by the similarity "
    "between both templates, in one bicubic resampling, antialiased",
}


def _in_place(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture if len(picture) == TEMPLATE_SIZE else resize_bicubic(picture, TEMPLATE_SIZE)


_PLACES: Mapping[FaceTemplate, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "jdsr": _in_place,
    "ffhq": out_of_ffhq,
}
"""How a picture becomes the template of jdsr, by the template of its face."""


def _pictures(folder: Path, depth: int = MAX_DEPTH) -> Iterator[Path]:
    """Yield the pictures of a folder and of those below it, in order of their paths.

    Raises:
        DatasetError: A folder cannot be listed.

    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DatasetError(
            f"the folder cannot be listed ({error.strerror})", where=folder,
            hint="Check its permissions",
        ) from error  # fmt: skip
    for path in entries:
        if path.is_dir():
            if depth > 1 and path.name not in OTHER_FOLDERS:
                yield from _pictures(path, depth - 1)
        elif path.suffix.lower() in PICTURE_SUFFIXES:
            yield path


def _key(stem: str, keys: set[str]) -> str | None:
    """Return the face that the name of a picture stands for; None if it is another one."""
    shorter = (stem.removesuffix(added) for added in ADDED_NAMES if stem.endswith(added))
    return next((name for name in (stem, *shorter) if name in keys), None)


def _check_pictures(paths: Sequence[Path], folder: Path, sizes: Sequence[int]) -> set[int]:
    """Decode every picture once, so that none fails during the evaluation, and return their sides.

    Raises:
        DatasetError: Pictures cannot be used; the message says why the first cannot, and names
            the others.

    """
    sides: set[int] = set()
    faults: list[tuple[Path, DatasetError]] = []
    for path in paths:
        try:
            sides.add(len(_read(path, sizes)))
        except DatasetError as fault:
            faults.append((path, fault))
    if not faults:
        return sides
    first, others = faults[0][1], [str(path.relative_to(folder)) for path, _ in faults[1:]]
    shown = ", ".join(others[:MAX_NAMED])
    more = f" and {len(others) - MAX_NAMED} others" if len(others) > MAX_NAMED else ""
    raise DatasetError(
        f"{first.what}; nor can be used: {shown}{more}" if others else first.what,
        where=first.where, hint=first.hint or "Restore these faces again, or copy them again",
    )  # fmt: skip


def _read(path: Path, sizes: Sequence[int]) -> NDArray[np.uint8]:
    """Return a picture as RGB uint8.

    Raises:
        DatasetError: It has another size or depth, or cannot be read.

    """
    with _open(path, sizes) as picture:
        try:
            return np.asarray(picture.convert("RGB"), np.uint8)
        except Exception as error:  # Pillow raises errors of any type for damaged files
            raise DatasetError("not a readable picture", where=path) from error


def _open(path: Path, sizes: Sequence[int]) -> Image.Image:
    try:
        picture = Image.open(path, formats=PICTURE_FORMATS)
    except Exception as error:  # Pillow raises errors of any type for damaged files
        raise DatasetError("not a readable picture", where=path) from error
    width, height = picture.size
    if width != height or width not in sizes:
        picture.close()
        *most, last = (f"{size}x{size}" for size in sizes)
        raise DatasetError(
            f"the picture is {width}x{height}, not {', '.join(most)} or {last}", where=path
        )
    if picture.mode.startswith(("I", "F")):
        picture.close()
        raise DatasetError(
            "the picture has more than 8 bits a channel", where=path, hint="Save 8-bit RGB"
        )
    return picture


@dataclass(frozen=True)
class InputForm:
    """How inputs are written for other tools."""

    size: int | None = None
    """Side in pixels; None for that of the input in the template of jdsr, and 512 in FFHQ's."""
    template: FaceTemplate = "jdsr"

    @property
    def protocol(self) -> str:
        """Description of the written pictures."""
        if self.template == "ffhq":
            size = self.size or FFHQ_SIZE
            return (
                f"{size}x{size}, in the alignment of FFHQ (five points of facexlib), in one bicubic"
                " resampling of the input; beyond its border, the border pixels are repeated"
            )
        if self.size is None:
            return "as the compared methods receive them"
        return f"enlarged to {self.size}x{self.size} by PIL's bicubic"

    def picture_of(self, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an input, RGB uint8 (s, s, 3), as it is written."""
        if self.template == "ffhq":
            return into_ffhq(face, self.size or FFHQ_SIZE)
        if self.size is None or self.size == len(face):
            return face
        return resize_bicubic(face, self.size)


AS_RECEIVED = InputForm()
"""Inputs as the compared methods receive them."""


def write_inputs(
    samples: Iterable[EvaluationSample], folder: Path, form: InputForm = AS_RECEIVED
) -> Iterator[EvaluationSample]:
    """Yield the samples unchanged, and write the input of each to `<key>.png`.

    Args:
        samples: The samples.
        folder: Where the pictures are written.
        form: Size and alignment of the pictures.

    Raises:
        OutputError: A file cannot be written.

    """
    for sample in samples:
        path = folder / f"{sample.key}.png"
        with atomic_file(path, make_folder=True) as partial:
            Image.fromarray(form.picture_of(sample.pair.lr)).save(partial, format="PNG")
        yield sample
