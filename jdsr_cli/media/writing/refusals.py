"""FFmpeg's reason why a container refuses a track, for messages.

FFmpeg's functions return no more than a number; the reason is in its log. PyAV can receive that
only for the whole process, in which other threads decode: one that holds Python's lock while it
waits for a decoder would wait for ever if the decoder reported an error. The trial is therefore
repeated in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import av

from jdsr_cli.errors import MediaError
from jdsr_cli.media.slices import DataFile, FileSlice, path_of
from jdsr_cli.media.writing.containers import CONTAINER_NAMES, TrackKind
from jdsr_cli.media.writing.trials import try_again

_LONGEST_WAIT = 60
"""Seconds for the process."""
_UNKNOWN = "FFmpeg refuses it"
_PROGRAM = f"from {__name__} import print_reason; print_reason()"


def reason_against(container: str, tracks: Iterable[TrackKind]) -> str | None:
    """Return why a container refuses one of the tracks, None if it does so only for their codecs.

    Args:
        container: FFmpeg's name of the container.
        tracks: The sound and subtitles.

    """
    for track in tracks:
        if track.is_refused(container):
            noun = "sound" if track.type == "audio" else "subtitles"
            reason = _reason_of_refusal(track, container)
            return f"{CONTAINER_NAMES[container]} refuses the {noun} ({track.codec}): {reason}"
    return None


def in_brackets(track: TrackKind, container: str) -> str:
    """Return why a container refuses a track, in brackets; nothing if it does so for its codec."""
    refused = track.is_refused(container)
    return f" ({_reason_of_refusal(track, container)})" if refused else ""


def _reason_of_refusal(track: TrackKind, container: str) -> str:
    """Return why a container refuses a track, in FFmpeg's words."""
    file = track.file
    part = (file.start, file.end) if isinstance(file, FileSlice) else None
    trial = json.dumps([part, container, track.index, container not in track.refused])
    command = [sys.executable, "-P", "-c", _PROGRAM, str(path_of(file).absolute()), trial]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LONGEST_WAIT,
            check=True,
        )  # fmt: skip
        reason = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return _UNKNOWN
    return reason if isinstance(reason, str) else _UNKNOWN


def print_reason() -> None:
    """Repeat the trial that the arguments of the process describe, and print the reason as JSON."""
    path, trial = sys.argv[1:]
    part, container, index, decoded = json.loads(trial)
    file: DataFile = Path(path) if part is None else FileSlice(Path(path), *part)
    reason = _UNKNOWN
    av.logging.set_level(av.logging.ERROR)
    with av.logging.Capture(local=False) as messages:
        try:
            try_again(file, container, index, decoded=decoded)
        except (av.FFmpegError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or str(fault)
        except MediaError as fault:
            reason = fault.what
    if messages:
        text = " ".join(messages[-1][2].split())
        reason = "".join(char for char in text if char.isprintable()) or reason
    sys.stdout.write(json.dumps(reason))
