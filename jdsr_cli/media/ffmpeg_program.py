"""The ffmpeg program of imageio-ffmpeg: where it is, and what its messages say.

It is another build of FFmpeg than that of PyAV. It salvages broken files and hashes frames; frames
are never read through it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence

import imageio_ffmpeg

from jdsr_cli.media.containers import FORMATS

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
