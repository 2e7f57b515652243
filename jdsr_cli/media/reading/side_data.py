"""Side data of decoded frames, as far as PyAV can read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

from av.buffer import Buffer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame

SideData: TypeAlias = Mapping[SideDataType, Buffer]
"""Side data of a frame by their type."""

_UNSAFE_CODECS = frozenset({"png", "apng"})
"""Codecs whose side data have a dictionary (the name of an ICC profile). PyAV 18.1 frees it with
the frame and once more with the side data, which ends the process."""


def side_data_of(frame: VideoFrame, codec: str) -> SideData | None:
    """Return the side data of a frame by type.

    Args:
        frame: The decoded frame.
        codec: Name of its codec.

    Returns:
        The side data; None if PyAV cannot read them: those of PNG, and those with a type that it
        does not know (the EXIF of a JPEG).

    """
    if codec in _UNSAFE_CODECS:
        return None
    try:
        return cast(SideData, frame.side_data)
    except ValueError:
        return None
