"""The public functions: restore faces, export faces, and plan such runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jdsr_cli.errors import JdsrError, UsageError
from jdsr_cli.media import MediaInfo, expand_inputs, probe
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.reporting import list_results
from jdsr_cli.restoration.input_bytes import InputBytes
from jdsr_cli.restoration.models import Models, open_models
from jdsr_cli.restoration.pipeline import run_pipeline
from jdsr_cli.restoration.result_names import ResultNames
from jdsr_cli.restoration.stages.reading import expected_frames, make_request
from jdsr_cli.restoration.summary import PlannedInput, RunPlan, RunSummary
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import CropSettings, DetectionSettings, ExecutionSettings, RestoreSettings
from jdsr_cli.temporary_folders import TemporaryFolder

SAMPLE_FRAMES = 24
"""Number of frames on which the speed is measured."""
MAX_SAMPLES = 8
"""Number of kinds of inputs that are measured; others get no estimate."""


def restore(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: RestoreSettings | None = None,
    progress: Progress | None = None,
    execution: ExecutionSettings | None = None,
) -> RunSummary:
    """Restore the faces in videos and images.

    Each input gets the folder `out/<stem>/` with `restored.mp4` or `restored.png` (restored faces
    in enlarged frames), `faces/*.png` (the best pictures of each person, input on the left,
    restored on the right, and one fused from several frames), `tracks.jsonl` (a record for each
    track of a person), `faces.jsonl` (a record for each face in each frame), `manifest.json`,
    `report.html` and `SHA256SUMS`; of a video also `input.framemd5` and `restored.framemd5` (hashes
    of its decoded frames). Two or more results in `out` get the list `out/index.html`. The folder
    appears when it is complete; inputs are never changed. An interrupted run continues with
    `resume`.

    Args:
        inputs: Videos, images, image sequences, folders of them, and globs.
        out: Folder for the results.
        settings: Default: enlargement by 4, frames and crops, the device's default weights.
        progress: Receives the progress of each input.
        execution: Number and place of processes. Default: everything runs in the calling process.

    Returns:
        The result of each input. An input that fails does not stop the others.

    Raises:
        UsageError: A setting is not valid for an input, or two settings contradict each other.
        DeviceError: The device is not available.
        OutputError: Nothing can be written in `out`.
        WeightsError: A weight file is missing or altered.

    Examples:
        >>> from jdsr_cli import RestoreSettings, restore
        >>> summary = restore(["photo.png"], "results", RestoreSettings(device="cpu"))
        >>> sorted(path.name for path in summary.results[0].output.glob("*.*"))
        ['faces.jsonl', 'manifest.json', 'report.html', 'restored.png', 'tracks.jsonl']

    """
    return _run(inputs, Path(out), settings or RestoreSettings(), progress or Silent(), execution)


def crop_faces(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: CropSettings | None = None,
    progress: Progress | None = None,
    execution: ExecutionSettings | None = None,
) -> RunSummary:
    """Export the aligned faces of videos and images.

    Each input gets the folder `out/<stem>/` with one PNG for each face, aligned to the training
    template, `faces.csv` (their landmarks, in the format that training reads), `faces.jsonl` (a
    record for each face, refused ones included), `tracks.jsonl` (one for each track of a person),
    `manifest.json`, `SHA256SUMS` and, of a video, `input.framemd5`. With crops of 128 pixels such a
    folder can be used for training.

    Args:
        inputs: Videos, images, image sequences, folders of them, and globs.
        out: Folder for the results.
        settings: Default: crops of 128 pixels of every frame.
        progress: Receives the progress of each input.
        execution: Number and place of processes. Default: everything runs in the calling process.

    Returns:
        The result of each input; exported faces count as `faces_restored`.

    Raises:
        UsageError: A setting is not valid for an input, or two settings contradict each other.
        DeviceError: The device is not available.
        OutputError: Nothing can be written in `out`.
        WeightsError: The weights of the detector are missing or altered.

    Examples:
        >>> from jdsr_cli import CropSettings, crop_faces
        >>> summary = crop_faces(["photo.png"], "crops", CropSettings(size=256, device="cpu"))
        >>> summary.results[0].counts.faces_restored
        1

    """
    return _run(inputs, Path(out), settings or CropSettings(), progress or Silent(), execution)


def _run(
    inputs: Sequence[str | Path],
    out: Path,
    settings: DetectionSettings,
    progress: Progress,
    execution: ExecutionSettings | None,
) -> RunSummary:
    execution = execution or ExecutionSettings()
    execution.check(settings)
    _check_verify(settings)
    if execution.in_process:
        summary = run_pipeline(inputs, out, settings, progress)
    else:
        from jdsr_cli.execution.runs import run_inputs  # it imports this package

        summary = run_inputs(inputs, out, settings, execution, progress)
    if isinstance(settings, RestoreSettings) and settings.report and summary.done:
        list_results(out, progress)
    return summary


def plan_restore(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: RestoreSettings | None = None,
    progress: Progress | None = None,
) -> RunPlan:
    """Return what `restore` would do with these arguments, without writing into `out`.

    Raises:
        UsageError: As `restore`.
        WeightsError: As `restore`.

    Examples:
        >>> from jdsr_cli import RestoreSettings, plan_restore
        >>> plan = plan_restore(["photo.png"], "results", RestoreSettings(device="cpu"))
        >>> plan.inputs[0].output.name, plan.inputs[0].seconds > 0
        ('photo', True)

    """
    return _plan(inputs, Path(out), settings or RestoreSettings(), progress or Silent())


def plan_crops(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: CropSettings | None = None,
    progress: Progress | None = None,
) -> RunPlan:
    """Return what `crop_faces` would do with these arguments, without writing into `out`.

    Raises:
        UsageError: As `crop_faces`.
        WeightsError: As `crop_faces`.

    Examples:
        >>> from jdsr_cli import CropSettings, plan_crops
        >>> plan = plan_crops(["photo.png"], "results", CropSettings(device="cpu"))
        >>> plan.inputs[0].output.name, plan.inputs[0].seconds > 0
        ('photo', True)

    """
    return _plan(inputs, Path(out), settings or CropSettings(), progress or Silent())


def _plan(
    inputs: Sequence[str | Path], out: Path, settings: DetectionSettings, progress: Progress
) -> RunPlan:
    _check_verify(settings)
    paths, faults = expand_inputs([str(item) for item in inputs], progress.note, out)
    failed = tuple(
        PlannedInput(Path(fault.where or ""), out, "failed", error=fault) for fault in faults
    )
    if not paths:
        return RunPlan(failed)
    planner = _Planner(settings, open_models(settings, progress))
    planned = []
    progress.begin("plan", len(paths))
    for path, name in zip(paths, ResultNames(out).look_up(paths), strict=True):
        planned.append(planner.plan(path, Workspace(out, name, path)))
        progress.advance("plan")
    progress.end("plan")
    return RunPlan((*failed, *planned))


def _check_verify(settings: DetectionSettings) -> None:
    if settings.verify and not settings.resume:
        raise UsageError(
            "compares what an earlier run has finished",
            where="--verify",
            hint="Add --resume; the command `jdsr verify` compares results without a run.",
        )


@dataclass(frozen=True)
class _Cost:
    """Measured cost of one kind of input."""

    seconds: float
    """Seconds per frame."""
    bytes: float
    """Bytes of results per frame."""


class _Planner:
    """Plans inputs; measures the cost on the first frames of the first input of each kind."""

    def __init__(self, settings: DetectionSettings, models: Models) -> None:
        self._settings = settings
        self._models = models
        self._costs: dict[tuple[str, int, int], _Cost | None] = {}

    def plan(self, path: Path, workspace: Workspace) -> PlannedInput:
        """Return what a run would do with an input."""
        settings, final = self._settings, workspace.final
        try:
            info = probe(path, settings.reading)
            sha256 = InputBytes(path).digest.sha256
            request = make_request(settings, self._models, sha256)
            done = workspace.inspect(
                request, force=settings.force, resume=settings.resume, hashes=settings.verify
            )
            size = (info.width, info.height)
            if done is None:
                return PlannedInput(path, final, "done", 0, info.frames_promised, size, 0.0)
            notes = () if workspace.redone is None else (workspace.redone,)
            frames = expected_frames(info, settings.reading)
            cost = self._cost(path, info)
        except JdsrError as fault:
            return PlannedInput(path, final, "failed", error=fault)
        state = "resume" if done else "new"
        if cost is None or frames is None:
            return PlannedInput(path, final, state, done, frames, size, notes=notes)
        seconds = max(0, frames - done) * cost.seconds
        return PlannedInput(
            path, final, state, done, frames, size, seconds, round(frames * cost.bytes),
            notes=notes,
        )  # fmt: skip

    def _cost(self, path: Path, info: MediaInfo) -> _Cost | None:
        """Return the cost for inputs of this kind, None if it cannot be measured."""
        kind = (info.kind, info.width, info.height)
        if kind not in self._costs and len(self._costs) < MAX_SAMPLES:
            self._costs[kind] = self._measure(path)
        return self._costs.get(kind)

    def _measure(self, path: Path) -> _Cost | None:
        settings = replace(self._settings, force=False, resume=False)
        with TemporaryFolder() as folder:
            run = run_pipeline(
                [path], folder.path, settings, Silent(), models=self._models, limit=SAMPLE_FRAMES
            )
            (result,) = run.results
            if result.counts is None or not result.counts.frames_read or result.output is None:
                return None
            size = sum(file.stat().st_size for file in result.output.rglob("*") if file.is_file())
            frames = result.counts.frames_read
            return _Cost(result.seconds["total"] / frames, size / frames)
