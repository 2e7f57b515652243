"""Reading and writing of video and pictures; the only room that knows PyAV."""

from __future__ import annotations

from jdsr_cli.media.frames import Frame, Image
from jdsr_cli.media.info import MediaInfo, MediaKind
from jdsr_cli.media.inputs import expand_inputs
from jdsr_cli.media.reader import Reader, ReadReport, open_reader, probe
from jdsr_cli.media.stills import read_image, write_image
from jdsr_cli.media.writer import VideoWriter

__all__ = [
    "Frame",
    "Image",
    "MediaInfo",
    "MediaKind",
    "ReadReport",
    "Reader",
    "VideoWriter",
    "expand_inputs",
    "open_reader",
    "probe",
    "read_image",
    "write_image",
]
