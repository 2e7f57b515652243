"""Hashes of the decoded frames of a video, as ``ffmpeg -f framemd5`` writes them.

The hash of a file changes when its container is repaired or its metadata are edited; the hashes of
its decoded frames do not, and they tell which frame was altered. Anybody can compute them again
with ffmpeg alone: `command` gives the arguments.

* Frames are hashed as they are stored (`-noautorotate`), each of them once (`-fps_mode
  passthrough`), with its own time (`-copyts -enc_time_base demux`).
* The header does not name the version of ffmpeg (`-fflags +bitexact`), so that the whole file can
  be compared.
* One thread decodes: what decoders make of damaged streams may depend on the number of threads.

Source: FFmpeg's documentation of the muxer `framemd5` (https://ffmpeg.org/ffmpeg-formats.html).
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from jdsr_cli.atomic import partial_name, publish
from jdsr_cli.media.ffmpeg_program import check_disk, find_program, last_message, limits

_POLL = 0.25
"""Seconds between two looks at the number of hashed frames."""
_CHUNK = 1 << 16
LARGEST_FRAME = 1 << 28
"""Pixels of the largest frame of a video that `jdsr restore` writes."""
_MESSAGES = 4096
"""Bytes at the end of ffmpeg's messages that are read."""


def command(file: str, target: str, stream: int = 1) -> list[str]:
    """Return the arguments of ffmpeg that hash the frames of a video.

    Args:
        file: The video.
        target: File of the hashes; `-` for standard output.
        stream: Number of the video stream, from 1, without cover pictures.

    """
    return [
        "-noautorotate", "-threads", "1", "-i", file, "-map", f"0:V:{stream - 1}",
        "-fps_mode", "passthrough", "-copyts", "-enc_time_base", "demux",
        "-fflags", "+bitexact", "-f", "framemd5", target,
    ]  # fmt: skip


class FrameHashes:
    """A process that hashes the decoded frames of a video; its memory is that of the decoder.

    It runs from now on; `wait` gives its result, and `stop` ends it. The file appears when all
    frames are hashed. Only the video itself is opened: demuxers and protocols are limited as in
    `media.containers`.

    Args:
        file: The video.
        target: The file of the hashes.
        stream: Number of the video stream, from 1.
        max_pixels: Largest number of pixels of a frame.

    """

    def __init__(
        self, file: Path, target: Path, stream: int = 1, max_pixels: int = LARGEST_FRAME
    ) -> None:
        self._target = target
        self._partial = partial_name(target)
        self._messages: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._fault = ""
        source, result = f"file:{file.absolute()}", f"file:{self._partial.absolute()}"
        try:
            arguments = [
                find_program(), "-nostdin", "-hide_banner", "-loglevel", "fatal", "-y",
                *limits(("file",), max_pixels),
                *command(source, result, stream),
            ]  # fmt: skip
            self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=self._messages, start_new_session=True,
            )  # fmt: skip
        except (OSError, RuntimeError) as fault:
            self._fault = last_message(str(fault))

    def wait(self, advance: Callable[[int], None] = lambda _: None) -> str | None:
        """Wait for the end.

        Args:
            advance: Receives the number of frames that were hashed since the last call.

        Returns:
            None if the file was written; otherwise why ffmpeg could not decode the video.

        Raises:
            OutputError: The file cannot be written.
            OSError: The disk is full.

        """
        process = self._process
        if process is None:
            self.stop()
            return self._fault
        frames = 0
        with _Growth(self._partial) as growth:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL)
                frames += (more := growth.new_frames())
                advance(more)
                if process.returncode is not None:
                    break
        assert self._messages is not None
        self._messages.seek(max(0, self._messages.seek(0, 2) - _MESSAGES))
        text = self._messages.read().decode("utf-8", "replace")
        try:
            check_disk(text)
            if process.returncode == 0 and frames:
                publish(self._partial, self._target)
                return None
        finally:
            self.stop()
        return last_message(text) if text.strip() else "no frame was decoded"

    def stop(self) -> None:
        """End the process if it runs, and remove what it has not finished."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._messages is not None:
            self._messages.close()
        with suppress(OSError):
            self._partial.unlink(missing_ok=True)


class _Growth:
    """Counts the frames in a file of hashes that is being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._in_comment = False
        self._at_start = True

    def __enter__(self) -> _Growth:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def new_frames(self) -> int:
        """Return the number of lines that were completed since the last call, without comments."""
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except OSError:
                return 0
        frames = 0
        while block := self._file.read(_CHUNK):
            frames += self._lines_in(block)
        return frames

    def _lines_in(self, block: bytes) -> int:
        frames = 0
        for part in block.splitlines(keepends=True):
            if self._at_start:
                self._in_comment = part.startswith(b"#")
            self._at_start = part.endswith(b"\n")
            frames += self._at_start and not self._in_comment
        return frames
