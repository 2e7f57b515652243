"""Reading and writing of video and pictures; the only room that knows PyAV."""

from __future__ import annotations

from jdsr_cli.media.frames import Frame, Image
from jdsr_cli.media.info import MediaInfo, MediaKind
from jdsr_cli.media.inputs import expand_inputs
from jdsr_cli.media.joining import JoinedVideo, join_segments, plan_output
from jdsr_cli.media.reader import Reader, ReadReport, open_reader, probe
from jdsr_cli.media.segments import SEGMENT_SUFFIX, SegmentWriter
from jdsr_cli.media.sequence import input_files
from jdsr_cli.media.stills import read_image, write_image
from jdsr_cli.media.writer import VideoWriter

__all__ = [
    "SEGMENT_SUFFIX",
    "Frame",
    "Image",
    "JoinedVideo",
    "MediaInfo",
    "MediaKind",
    "ReadReport",
    "Reader",
    "SegmentWriter",
    "VideoWriter",
    "expand_inputs",
    "input_files",
    "join_segments",
    "open_reader",
    "plan_output",
    "probe",
    "read_image",
    "write_image",
]
