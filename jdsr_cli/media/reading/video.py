"""Read a video: decode, deinterlace, assign times and select the requested part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path

from av.container.input import InputContainer
from av.video.frame import VideoFrame

from jdsr_cli.errors import InputError
from jdsr_cli.media.deep_frames import to_deep_rgb
from jdsr_cli.media.frames import (
    TRANSPARENT_NOTE,
    DeepImage,
    Image,
    MediaInfo,
    PendingFrame,
    Pixels,
    depth_warning,
    matrix_in_use,
    reshaped_warning,
    resized_warning,
    to_rgb,
)
from jdsr_cli.media.geometry import fit
from jdsr_cli.media.inputs import choose_stream
from jdsr_cli.media.reading.decoding import PacketDecoder, Timeline
from jdsr_cli.media.reading.deinterlacing import Deinterlaced, Deinterlacer
from jdsr_cli.media.reading.hardware import describe_decoding, open_for_decoding, undecodable
from jdsr_cli.media.reading.header import ColourTags, OpenedVideo, read_header
from jdsr_cli.media.reading.leftovers import Leftovers
from jdsr_cli.media.reading.pictures import PictureCount
from jdsr_cli.media.reading.presentation import FrameOrigin
from jdsr_cli.media.reading.salvage import SalvagedCopy
from jdsr_cli.media.reading.trimming import TRIM_IGNORED, TrimWindow
from jdsr_cli.media.slices import FileSlice, size_of
from jdsr_cli.media.tone_mapping import describe_mapping, tone_mapping_of
from jdsr_cli.settings import Deinterlacing, ReadSettings

_PICTURE_PER_PACKET = frozenset({"h264", "hevc", "mpeg4", "mjpeg"})
"""Codecs in which every packet contains a displayed picture."""

_WITH_EMPTY_FRAMES = "avi"
"""Container whose header also counts chunks without data, which repeat the frame before them; its
decoding times are the numbers of the chunks."""

_COMPLETING = "dv"
"""Container of which FFmpeg completes a frame that is cut off with the data of the one before."""

_PICTURES = ("_pipe", "fits", "iff", "txd")
"""Ends of the names of demuxers for pictures, of which several may follow one another."""

_SHORTFALL_SECONDS = Fraction(1, 2)
"""Seconds by which a file must be shorter than its header states to be reported."""


def _aspect(frame: VideoFrame) -> Fraction:
    """Return the sample aspect ratio that the decoder reported with a frame, 1 if none."""
    origin = frame.opaque
    return (origin.aspect if isinstance(origin, FrameOrigin) else None) or Fraction(1)


class VideoSource:
    """The frames of a video file, or of a GIF or APNG.

    Args:
        file: A file that exists and is not empty.
        settings: Options for reading.
        animation: Number of pictures, if the file is an animation.
        copy: Salvaged copy that is read instead of the file; closed with the source, but left
            open if the source cannot be created.
        part: Part of the file that is read instead of all of it.
        notes: Further warnings about the file.
        unknown: Parts of what is read that seem to belong to no recording.

    Raises:
        MediaError: No frame can be decoded.
        TooLargeError: Its frames have too many pixels.
        DeviceError: The chosen decoder is not available, or cannot decode this codec.
        InputUnreadableError: Its colours cannot be converted to RGB.
        UsageError: The file has fewer video streams than the chosen number.

    """

    exif = None

    def __init__(
        self,
        file: Path,
        settings: ReadSettings,
        *,
        animation: PictureCount | None = None,
        copy: SalvagedCopy | None = None,
        part: FileSlice | None = None,
        notes: tuple[str, ...] = (),
        unknown: tuple[FileSlice, ...] = (),
    ) -> None:
        self._copy = copy
        self._notes = notes
        self._settings = settings
        data = part or (file if copy is None else copy.path)
        self._container: InputContainer = open_for_decoding(
            data,
            None if copy is None else copy.demuxer,
            settings.decoder,
            settings.max_pixels,
        )
        try:
            chosen = choose_stream(self._container, file, settings.stream)
            # Read before decoding, which may overwrite the tags of the container.
            tags = ColourTags.of(chosen.stream.codec_context)
            length = size_of(data) if self._container.format.name == _COMPLETING else None
            self._decoder = PacketDecoder(self._container, chosen.stream, length)
            self._decoded = self._decoder.frames()
            first = next(self._decoded, None)
            if first is None:
                raise undecodable(file, chosen, settings.decoder, settings.max_pixels)
            self._frames = chain([first], self._decoded)
            single = False
            if self._container.format.name.endswith(_PICTURES):
                second = next(self._decoded, None)
                single = second is None
                self._frames = chain([first] if second is None else [first, second], self._decoded)
            self._decoding = describe_decoding(chosen, settings.decoder)
            opened = OpenedVideo(file, data, self._container, chosen, animation, tags, single)
            header = read_header(opened, first, settings.frame_rate)
        except BaseException:
            self._container.close()
            raise
        self.info: MediaInfo = replace(header.info, recording=part)
        if copy is not None:
            self.info = replace(self.info, salvaged=True, salvaged_copy=copy.path)
        trailing = None if animation is None else animation.trailing
        self._leftovers = Leftovers(data, self._container, unknown, trailing)
        still = self.info.kind == "image"
        self._window = TrimWindow(ReadSettings() if still else settings)
        self._deinterlacing: Deinterlacing = (
            settings.deinterlace if self.info.kind == "video" else "off"
        )
        self._header = header
        self._matrix = matrix_in_use(self.info)
        self._tone_mapping = tone_mapping_of(self.info)
        self._first_size = (first.width, first.height)
        self._first_aspect = _aspect(first)
        self._timeline = Timeline(self.info.time_base, self.info.frame_rate)
        self._faults = self._initial_warnings()
        self.corrupt = 0
        self._decoded_count = 0
        self._resized = 0
        self._reshaped = 0
        self._transparent = False
        self._interlaced = 0
        self._deinterlaced = 0
        self._not_deinterlaced = 0
        self._finished = False

    def _initial_warnings(self) -> list[str]:
        info, found = self.info, [*self._notes]
        if self._copy is not None:
            found.append(self._copy.description)
        found.extend(self._decoding)
        if info.streams > 1 and self._settings.stream is None:
            found.append(
                f"the file contains {info.streams} video streams; number {info.stream} is read "
                "(choose with --stream)"
            )
        found.extend(self._header.warnings)
        if info.kind == "image" and self._settings.trims:
            found.append(TRIM_IGNORED)
        mapping = describe_mapping(info)
        if mapping is not None:
            found.append(mapping)
        elif info.deep:
            found.append(
                f"the video has {info.bit_depth} bits per channel; faces are processed in 8"
            )
        elif info.bit_depth > 8:
            found.append(depth_warning(info.bit_depth))
        return found

    @property
    def skipped(self) -> int:
        """Number of packets that could not be decoded at all."""
        return self._decoder.skipped

    @property
    def offset(self) -> int:
        """Position in the file at which a salvaged stream starts, 0 if it is not salvaged."""
        return 0 if self._copy is None else self._copy.signature.offset

    def close(self) -> None:
        """Close the file and remove the salvaged copy, if any."""
        with suppress(ValueError):
            self._decoded.close()
        self._container.close()
        if self._copy is not None:
            self._copy.close()

    def frames(self) -> Iterator[PendingFrame]:
        """Yield every frame of the window that can be decoded, in order of time.

        Raises:
            UsageError: No frame is in the window.

        """
        for index, pts, frame in self._timed():
            position = self._window.locate(pts * self.info.time_base)
            if position == "before":
                continue
            if position == "after":
                break
            source = frame.source
            self._resized += int((source.width, source.height) != self._first_size)
            self._reshaped += int(self._is_reshaped(source))
            self.corrupt += int(source.is_corrupt)
            self._interlaced += int(bool(source.interlaced_frame))
            self._deinterlaced += int(frame.changed)
            candidate = self._deinterlacing == "on" or bool(source.interlaced_frame)
            self._not_deinterlaced += int(candidate and not frame.changed)
            deep = partial(self._render_deep, frame) if self.info.deep else None
            render = partial(self._render, frame)
            yield PendingFrame(index, pts, self.info.time_base, render, deep)
        else:
            self._finished = True
            searched = self._copy is None and self.info.kind == "video"
            is_other = partial(is_video, self.info.path) if searched else None
            self._leftovers.finish(self._decoder.reached, is_other)
        self._window.check(self.info.path)

    def _timed(self) -> Iterator[tuple[int, int, Deinterlaced]]:
        """Yield every frame that can be decoded, with its index and its time in ticks."""
        for frame in Deinterlacer(self._deinterlacing).process(self._frames):
            source, index = frame.source, self._decoded_count
            pts = self._timeline.assign(source.pts) if self.info.timestamps else index
            self._decoded_count += 1
            yield index, pts, frame

    def _render(self, frame: Deinterlaced) -> Image:
        """Return a frame in sRGB."""
        if self._tone_mapping is not None:
            return self._tone_mapping.to_sdr(self._render_deep(frame))
        source = frame.source
        converted = to_rgb(frame.picture, self._matrix, source.width, source.height)
        self._transparent |= converted.transparent
        return self._displayed(converted.image, source)

    def _render_deep(self, frame: Deinterlaced) -> DeepImage:
        """Return a frame in the colours of the file."""
        source = frame.source
        converted = to_deep_rgb(frame.picture, self._matrix)
        self._transparent |= converted.transparent
        return self._displayed(converted.image, source)

    def _displayed(self, image: Pixels, source: VideoFrame) -> Pixels:
        """Return what is displayed of a stored picture, upright and in the size of the first."""
        aperture = self._header.aperture
        if self._is_reshaped(source) or (source.width, source.height) != self._first_size:
            size = self._first_size if aperture is None else (aperture.width, aperture.height)
            image = fit(image, *size, _aspect(source) / self._first_aspect)
        elif aperture is not None:
            image = aperture.crop(image)
        return self._header.orientation.apply(image)

    def _is_reshaped(self, source: VideoFrame) -> bool:
        """Whether a frame has the size of the first, but other proportions."""
        same_size = (source.width, source.height) == self._first_size
        return same_size and _aspect(source) != self._first_aspect

    def warnings(self) -> list[str]:
        """Return one sentence for each problem found so far."""
        empty = self._empty_frames()
        found = [*self._faults, *self._decoder.warnings()]
        found.extend(self._timeline.warnings(gaps=empty == 0))
        if empty:
            found.append(f"{empty} frames are stored empty: they repeat the frame before them")
        if self.info.timestamps:
            found.extend(self._decoder.times.warnings())
        found.extend(self._interlacing())
        if self._resized:
            found.append(resized_warning(self._resized))
        if self._reshaped:
            found.append(reshaped_warning(self._reshaped))
        if self._transparent:
            found.append(TRANSPARENT_NOTE)
        if self.corrupt:
            found.append(f"{self.corrupt} frames are marked as damaged by the decoder")
        if self.skipped:
            found.append(f"{self.skipped} packets could not be decoded")
        if self._finished:
            found.extend(self._shortfall())
        return [*found, *self._leftovers.notes()]

    def unread(self) -> list[str]:
        """Return those warnings that name bytes of the file which were not read."""
        return self._leftovers.unread()

    def _interlacing(self) -> Iterator[str]:
        if self.info.kind != "video":
            return
        if self._deinterlaced:
            yield (
                f"{self._deinterlaced} frames were deinterlaced by bwdif, one picture for each "
                f"frame ({self._interlaced} are flagged as interlaced)"
            )
        if self._not_deinterlaced and self._deinterlacing == "on":
            yield f"{self._not_deinterlaced} frames could not be deinterlaced"
        elif self._not_deinterlaced:
            yield f"{self._not_deinterlaced} interlaced frames were left unchanged"

    def _empty_frames(self) -> int:
        """Return the number of frames so far that are stored without data."""
        last = self._decoder.last_dts
        if self.info.container != _WITH_EMPTY_FRAMES or last is None:
            return 0
        return max(0, last + 1 - self._decoder.packets)

    def _chunks_per_frame(self) -> int:
        """Return how many chunks of an AVI stand for a frame: the last one has no others after it.

        More than one do if the file has a variable rate.
        """
        last = self._decoder.last_dts
        if self.info.container != _WITH_EMPTY_FRAMES or last is None:
            return 1
        return max(1, -(-last // max(1, self._decoder.packets - 1)))

    def _shortfall(self) -> Iterator[str]:
        count, decoder = self._decoded_count, self._decoder
        promised = self.info.frames_promised
        absent = decoder.discarded + self._empty_frames()
        if promised is not None and promised - absent - count >= self._chunks_per_frame():
            yield f"the header states {promised} frames, the file contains {count}"
        missing = decoder.packets - decoder.discarded - decoder.skipped - count
        if missing > 0 and self.info.codec in _PICTURE_PER_PACKET:
            yield f"{missing} of {decoder.packets} packets contain no picture of their own"
        end, actual = self._header.stated_end, decoder.end
        if end is not None and end - actual > _SHORTFALL_SECONDS:
            yield f"the header states {float(end):.2f} s, the file contains {float(actual):.2f} s"


def is_video(file: Path, part: FileSlice) -> bool:
    """Whether FFmpeg reads a part of a file as a video."""
    try:
        source = VideoSource(file, ReadSettings(), part=part)
    except InputError:
        return False
    source.close()
    return source.info.kind == "video"
