"""Where restored frames go: a video with the input's time stamps, or a still image."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import MediaError
from jdsr_cli.evidence import video_metadata
from jdsr_cli.media import Frame, MediaInfo, VideoWriter, write_image
from jdsr_cli.restoration.clock import StageClock
from jdsr_cli.restoration.finishing import PICTURE_METADATA
from jdsr_cli.restoration.framing import FramePlan
from jdsr_cli.restoration.settings import RestoreSettings

RESULT = "restored"
"""Stem of the restored video or image."""


class VideoSink:
    """Writes `restored.mp4` (or what the writer makes of it) frame by frame; a context manager.

    Its time is that of stage `write`.
    """

    def __init__(
        self,
        folder: Path,
        info: MediaInfo,
        plan: FramePlan,
        settings: RestoreSettings,
        clock: StageClock,
    ) -> None:
        self._writer = VideoWriter(
            folder / f"{RESULT}.mp4",
            info,
            plan.width,
            plan.height,
            codec=settings.codec,
            crf=settings.crf,
            metadata=video_metadata(),
        )
        self._clock = clock

    @property
    def path(self) -> Path:
        """Name of the finished file."""
        return self._writer.path

    @property
    def frames(self) -> int:
        """Frames that were encoded; complete, and compared with the file, after the exit."""
        return self._writer.frames

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be kept; complete after the exit."""
        return tuple(self._writer.warnings)

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def write(self, image: NDArray[np.uint8], frame: Frame) -> None:
        """Encode `image` at the time stamp of `frame`."""
        with self._clock.stage("write"):
            self._writer.write(image, frame.pts)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._clock.stage("write"):
            self._writer.__exit__(kind, error, trace)


class StillSink:
    """Writes `restored.png`; a context manager like `VideoSink`."""

    def __init__(self, folder: Path, clock: StageClock) -> None:
        self.path = folder / f"{RESULT}.png"
        self._clock = clock
        self.frames = 0
        self.warnings: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def write(self, image: NDArray[np.uint8], frame: Frame) -> None:
        """Store the only picture; `MediaError` where the input holds a second one."""
        if self.frames:
            raise MediaError("a still image with more than one picture", where=self.path)
        with self._clock.stage("write"):
            write_image(self.path, image, PICTURE_METADATA)
        self.frames += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is left to close."""


Sink = VideoSink | StillSink


def open_sink(
    folder: Path,
    info: MediaInfo,
    plan: FramePlan,
    settings: RestoreSettings,
    clock: StageClock,
) -> Sink | None:
    """Make the sink for an input, None where no frames are to be written."""
    if not settings.pastes:
        return None
    if info.kind == "image":
        return StillSink(folder, clock)
    return VideoSink(folder, info, plan, settings, clock)
