"""`demo`: render a clip, restore it and compare the result with the photographs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jdsr_cli.demo.clip import WALKS, ClipSettings, build_clip
from jdsr_cli.demo.contact_sheet import draw_sheet, find_people
from jdsr_cli.errors import OutputError, UsageError
from jdsr_cli.media import write_image
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.restoration import InputResult, restore
from jdsr_cli.settings import RestoreSettings

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
    found: int
    """Number of them that were detected."""


def demo(
    out: str | Path,
    settings: RestoreSettings | None = None,
    clip: ClipSettings | None = None,
    progress: Progress | None = None,
) -> DemoResult:
    """Render a clip like that of a surveillance camera, restore it and compare it with the truth.

    Two people from photographs that installed packages ship walk towards the camera, one masked
    throughout and one from the middle on. Nothing is downloaded. Written into `out`:
    `clip.mp4`, `clip/` (what `restore` makes of it) and `contact-sheet.png`. Where the demo
    fails, a folder that it made is removed again.

    Args:
        out: Folder for the results.
        settings: Settings of the restoration; they require frames and all crops (mode `both`,
            crops `all`), as the default does. `force` allows `out` to exist, and replaces an
            earlier demo in it.
        clip: Settings of the clip; default: 60 frames of 480x270.
        progress: Receives the progress.

    Raises:
        OutputError: `out` is not empty, or cannot be written.
        WeightsError: The weights are missing or altered.
        UsageError: A setting is invalid.

    """
    chosen, filmed = settings or RestoreSettings(crops="all"), clip or ClipSettings()
    reporter = progress or Silent()
    if chosen.mode != "both" or chosen.crops != "all":
        raise UsageError(
            f"the demo cannot be made in mode {chosen.mode} with crops {chosen.crops}",
            hint="It shows frames and single faces: choose mode both and crops all.",
        )
    with _folder(Path(out), force=chosen.force) as folder:
        build_clip(folder / CLIP, filmed, reporter)
        result = restore([folder / CLIP], folder, chosen, reporter).results[0]
        if result.error is not None:
            raise result.error
        assert result.output is not None
        people = find_people(result.output, filmed)
        write_image(folder / SHEET, draw_sheet(people, filmed))
        return DemoResult(
            clip=folder / CLIP,
            restored=result,
            video=next(result.output.glob("restored.*")),
            sheet=folder / SHEET,
            faces=len(WALKS) * filmed.frames,
            found=len(people),
        )


@contextmanager
def _folder(out: Path, *, force: bool) -> Iterator[Path]:
    """Provide the folder of results; remove a new folder if the block raises an error."""
    try:
        if out.is_dir() and any(out.iterdir()) and not force:
            raise OutputError(
                "the folder exists already and is not empty",
                where=out,
                hint="Add --force to replace an earlier demo in it, or choose another --out.",
            )
        made = not out.exists()
        out.mkdir(parents=True, exist_ok=True)
    except OutputError:
        raise
    except OSError as fault:
        raise OutputError(
            f"this folder cannot be used ({fault.strerror or fault})",
            where=out,
            hint="Choose another --out.",
        ) from fault
    try:
        yield out
    except BaseException:
        if made:
            shutil.rmtree(out, ignore_errors=True)
        raise
