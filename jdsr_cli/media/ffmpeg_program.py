"""The ffmpeg program of imageio-ffmpeg: where it is, and what its messages say.

It is another build of FFmpeg than that of PyAV. It salvages broken files and hashes frames; frames
are never read through it.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress

import imageio_ffmpeg

from jdsr_cli.file_names import as_text
from jdsr_cli.media.containers import FORMATS
from jdsr_cli.parallel import check_stopped

_ADDRESS = re.compile(r"\[[^\]]* @ 0x[0-9a-f]+\] ")
"""Prefix of ffmpeg's messages; it differs from run to run."""
_POLL = 0.1
"""Seconds between two looks whether it is still wanted."""
_MAX_MESSAGE = 160
"""Maximum number of characters of ffmpeg's message that are reported."""


def find_program() -> str:
    """Return the path of the program.

    Raises:
        OSError, RuntimeError: It is not installed, or cannot be found.

    """
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def limits(protocols: Sequence[str], max_pixels: int) -> list[str]:
    """Return the arguments before the input that bound what is opened and decoded.

    Args:
        protocols: FFmpeg's names of the protocols that are allowed.
        max_pixels: Largest number of pixels of a frame.

    """
    return [
        "-protocol_whitelist", ",".join(protocols), "-format_whitelist", FORMATS,
        "-max_pixels", str(max_pixels),
    ]  # fmt: skip


def run_program(command: Sequence[str], seconds: float) -> tuple[bool, str]:
    """Run ffmpeg with a time limit; an exception, or the end of this stage, ends it as well.

    It has a session of its own, so that Ctrl-C reaches it through this process alone.

    Args:
        command: Its command line.
        seconds: The time limit.

    Returns:
        Whether it succeeded, and its messages.

    Raises:
        OSError: It cannot be started.

    """
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=messages,
            start_new_session=True,
        )  # fmt: skip
        end = time.monotonic() + seconds
        try:
            while process.poll() is None:
                check_stopped()
                if time.monotonic() > end:
                    return False, f"stopped after {seconds:.0f} s"
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL)
        finally:
            process.kill()
            process.wait()
        messages.seek(0)
        return process.returncode == 0, messages.read().decode("utf-8", "replace")


def last_message(text: str) -> str:
    """Return the last line of ffmpeg's messages that is not empty, shortened, without addresses.

    They quote texts of the file, whose control characters are quoted here.
    """
    lines = [_ADDRESS.sub("", line).strip() for line in text.splitlines() if line.strip()]
    return as_text(lines[-1] if lines else "nothing was found")[:_MAX_MESSAGE]


def check_disk(text: str) -> None:
    """Raise the error of a full disk if ffmpeg's messages state it.

    Raises:
        OSError: The disk is full (ENOSPC).

    """
    reason = os.strerror(errno.ENOSPC)
    if reason in text:
        raise OSError(errno.ENOSPC, reason)
