"""Decoding a video by PyAV: every packet accounted for, every fault told."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.buffer import Buffer
from av.container.input import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from jdsr_cli.errors import MediaError
from jdsr_cli.media.colour import (
    MATRICES,
    PRIMARIES,
    RANGES,
    TRANSFERS,
    matrix_in_use,
    tag_name,
    to_rgb,
)
from jdsr_cli.media.frames import Frame
from jdsr_cli.media.info import MediaInfo, MediaKind
from jdsr_cli.media.opening import open_container, video_stream
from jdsr_cli.media.orientation import UPRIGHT, Orientation, from_display_matrix
from jdsr_cli.media.timeline import Timeline

_COUNTING_FORMATS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "avi"})
"""Containers whose header holds the number of frames."""

_UNTIMED_FORMATS = frozenset({"h264", "hevc", "mjpeg", "m4v", "mpegvideo", "vc1", "obu"})
"""Elementary streams: any times that FFmpeg gives for them are made up."""

_PICTURE_PER_PACKET = frozenset({"h264", "hevc", "mpeg4", "mjpeg"})
"""Codecs in which every packet holds a picture to be shown."""

_DEFAULT_RATE = Fraction(25)
"""Frames per second where a file tells neither times nor rate."""

_SHORTFALL_SECONDS = Fraction(1, 2)
"""A file that ends this much before the end its header promises is reported."""

_MICROSECOND = Fraction(1, 1_000_000)


class VideoSource:
    """The decoded frames of a video file or of a GIF or APNG.

    Args:
        file: A file that exists and is not empty.
        frame_rate: Frames per second for a file without timestamps, None to take its own.
        animation_frames: Number of pictures, where the file is an animation.

    Raises:
        MediaError: Nothing in it can be decoded.

    """

    def __init__(
        self, file: Path, frame_rate: Fraction | None, *, animation_frames: int | None = None
    ) -> None:
        self._file = file
        self._container: InputContainer = open_container(file)
        self.corrupt = 0
        self.skipped = 0
        self._packets = 0
        self._discarded = 0
        self._delivered = 0
        self._resized = 0
        self._end = Fraction(0)
        self._faults: list[str] = []
        self._finished = False
        try:
            self._stream, count = video_stream(self._container, file)
            if count > 1:
                self._faults.append(f"the file holds {count} video streams; the first is read")
            self._stream.codec_context.thread_type = "AUTO"
            self._decoded = self._decode()
            self._first = next(self._decoded, None)
            if self._first is None:
                raise MediaError(
                    f"holds a {self._codec} stream of which no frame can be decoded",
                    where=file,
                    hint="Copy it again from the recorder.",
                )
            self._orientation = self._find_orientation(self._first)
            self.info = self._describe(self._first, frame_rate, animation_frames)
        except BaseException:
            self._container.close()
            raise
        self._promised_end = self._find_promised_end()
        self._timeline = Timeline(self.info.time_base, self.info.frame_rate)

    @property
    def _codec(self) -> str:
        return self._stream.codec_context.name

    def close(self) -> None:
        """Close the file."""
        self._decoded.close()
        self._container.close()

    def frames(self) -> Iterator[Frame]:
        """Yield every frame that can be decoded, upright, in order of time."""
        frame = self._first
        self._first = None
        matrix = matrix_in_use(self.info)
        width, height = self.info.width, self.info.height
        if self._orientation.swaps_sides:
            width, height = height, width
        while frame is not None:
            index = self._delivered
            if (frame.width, frame.height) != (width, height):
                self._resized += 1
            self.corrupt += int(frame.is_corrupt)
            stamp = frame.pts if frame.pts is not None else frame.dts
            pts = self._timeline.place(stamp) if self.info.timestamps else index
            image = self._orientation.apply(to_rgb(frame, matrix, width, height))
            self._delivered += 1
            yield Frame(index, pts, self.info.time_base, image)
            frame = next(self._decoded, None)
        self._finished = True

    def _decode(self) -> Generator[VideoFrame, None, None]:
        index = self._stream.index
        try:
            for packet in self._container.demux():
                if packet.stream_index != index:
                    self._note_end(packet)
                elif packet.size or packet.dts is not None:
                    self._note_end(packet)
                    self._packets += 1
                    self._discarded += int(packet.is_discard)
                    yield from self._frames_of(packet)
        except av.FFmpegError as exc:
            self._faults.append(f"reading stopped before the end of the file ({exc.strerror})")
        while True:
            before = self.skipped
            yield from self._frames_of(None)
            if self.skipped == before:
                return

    def _frames_of(self, packet: Packet[Stream] | None) -> list[VideoFrame]:
        """Decode one packet, or what the decoder still holds."""
        try:
            return self._stream.codec_context.decode(packet)
        except av.error.EOFError:
            return []
        except av.FFmpegError:
            self.skipped += 1
            return []

    def _note_end(self, packet: Packet[Stream]) -> None:
        if packet.pts is not None and packet.time_base:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._end = max(self._end, end)

    def _find_orientation(self, frame: VideoFrame) -> Orientation:
        side_data = cast("Mapping[SideDataType, Buffer]", frame.side_data)
        if not frame.rotation and SideDataType.DISPLAYMATRIX not in side_data:
            return UPRIGHT
        orientation, exact = from_display_matrix(bytes(side_data[SideDataType.DISPLAYMATRIX]))
        if not exact:
            self._faults.append("the rotation is no right angle; the nearest was taken")
        return orientation

    def _describe(
        self, frame: VideoFrame, frame_rate: Fraction | None, pictures: int | None
    ) -> MediaInfo:
        stream, context = self._stream, self._stream.codec_context
        orientation = self._orientation
        timestamped = frame.pts is not None or frame.dts is not None
        timestamps = timestamped and self._container.format.name not in _UNTIMED_FORMATS
        duration = self._header_duration()
        own_rate = stream.average_rate or stream.guessed_rate or context.framerate
        if pictures and duration:
            own_rate = pictures / duration
        rate = (own_rate if timestamps else frame_rate or context.framerate or own_rate) or None
        time_base = stream.time_base if timestamps else None
        if not timestamps:
            rate = rate or _DEFAULT_RATE
            time_base = 1 / rate
            self._faults.append(f"the file holds no timestamps; {float(rate):g} frames/s taken")
        width, height = frame.width, frame.height
        ratio = stream.sample_aspect_ratio or context.sample_aspect_ratio or Fraction(1)
        if orientation.swaps_sides:
            width, height, ratio = height, width, 1 / ratio
        name = self._container.format.name
        kind: MediaKind = "video"
        if pictures:
            kind = "animation"
        elif name.endswith("_pipe") or name == "image2":
            kind = "image"
        promised = pictures or (stream.frames if name in _COUNTING_FORMATS else 0)
        return MediaInfo(
            path=self._file,
            kind=kind,
            width=width,
            height=height,
            rotation=orientation.rotation,
            mirrored=orientation.mirrored,
            time_base=time_base or _MICROSECOND,
            timestamps=timestamps,
            frame_rate=rate,
            frames_promised=promised or None,
            duration=duration,
            container=name,
            codec=self._codec,
            pixel_format=frame.format.name,
            sample_aspect_ratio=ratio,
            colour_range=tag_name(RANGES, frame.color_range or context.color_range),
            colour_primaries=tag_name(PRIMARIES, frame.color_primaries),
            colour_transfer=tag_name(TRANSFERS, frame.color_trc),
            colour_matrix=tag_name(MATRICES, frame.colorspace),
            audio_streams=len(self._container.streams.audio),
        )

    def _header_duration(self) -> Fraction | None:
        stream: VideoStream = self._stream
        if stream.duration and stream.time_base:
            return stream.duration * stream.time_base
        total = self._container.duration
        return total * _MICROSECOND if total and total > 0 else None

    def _find_promised_end(self) -> Fraction | None:
        total = self._container.duration
        if not total or not self.info.timestamps:
            return None
        # Matroska states the end, the others the length from the first timestamp on.
        matroska = self._container.format.name.startswith("matroska")
        start = 0 if matroska else self._container.start_time or 0
        return (start + total) * _MICROSECOND

    def warnings(self) -> list[str]:
        """Return one sentence for each thing that was amiss so far."""
        found = [*self._faults, *self._timeline.warnings()]
        if self._resized:
            found.append(f"{self._resized} frames have another size than the first; resized to it")
        if self.corrupt:
            found.append(f"{self.corrupt} frames are marked as damaged by the decoder")
        if self.skipped:
            found.append(f"{self.skipped} packets could not be decoded")
        if self._finished:
            found.extend(self._shortfall())
        return found

    def _shortfall(self) -> Iterator[str]:
        delivered = self._delivered
        promised = self.info.frames_promised
        if promised is not None and delivered < promised - self._discarded:
            yield f"the header promises {promised} frames, the file held {delivered}"
        silent = self._packets - self._discarded - self.skipped - delivered
        if silent > 0 and self.info.codec in _PICTURE_PER_PACKET:
            yield f"{silent} of {self._packets} packets gave no picture of their own"
        end = self._promised_end
        if end is not None and end - self._end > _SHORTFALL_SECONDS:
            yield f"the header promises {float(end):.2f} s, the file held {float(self._end):.2f} s"
