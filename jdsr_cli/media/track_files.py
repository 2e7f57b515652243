"""Opening an input for its sound and subtitles, and telling what each of its tracks is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.stream import Disposition, Stream

from jdsr_cli.media.opening import open_container

_SAFE = {"protocol_whitelist": "file", "pattern_type": "none"}
"""Options that keep FFmpeg from opening other files than the one that is named."""

_FAR = {"probesize": str(500 * 2**20), "analyzeduration": str(600 * 1_000_000)}
"""Bytes and microseconds in which a late sound track is looked for."""


def open_tracks(file: Path) -> InputContainer:
    """Open a file, searching it further where a sound track begins too late to be known.

    Raises:
        MediaError: It cannot be opened.

    """
    container = open_container(file)
    if not any(is_blank(stream) for stream in container.streams.audio):
        return container
    container.close()
    try:
        return av.open(
            str(file.absolute()),
            mode="r",
            container_options={**_SAFE, **_FAR},
            metadata_errors="replace",
        )
    except (av.FFmpegError, ValueError, OSError):
        return open_container(file)


def is_blank(stream: Stream) -> bool:
    """Whether a sound track is announced whose format is not known."""
    return isinstance(stream, AudioStream) and not (
        stream.codec_context and stream.codec_context.sample_rate
    )


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a cover picture, which is no video."""
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def label_of(stream: Stream) -> str:
    """Return the name of a track that is left out."""
    texts: Mapping[str, str] = stream.metadata
    if stream.type == "attachment":
        return texts.get("filename", "unnamed")
    context = stream.codec_context
    if context is not None:
        return context.codec.canonical_name
    return getattr(stream, "name", None) or "unknown codec"
