"""Check of decoded frames: they are hashed again and compared with the stored hashes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from jdsr_cli.evidence.manifest import MANIFEST
from jdsr_cli.evidence.verification.findings import Finding
from jdsr_cli.evidence.verification.origins import find_input
from jdsr_cli.evidence.verification.stored_result import VIDEO_SUFFIXES, StoredResult, shown
from jdsr_cli.media import FrameHashes
from jdsr_cli.restoration.hashed_frames import HASHED_KINDS, INPUT_HASHES, SUFFIX, not_written
from jdsr_cli.restoration.sinks import RESTORED
from jdsr_cli.temporary_folders import TemporaryFolder


def check_frames(result: StoredResult) -> Iterator[Finding]:
    """Decode the videos whose frames were hashed, and compare the hashes."""
    hashed = [name for name in result.sizes if Path(name).suffix == SUFFIX and "/" not in name]
    yield from _not_hashed(result, hashed)
    for name in hashed:
        if name == INPUT_HASHES:
            files = find_input(result)
            media = result.manifest.get("media")
            stream = media.get("stream") if isinstance(media, dict) else None
            video = files[0] if len(files) == 1 else None
        else:
            names = [Path(name).stem + suffix for suffix in VIDEO_SUFFIXES]
            video = next((result.path(one) for one in names if one in result.sizes), None)
            stream = 1
            if not result.left_out.isdisjoint(names):
                what = "its video was left out of the bundle, and its frames cannot be compared"
                yield Finding("problem", name, what)
                continue
        if video is None:
            yield Finding("note", name, "its video is not here, and was not decoded")
        else:
            yield from _compare(result, name, video, stream if type(stream) is int else 1)


def _not_hashed(result: StoredResult, hashed: Sequence[str]) -> Iterator[Finding]:
    """Name the videos without hashes of their frames, where the manifest does not say why."""
    if result.schema_version is None or not result.manifest:
        if not hashed:
            yield Finding("note", MANIFEST, "no frames are hashed")
        return
    media, notes = result.manifest.get("media"), result.manifest.get("notes")
    kind = media.get("kind") if isinstance(media, dict) else None
    notes = notes if isinstance(notes, list) else []
    expected = [INPUT_HASHES] if kind in HASHED_KINDS else []
    files = {*result.sizes, *(one.file for one in result.recorded_sums)}
    expected += (
        [RESTORED + SUFFIX] if any(RESTORED + end in files for end in VIDEO_SUFFIXES) else []
    )
    for name in expected:
        if name in hashed:
            continue
        reason = not_written(name)
        said = [one for one in notes if isinstance(one, str) and one.startswith(reason)]
        if said:
            yield Finding("note", name, f"no frames are hashed: {shown(said[0])}")
        elif name not in files:
            what = "is missing: no frames are hashed, and no note of the manifest says why"
            yield Finding("problem", name, what)
    if not expected and not hashed:
        yield Finding("note", MANIFEST, "no frames are hashed: there is no video")


def _compare(result: StoredResult, name: str, video: Path, stream: int) -> Iterator[Finding]:
    with TemporaryFolder() as folder:
        target = folder.path / "now"
        hashes = FrameHashes(video, target, max(1, stream))
        task = f"{result.folder.name}: {name} (frames)"
        result.progress.begin(task, None)
        try:
            reason = hashes.wait(lambda frames: result.progress.advance(task, frames))
        finally:
            hashes.stop()
            result.progress.end(task)
        if reason is not None:
            what = f"ffmpeg cannot decode {shown(video.name)} ({reason})"
            yield Finding("problem", name, what)
            return
        with target.open("rb") as now:
            difference = _difference(result.lines(name), now, shown(video.name))
    if difference is not None:
        yield Finding("problem", name, *difference)
    else:
        yield Finding("note", name, f"all frames of {shown(video.name)} are as recorded")


def _difference(
    stored: Iterable[tuple[int, bytes]], now: Iterable[bytes], video: str
) -> tuple[str, int | None] | None:
    """Return what differs first and in which line; None if nothing does."""
    frame = 0
    for before, line in zip_longest(stored, now):
        is_header = b"#" in ((before or (0, line))[1][:1], (line or b"")[:1])
        if before is None or line is None:
            if is_header:
                return f"the header has {'more' if before is None else 'fewer'} lines now", None
            count = "more" if before is None else "fewer"
            return f"{video} has {count} frames, from frame {frame} on", None
        number, old = before
        if old != line and is_header:
            text = shown(line.decode("utf-8", "replace").strip())
            return f"the header of the frames of {video} is now: {text}", number
        if old != line:
            return f"frame {frame} of {video} is decoded to another picture or time", number
        frame += not is_header
    return None
