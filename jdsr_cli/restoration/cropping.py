"""`crop_faces`: find, align and export the faces of videos and images as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.evidence import (
    FaceRecord,
    Manifest,
    RecordWriter,
    TableWriter,
    describe_device,
    mark,
    sha256_file,
    table_row,
)
from jdsr_cli.faces import TEMPLATE_SIZE, Alignment, Detection, Detector
from jdsr_cli.media import Frame, Reader, open_reader, write_image
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.restoration.batch_run import Work, run_inputs
from jdsr_cli.restoration.clock import StageClock
from jdsr_cli.restoration.engine import describe_detector, open_detector
from jdsr_cli.restoration.finishing import describe_face, face_name
from jdsr_cli.restoration.places import MANIFEST, RECORDS
from jdsr_cli.restoration.reading import describe_media, frame_task
from jdsr_cli.restoration.settings import CropSettings
from jdsr_cli.restoration.summary import InputResult, RunSummary
from jdsr_cli.restoration.tally import Tally
from jdsr_cli.restoration.windows import examine_frames
from jdsr_cli.weights import resolve_device

TABLE = "faces.csv"


def crop_faces(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: CropSettings | None = None,
    progress: Progress | None = None,
) -> RunSummary:
    """Export the aligned faces of videos and images.

    Each input gets the folder `out/<stem>/` with one PNG for each face, aligned to the training
    template, `faces.csv` (their landmarks, as the training code reads them), `faces.jsonl` (a
    record for each face found, refused ones included) and `manifest.json`. With crops of 128
    pixels such a folder can be trained on.

    Args:
        inputs: Videos, images, folders of them, and globs.
        out: Folder for the results.
        settings: Default: crops of 128 pixels of every frame.
        progress: Told of what is done.

    Returns:
        What became of each input; exported faces count as `faces_restored`.

    Raises:
        UsageError: A setting cannot work; `DeviceError` where the device is not there.
        OutputError: Nothing can be written in `out`.
        WeightsError: The detector's weights are missing or altered.

    """
    chosen, told = settings or CropSettings(), progress or Silent()

    def prepare() -> Work:
        detector = open_detector(chosen, told)
        return partial(_crop_footage, detector=detector, settings=chosen, progress=told)

    return run_inputs(inputs, Path(out), prepare, told, force=chosen.force)


def _crop_footage(
    source: Path, folder: Path, detector: Detector, settings: CropSettings, progress: Progress
) -> InputResult:
    """Export the faces of one input into `folder`, which exists and is empty."""
    clock = StageClock()
    with clock.stage("hash"):
        original = mark(source)
    with open_reader(source) as reader:
        tally = _run(reader, folder, detector, settings, clock, progress)
        info, notes = reader.info, tuple(reader.report.warnings)
    counts = tally.counts(None)
    counts.check(source)
    with clock.stage("hash"):
        outputs = tuple(mark(folder / name, name) for name in (RECORDS, TABLE))
    seconds = clock.report()
    manifest = Manifest(
        command="crop-faces",
        input=original,
        media=describe_media(info),
        outputs=outputs,
        settings=asdict(settings),
        detector=describe_detector(detector),
        weights=None,
        device=describe_device(resolve_device(settings.device)),
        counts=asdict(counts),
        seconds=seconds,
        notes=notes,
    )
    manifest.write(folder / MANIFEST)
    return InputResult(source, counts=counts, notes=notes, seconds=seconds)


def _run(
    reader: Reader,
    folder: Path,
    detector: Detector,
    settings: CropSettings,
    clock: StageClock,
    progress: Progress,
) -> Tally:
    tally, table = Tally(), TableWriter(folder / TABLE)
    with frame_task(progress, reader.info) as advance, RecordWriter(folder / RECORDS) as records:
        examined = examine_frames(
            _each(clock.timed("read", reader), settings.every, tally, advance),
            detector,
            clock,
            side=settings.size,
            min_face=settings.min_face,
        )
        for item in examined:
            rows = []
            for number, candidate in enumerate(item.candidates, 1):
                record = describe_face(item.frame, number, candidate, "refused")
                if candidate.crop is not None and candidate.alignment is not None:
                    name = f"{reader.info.path.stem}_{face_name(item.frame.index, number)}"
                    with clock.stage("crops"):
                        record = _export(folder / name, candidate.crop, record)
                    points = _crop_points(candidate.detection, candidate.alignment, settings.size)
                    rows.append(table_row(Path(name).stem, record, points))
                elif candidate.refusal is not None:
                    record = replace(record, reason=candidate.refusal.reason)
                tally.add(record, candidate.refusal)
                records.write(record)
            table.write(rows)
    return tally


def _each(
    frames: Iterable[Frame], step: int, tally: Tally, advance: Callable[[], None]
) -> Iterator[Frame]:
    """Pass each `step`-th frame on and count all of them."""
    for frame in frames:
        tally.frames += 1
        advance()
        if frame.index % step == 0:
            yield frame


def _export(path: Path, crop: NDArray[np.uint8], record: FaceRecord) -> FaceRecord:
    write_image(path, crop)
    return replace(record, status="exported", file=path.name, sha256=sha256_file(path))


def _crop_points(detection: Detection, alignment: Alignment, size: int) -> NDArray[np.float64]:
    """Return the five points in pixels of a crop of `size`, (5, 2)."""
    ones = np.ones((len(detection.points), 1))
    template = np.hstack([detection.points, ones]) @ alignment.matrix.T
    points: NDArray[np.float64] = (template + 0.5) * (size / TEMPLATE_SIZE) - 0.5
    return points
