"""`jdsr eval --video` as a function: temporal figures of restored videos of one reference."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jdsr_cli.atomic import atomic_file, prepare_folder
from jdsr_cli.errors import DatasetError, OutputError
from jdsr_cli.evaluation.protocol import versions
from jdsr_cli.evaluation.video_faces import (
    GIVEN_PROTOCOL,
    PROTOCOL,
    ReferenceFaces,
    search_faces,
)
from jdsr_cli.evaluation.video_frames import ComparedVideo, MatchedVideos
from jdsr_cli.evaluation.video_metrics import FrameFaces, TrackScores, VideoMetrics
from jdsr_cli.evaluation.video_statistics import (
    VideoFigure,
    interval_protocol,
    summarise,
    unit_name,
)
from jdsr_cli.evidence import SUMS, sha256_file
from jdsr_cli.file_names import BYTES
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.reporting.folder import is_result
from jdsr_cli.settings import EvalSettings
from jdsr_cli.weights import resolve_device

TASK = "frames"
"""Name of the task in the progress."""
MATCHING = (
    "frame by frame, by index, pictures of folders by number; times after the first frame agree to "
    "half a frame where both videos have them; every face is cut out of each video by the "
    "similarity of the reference, scaled to the size of the video, and resampled once to 128x128, "
    "antialiased"
)


@dataclass(frozen=True)
class VideoComparison:
    """The figures of videos, and the paths of their files."""

    videos: Mapping[str, Mapping[str, VideoFigure]]
    """By the name of the video, the reference first, and by that of the figure."""
    frames: int
    tracks: int
    """Number of tracks with a pair of consecutive frames."""
    pairs: int
    """Number of such pairs."""
    results: Path
    per_track: Path
    faces: Path
    """Records of the faces of the reference."""

    @property
    def units(self) -> str:
        """Over what intervals are bootstrapped."""
        return unit_name(self.tracks)


def compare_videos(request: EvalSettings, progress: Progress | None = None) -> VideoComparison:
    """Measure how steady faces are in restored videos of one reference.

    Memory does not grow with the length of the videos, but for the figures of each pair of frames.

    Raises:
        UsageError: A video does not match the reference, see `MatchedVideos`.
        InputError: A video is missing or cannot be read.
        DatasetError: No face is seen in two consecutive frames, or the records of faces cannot be
            used.
        WeightsError: A network is missing or not usable.
        OutputError: The output folder cannot be written, or is a result of `restore` or
            `crop-faces`.

    """
    _refuse_result(request.out)
    request = replace(request, device=str(resolve_device(request.device)))
    progress = progress or Silent()
    metrics = VideoMetrics(request.identity, request.landmarks, request.device)
    prepare_folder(request.out)
    with MatchedVideos(request.data, request.video) as matched:
        for video in matched.videos:
            if video.damage is not None:
                progress.note(f"{video.path}: {video.damage}; the figures include such frames")
        records = request.faces
        if records is None:
            records = search_faces(request.data, request.out, request.device, progress)
        tracks = _measure(matched, ReferenceFaces(records), metrics, progress)
        if not tracks:
            raise DatasetError(
                "no face is found in two consecutive frames", where=request.data,
                hint="Temporal figures need a face that is seen for a while",
            )  # fmt: skip
        summary = summarise([np.stack(one.pairs) for one in tracks])
        videos = {
            video.name: {
                figure: value
                for figure, value in zip(metrics.figures, values, strict=True)
                if value is not None
            }
            for video, values in zip(matched.videos, summary, strict=True)
        }
        found = VideoComparison(
            videos, matched.reference.frames, len(tracks), sum(len(one.pairs) for one in tracks),
            request.out / "results.json", request.out / "scores.csv", records,
        )  # fmt: skip
        description = _description(request, matched, found, metrics)
    _write_results(found, description)
    _write_tracks(found.per_track, list(videos), metrics.figures, tracks)
    return found


def _refuse_result(out: Path) -> None:
    """Refuse an output folder whose records of faces belong to a result.

    Raises:
        OutputError: It is the folder of a result.

    """
    if is_result(out) or (out / SUMS).is_file():
        raise OutputError(
            "is a result of jdsr, whose files would be replaced",
            where=out, hint="Choose another folder with --out",
        )  # fmt: skip


def _measure(
    matched: MatchedVideos, stored: ReferenceFaces, metrics: VideoMetrics, progress: Progress
) -> list[TrackScores]:
    """Return the figures of the tracks with a pair of consecutive frames."""
    scores: dict[int, TrackScores] = {}
    before: dict[int, list[FrameFaces]] = {}
    progress.begin(TASK, matched.reference.frames)
    try:
        for frame in matched:
            here: dict[int, list[FrameFaces]] = {}
            for face in stored.faces(frame.index):
                crops = [
                    video.cut(image, face.alignment)
                    for video, image in zip(matched.videos, frame.images, strict=True)
                ]
                seen = metrics.describe(frame.time, face.alignment, crops)
                history = here[face.track] = [*before.get(face.track, [])[-2:], seen]
                track = scores.setdefault(
                    face.track, TrackScores(face.track, frame.index, frame.index)
                )
                track.add_frame(frame.index, seen.native_width)
                if len(history) > 1:
                    track.pairs.append(metrics.compare(history))
            before = here
            progress.advance(TASK)
    finally:
        progress.end(TASK)
    stored.check_end(matched.reference.frames)
    return [one for _, one in sorted(scores.items()) if one.pairs]


def _description(
    request: EvalSettings, matched: MatchedVideos, found: VideoComparison, metrics: VideoMetrics
) -> dict[str, Any]:
    return {
        "protocol": {
            **metrics.protocol,
            "faces": PROTOCOL if request.faces is None else GIVEN_PROTOCOL,
            "matching": MATCHING,
            "interval": interval_protocol(found.tracks),
        },
        "versions": versions(),
        "data": {
            "frames": found.frames,
            "tracks": found.tracks,
            "pairs": found.pairs,
            "faces_sha256": sha256_file(found.faces),
        },
        "videos": [_video_fields(video) for video in matched.videos],
    }


def _video_fields(video: ComparedVideo) -> dict[str, Any]:
    rate = video.info.frame_rate
    return {
        "name": video.name,
        "file": video.path.name,
        "sha256": sha256_file(video.path) if video.path.is_file() else None,
        "width": video.info.width,
        "height": video.info.height,
        "frame_rate": None if rate is None else round(float(rate), 6),
        "timestamps": video.info.timestamps,
        "damaged_frames": video.read.corrupt,
        "undecoded_packets": video.read.skipped,
    }


def _write_results(found: VideoComparison, description: Mapping[str, Any]) -> None:
    results = [
        {"video": name, "figures": {figure: asdict(value) for figure, value in figures.items()}}
        for name, figures in found.videos.items()
    ]
    text = json.dumps({**description, "results": results}, indent=2, allow_nan=False)
    with atomic_file(found.results) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def _write_tracks(
    path: Path, videos: Sequence[str], figures: Sequence[str], tracks: Sequence[TrackScores]
) -> None:
    """Write a line for each track and video: the means over its pairs, empty without a value."""
    columns = ("video", "track", "first_frame", "last_frame", "frames", "pairs", "native_width")
    with (
        atomic_file(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors=BYTES) as file,
    ):
        writer = csv.writer(file)
        writer.writerow([*columns, *figures])
        for number, video in enumerate(videos):
            for track in tracks:
                values = np.stack(track.pairs)[:, number]
                defined = [column[~np.isnan(column)] for column in values.T]
                writer.writerow(
                    [
                        *(video, track.track, track.first_frame, track.last_frame, track.frames),
                        *(len(track.pairs), f"{track.width / track.frames:.2f}"),
                        *(f"{one.mean():.6f}" if len(one) else "" for one in defined),
                    ]
                )
