"""`demo`: render a clip, restore it, and compare the result with the photographs on a sheet."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.atomic import HIDDEN_FOLDER, clear_partials
from jdsr_cli.demo.clip import WALKS, ClipSettings, Walk, build_clip
from jdsr_cli.errors import InputError, OutputError, UsageError
from jdsr_cli.evidence import read_manifest, sha256_file
from jdsr_cli.faces import Alignment, crop, estimate_alignment
from jdsr_cli.media import Image, read_image, write_image
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.restoration import InputResult, restore
from jdsr_cli.restoration.finished_result import is_valid_result
from jdsr_cli.restoration.workspace import HIDDEN_NAME
from jdsr_cli.settings import RestoreSettings

_NEAR = 0.5
"""Largest distance of the eyes from their true position, in eye distances."""


@dataclass(frozen=True, eq=False)
class DetectedPerson:
    """A person detected in a frame."""

    walk: Walk
    frame: int
    points: NDArray[np.float64]
    """(5, 2) detected points, in pixels of the frame."""
    picture: Path | None
    """Input crop and restored crop side by side; None if the face was refused."""

    def alignment(self) -> Alignment:
        """Return the alignment of the detected face."""
        return estimate_alignment(self.points)

    def photograph_alignment(self, settings: ClipSettings) -> Alignment:
        """Return the alignment that crops the same region from the person's photograph."""
        to_frame = np.vstack([settings.matrix(self.walk, self.frame), [0.0, 0.0, 1.0]])
        return Alignment(self.alignment().matrix @ to_frame)


def match_people(folder: Path, settings: ClipSettings) -> list[DetectedPerson]:
    """Match the face records of a restored clip with its people.

    Args:
        folder: Results of `restore` with crops for the clip.
        settings: Settings of the clip.

    Returns:
        At most one detection of each person in each frame, by frame.

    """
    matches: dict[tuple[int, int], DetectedPerson] = {}
    for line in (folder / "faces.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        frame, points = int(record["frame"]), np.array(record["points"], np.float64)
        number = _person_at(points, frame, settings)
        if number is not None and (frame, number) not in matches:
            picture = folder / record["file"] if record["file"] else None
            matches[frame, number] = DetectedPerson(WALKS[number], frame, points, picture)
    return [matches[key] for key in sorted(matches)]


def _person_at(points: NDArray[np.float64], frame: int, settings: ClipSettings) -> int | None:
    """Return the number of the person at a position, None if there is none."""
    for number, walk in enumerate(WALKS):
        matrix = settings.matrix(walk, frame)
        eyes = walk.person.points[:2] @ matrix[:, :2].T + matrix[:, 2]
        eye_distance = float(np.hypot(*(eyes[1] - eyes[0])))
        if float(np.hypot(*(points[:2].mean(0) - eyes.mean(0)))) < _NEAR * eye_distance:
            return number
    return None


TILE = 192
"""Side of a face on the sheet in pixels."""
TIMES = (0.05, 0.35, 0.65, 0.95)
"""Times of the columns as shares of the clip."""
ROWS = ("camera", "restored", "photograph")

_GAP, _LEFT, _TOP = 6, 104, 44
_PAPER, _INK = 250, (40, 40, 40)


def draw_sheet(detections: Sequence[DetectedPerson], settings: ClipSettings) -> Image:
    """Draw the contact sheet: a column per person and time, a row for each of `ROWS`.

    A column is empty if the person was not detected near that time.
    """
    columns = [(walk, time) for walk in WALKS for time in TIMES]
    step = TILE + _GAP
    shape = (_TOP + len(ROWS) * step, _LEFT + len(columns) * step, 3)
    sheet = np.full(shape, _PAPER, np.uint8)
    for row, name in enumerate(ROWS):
        _write(sheet, name, (8, _TOP + row * step + TILE // 2))
    for column, (walk, time) in enumerate(columns):
        x = _LEFT + column * step
        detection = _nearest(detections, walk, time, settings)
        if detection is None or detection.picture is None:
            _write(sheet, "not detected", (x, 18))
            continue
        width = detection.alignment().native_width
        state = "masked" if _masked(detection, settings) else "bare"
        _write(sheet, f"frame {detection.frame}, {state}", (x, 18))
        _write(sheet, f"region {width:.0f} px wide", (x, 36))
        for row, tile in enumerate(_tiles(detection, settings)):
            y = _TOP + row * step
            sheet[y : y + TILE, x : x + TILE] = tile
    return sheet


def _nearest(
    detections: Sequence[DetectedPerson], walk: Walk, time: float, settings: ClipSettings
) -> DetectedPerson | None:
    """Return the restored detection of the person nearest to a time, within a tenth."""
    candidates = [one for one in detections if one.walk is walk and one.picture is not None]
    best = min(candidates, key=lambda one: abs(settings.share(one.frame) - time), default=None)
    is_near = best is not None and abs(settings.share(best.frame) - time) < 0.1
    return best if is_near else None


def _masked(detection: DetectedPerson, settings: ClipSettings) -> bool:
    return detection.walk.masked(settings.share(detection.frame))


def _tiles(detection: DetectedPerson, settings: ClipSettings) -> list[Image]:
    """Return the faces of one column from top to bottom."""
    assert detection.picture is not None
    pair = read_image(detection.picture)
    side = pair.shape[0]
    photograph = detection.walk.person.load()
    truth = crop(photograph, detection.photograph_alignment(settings), TILE)
    return [_resized(pair[:, :side]), _resized(pair[:, side:]), truth]


def _resized(face: Image) -> Image:
    method = cv2.INTER_AREA if face.shape[0] > TILE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(face, (TILE, TILE), interpolation=method), np.uint8)


def _write(sheet: Image, text: str, position: tuple[int, int]) -> None:
    cv2.putText(sheet, text, position, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)


CLIP = "clip.mp4"
SHEET = "contact-sheet.png"


@dataclass(frozen=True)
class DemoResult:
    """The files of the demo, and the number of faces that were detected."""

    clip: Path
    restored: InputResult
    """Result of `restore`; its `output` is the folder with the restored clip and faces."""
    video: Path
    """The restored clip."""
    sheet: Path
    """Contact sheet of camera, restored face and photograph."""
    faces: int
    """Faces in the clip: people times frames."""
    detected: int
    """Number of detected faces."""


def demo(
    out: str | Path,
    settings: RestoreSettings | None = None,
    clip: ClipSettings | None = None,
    progress: Progress | None = None,
) -> DemoResult:
    """Render a clip like that of a surveillance camera, restore it and compare it with the truth.

    Two people from photographs that installed packages ship walk towards the camera, one masked
    throughout and one in the second half. Nothing is downloaded. `clip.mp4`, `clip/` (the results
    of `restore`) and `contact-sheet.png` are written to `out`. If the demo fails, a folder that
    it created is removed.

    Args:
        out: Folder for the results.
        settings: Settings of the restoration; they must write frames and all crops (mode `both`,
            crops `all`), as the defaults do. `force` allows `out` to exist, and replaces an
            earlier demo in it.
        clip: Settings of the clip; default: 60 frames of 480x270.
        progress: Receives the progress.

    Raises:
        OutputError: `out` is not empty, or cannot be written.
        WeightsError: The weights are missing or altered.
        UsageError: A setting is invalid.

    """
    settings, clip = settings or RestoreSettings(crops="all"), clip or ClipSettings()
    progress = progress or Silent()
    if settings.mode != "both" or settings.crops != "all":
        raise UsageError(
            f"the demo does not support mode {settings.mode} with crops {settings.crops}",
            hint="It requires frames and single faces: choose mode both and crops all.",
        )
    with _folder(Path(out), force=settings.force) as folder:
        build_clip(folder / CLIP, clip, progress)
        result = restore([folder / CLIP], folder, settings, progress).results[0]
        if result.error is not None:
            raise result.error
        assert result.output is not None
        people = match_people(result.output, clip)
        write_image(folder / SHEET, draw_sheet(people, clip))
        return DemoResult(
            clip=folder / CLIP,
            restored=result,
            video=result.output / "restored.mp4",
            sheet=folder / SHEET,
            faces=len(WALKS) * clip.frames,
            detected=len(people),
        )


@contextmanager
def _folder(out: Path, *, force: bool) -> Iterator[Path]:
    """Provide the folder of results; remove a new folder if the block raises an error."""
    try:
        if out.is_dir() and any(out.iterdir()) and not force:
            raise OutputError(
                "the folder already exists and is not empty",
                where=out,
                hint="Add --force to replace an earlier demo in it, or choose another --out.",
            )
        created = not out.exists()
        _check_earlier(out)
        out.mkdir(parents=True, exist_ok=True)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"this folder cannot be used ({error.strerror or error})",
            where=out,
            hint="Choose another --out.",
        ) from error
    try:
        yield out
    except BaseException:
        if created:
            _remove_demo(out)
        raise


def _remove_demo(out: Path) -> None:
    """Remove what the demo has written, and the folder if it holds nothing else."""
    result = out / Path(CLIP).stem
    unfinished = out / HIDDEN_NAME.format(result.name)
    for folder in (unfinished, out / HIDDEN_FOLDER, *([result] if is_valid_result(result) else [])):
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        for file in (CLIP, SHEET):
            (out / file).unlink(missing_ok=True)
        clear_partials(out)
        out.rmdir()


def _check_earlier(out: Path) -> None:
    """Check that the files that the demo replaces are those of an earlier one.

    Raises:
        OutputError: They are not.

    """
    clip, sheet = out / CLIP, out / SHEET
    result = out / clip.stem
    if not os.path.lexists(clip) and not os.path.lexists(sheet):
        return
    known = read_manifest(result).get("input") if is_valid_result(result) else None
    with suppress(InputError):
        if isinstance(known, dict) and known.get("sha256") == sha256_file(clip):
            return
    raise OutputError(
        f"{CLIP} or {SHEET} is here and not of an earlier demo",
        where=out,
        hint="Move it away, or choose another --out.",
    )
