"""Read and write videos and pictures; the only package that uses PyAV."""

from __future__ import annotations

from jdsr_cli.media.exif import PictureExif
from jdsr_cli.media.frame_hashes import FrameHashes
from jdsr_cli.media.frames import DeepImage, Frame, Image, MediaInfo, MediaKind
from jdsr_cli.media.inputs import STANDARD_INPUT, expand_inputs, input_files
from jdsr_cli.media.later_recordings import LaterRecording
from jdsr_cli.media.reading.reader import Reader, ReadReport, open_reader, probe, read_image
from jdsr_cli.media.tone_mapping import sdr_header
from jdsr_cli.media.writing.formats import restored_header
from jdsr_cli.media.writing.joining import JoinedVideo, join_segments, plan_output
from jdsr_cli.media.writing.pictures import write_image
from jdsr_cli.media.writing.segments import SEGMENT_SUFFIX, SegmentWriter
from jdsr_cli.media.writing.writer import VideoWriter
from jdsr_cli.settings import Deinterlacing, ReadSettings

__all__ = [
    "SEGMENT_SUFFIX",
    "STANDARD_INPUT",
    "DeepImage",
    "Deinterlacing",
    "Frame",
    "FrameHashes",
    "Image",
    "JoinedVideo",
    "LaterRecording",
    "MediaInfo",
    "MediaKind",
    "PictureExif",
    "ReadReport",
    "ReadSettings",
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
    "restored_header",
    "sdr_header",
    "write_image",
]
