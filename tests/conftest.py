"""Clips, portraits, sets of faces and a tiny generator for the tests.

The faces come from photographs that dependencies ship. Everything runs on one thread.
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"
os.environ["OMP_NUM_THREADS"] = "1"

import av
import cv2
import matplotlib.cbook
import numpy as np
import pytest
import skimage.data
import torch
from frame_times import VARIABLE_PTS
from numpy.typing import NDArray
from PIL import Image
from small_portraits import astronaut_portrait, hopper_portrait
from tiny_generator import write_tiny_weights

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.synthesis.masks import landmarks_from_five

# A shell that starts the tests in the background makes Python ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

torch.set_num_threads(1)
cv2.setNumThreads(1)

ImageArray = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def scheduling_policy() -> Iterator[None]:
    """Check that a test leaves the scheduling policy as it is.

    An encoder may give this thread real-time priority. It and the processes that later tests start
    would then take all CPU time from the others.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    before = os.sched_getscheduler(0)
    yield
    assert os.sched_getscheduler(0) == before


@pytest.fixture(scope="session")
def astronaut() -> ImageArray:
    """The upper part of a portrait, 120 px square, with a face about 37 px wide."""
    return astronaut_portrait()


@pytest.fixture(scope="session")
def hopper() -> ImageArray:
    """The upper part of a portrait, 120 px square, with a face about 50 px wide."""
    return hopper_portrait()


@pytest.fixture(scope="session")
def two_people(astronaut: ImageArray, hopper: ImageArray) -> list[ImageArray]:
    """Six frames of 280x140 in which two people move a little."""
    frames = []
    for step in range(len(VARIABLE_PTS)):
        frame = np.full((140, 280, 3), 90, np.uint8)
        frame[10:130, 5 + step : 125 + step] = astronaut
        frame[10 + step : 130 + step, 150:270] = hopper
        frames.append(frame)
    return frames


WriteClip = Callable[..., Path]


@pytest.fixture(scope="session")
def write_clip() -> WriteClip:
    """Return a function that writes H.264 clips whose timestamps are in milliseconds."""

    def write(path: Path, frames: Sequence[ImageArray], pts: Sequence[int] = VARIABLE_PTS) -> Path:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            stream.options = {"crf": "12", "preset": "ultrafast"}
            for image, time in zip(frames, pts, strict=True):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = time, Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def clip(
    tmp_path_factory: pytest.TempPathFactory,
    two_people: list[ImageArray],
    write_clip: WriteClip,
) -> Path:
    """A clip of two people with a variable frame rate; tests must not modify it."""
    return write_clip(tmp_path_factory.mktemp("clip") / "street.mp4", two_people)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Return a function that writes weights of an untrained generator for an input size."""
    folder = tmp_path_factory.mktemp("weights")

    def make(lr_size: int) -> Path:
        path = folder / f"tiny-{lr_size}.safetensors"
        if not path.exists():
            write_tiny_weights(path, lr_size)
        return path

    return make


FIVE_COLUMNS = [f"{part}_{axis}" for part in ("leye", "reye", "nose", "lmouth", "rmouth")
                for axis in "xy"]  # fmt: skip


@dataclass(frozen=True)
class Portrait:
    """An aligned face of 128 px with its eyes, nose and mouth corners."""

    key: str
    image: ImageArray
    five: NDArray[np.float32]


def _portrait(
    key: str, photograph: ImageArray, corner: tuple[int, int], side: int, five: list[list[int]]
) -> Portrait:
    x, y = corner
    image = Image.fromarray(photograph[y : y + side, x : x + side]).resize((128, 128))
    points = (np.array(five, np.float32) - corner + 0.5) * (128 / side) - 0.5
    return Portrait(key, np.asarray(image, np.uint8), points.astype(np.float32))


@pytest.fixture(scope="session")
def portraits() -> list[Portrait]:
    """Six aligned faces of two people; eyes, nose and mouth were marked by hand."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        hopper = np.asarray(Image.open(file).convert("RGB"))
    photographs = {
        "astronaut": (skimage.data.astronaut(), (153, 29), 146,
                      [[203, 103], [247, 105], [224, 125], [204, 143], [242, 144]]),
        "hopper": (hopper, (130, 58), 278,
                   [[227, 202], [309, 200], [268, 242], [235, 280], [302, 278]]),
    }  # fmt: skip
    created = []
    for name, (photograph, (x, y), side, five) in photographs.items():
        for step in range(3):
            corner, width = (x - 4 * step, y - 3 * step), side + 8 * step
            created.append(_portrait(f"{name}{step}", photograph, corner, width, five))
    return created


@pytest.fixture(scope="session")
def face_set(portraits: list[Portrait]) -> FaceSet:
    """The portraits as a set of faces in memory."""
    return FaceSet(
        tuple(face.key for face in portraits),
        np.stack([face.image for face in portraits]),
        np.stack([landmarks_from_five(face.five) for face in portraits]),
    )


WriteFaces = Callable[..., Path]


@pytest.fixture(scope="session")
def write_faces(portraits: list[Portrait]) -> WriteFaces:
    """Return a function that writes a set of faces, as archives or files, with `faces.csv`."""

    def write(folder: Path, archives: Sequence[str] = ("train-0.tar", "val-0.tar")) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "faces.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["key", *FIVE_COLUMNS])
            table.writerows([face.key, *face.five.ravel().tolist()] for face in portraits)
        encoded = {}
        for face in portraits:
            stream = io.BytesIO()
            Image.fromarray(face.image).save(stream, format="PNG", compress_level=1)
            encoded[f"{face.key}.png"] = stream.getvalue()
        for archive in archives:
            with tarfile.open(folder / archive, "w") as tar:
                for name, data in encoded.items():
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
        if not archives:
            for name, data in encoded.items():
                (folder / name).write_bytes(data)
        return folder

    return write


@pytest.fixture(scope="session")
def template_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of mask templates: a red one from the front and a blue one from each side."""
    folder = tmp_path_factory.mktemp("templates")
    described = {}
    for name, colour in (("cloth", "red"), ("cloth_left", "blue"), ("cloth_right", "blue")):
        Image.new("RGBA", (240, 150), colour).save(folder / f"{name}.png")
        middle = {"cloth": 120, "cloth_left": 70, "cloth_right": 170}[name]
        points = [[0, 20], [middle, 0], [239, 20], [10, 100], [middle, 149], [229, 100]]
        described[name] = {
            "file": f"{name}.png",
            "points": dict(zip("abcdef", points, strict=True)),
        }
    (folder / "templates.json").write_text(json.dumps(described), encoding="utf-8")
    return folder
