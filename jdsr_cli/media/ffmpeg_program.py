"""The ffmpeg program of imageio-ffmpeg: where it is, and what its messages say.

It is another build of FFmpeg than that of PyAV. It salvages broken files and hashes frames; frames
are never read through it.
"""

from __future__ import annotations

import errno
import os
import re

import imageio_ffmpeg

_ADDRESS = re.compile(r"\[[^\]]* @ 0x[0-9a-f]+\] ")
"""Prefix of ffmpeg's messages; it differs from run to run."""
_MAX_MESSAGE = 160
"""Maximum number of characters of ffmpeg's message that are reported."""


def find_program() -> str:
    """Return the path of the program.

    Raises:
        OSError, RuntimeError: It is not installed, or cannot be found.

    """
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def last_message(text: str) -> str:
    """Return the last line of ffmpeg's messages that is not empty, shortened, without addresses."""
    lines = [_ADDRESS.sub("", line).strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "nothing was found")[:_MAX_MESSAGE]


def check_disk(text: str) -> None:
    """Raise the error of a full disk if ffmpeg's messages state it.

    Raises:
        OSError: The disk is full (ENOSPC).

    """
    reason = os.strerror(errno.ENOSPC)
    if reason in text:
        raise OSError(errno.ENOSPC, reason)
