"""One input from its first frame to its manifest."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from jdsr_cli.evidence import Manifest, RecordWriter, mark
from jdsr_cli.media import Reader, open_reader
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.clock import StageClock
from jdsr_cli.restoration.engine import Engine, describe_detector
from jdsr_cli.restoration.finishing import FrameFinisher
from jdsr_cli.restoration.framing import FramePlan, plan_frames
from jdsr_cli.restoration.places import MANIFEST, RECORDS
from jdsr_cli.restoration.reading import describe_media, frame_task
from jdsr_cli.restoration.settings import RestoreSettings
from jdsr_cli.restoration.sinks import open_sink
from jdsr_cli.restoration.summary import Counts, InputResult
from jdsr_cli.restoration.windows import examine_frames, gather


def restore_footage(
    source: Path, folder: Path, engine: Engine, settings: RestoreSettings, progress: Progress
) -> InputResult:
    """Restore one video or image into `folder`, which exists and is empty.

    Raises:
        InputError: It cannot be read or decoded.
        OutputError: A result cannot be written.
        JdsrError: The counts do not add up.

    """
    clock = StageClock()
    with clock.stage("hash"):
        original = mark(source)
    with open_reader(source) as reader:
        info = reader.info
        plan = plan_frames(info.width, info.height, settings)
        made = _run(reader, folder, plan, engine, settings, clock, progress)
        notes = (*made.notes, *reader.report.warnings)
    made.counts.check(source)
    with clock.stage("hash"):
        outputs = tuple(mark(folder / name, name) for name in made.files)
    seconds = clock.report()
    manifest = Manifest(
        command="restore",
        input=original,
        media=describe_media(info),
        outputs=outputs,
        settings=asdict(settings) | {"frame_scale_used": plan.scale},
        detector=describe_detector(engine.detector),
        weights=engine.weights,
        device=engine.device,
        counts=asdict(made.counts),
        seconds=seconds,
        notes=notes,
    )
    manifest.write(folder / MANIFEST)
    return InputResult(source, counts=made.counts, notes=notes, seconds=seconds)


@dataclass(frozen=True)
class _Made:
    """What came of all frames of an input."""

    counts: Counts
    files: tuple[str, ...]
    notes: tuple[str, ...]


def _run(
    reader: Reader,
    folder: Path,
    plan: FramePlan,
    engine: Engine,
    settings: RestoreSettings,
    clock: StageClock,
    progress: Progress,
) -> _Made:
    """Take all frames through the stages."""
    sink = open_sink(folder, reader.info, plan, settings, clock)
    with ExitStack() as stack:
        if sink is not None:
            stack.enter_context(sink)
        advance = stack.enter_context(frame_task(progress, reader.info))
        records = stack.enter_context(RecordWriter(folder / RECORDS))
        finisher = FrameFinisher(folder, plan, settings, records, sink, clock)
        examined = examine_frames(
            clock.timed("read", reader),
            engine.detector,
            clock,
            side=engine.generator.side,
            min_face=settings.min_face,
        )
        for window in gather(examined, settings.batch):
            crops = [c.crop for item in window for c in item.candidates if c.crop is not None]
            with clock.stage("restore"):
                faces = iter(engine.generator.restore(crops))
            for item in window:
                finisher.finish(item, [next(faces) for _ in range(item.hopeful)])
                advance()
    tally = finisher.tally
    if sink is None:
        return _Made(tally.counts(None), (RECORDS,), ())
    notes = sink.warnings if plan.note is None else (plan.note, *sink.warnings)
    return _Made(tally.counts(sink.frames), (sink.path.name, RECORDS), notes)
