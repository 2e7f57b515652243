"""Small clips of many kinds, written with PyAV: nothing is downloaded."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, COUNT = 64, 48, 12
VFR_PTS = (0, 40, 80, 200, 240, 400, 405, 445, 1000, 1040, 1200, 1300)
"""Times of the variable-rate clip, in milliseconds."""


def picture(index: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """A smooth ground, a red top-left and a blue bottom-right corner, and a moving bright bar."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    image = np.stack([60 + 60 * x, 80 + 60 * y, 90 + 20 * x * y], axis=2).astype(np.uint8)
    image[: height // 4, : width // 4] = (200, 40, 40)
    image[-(height // 4) :, -(width // 4) :] = (40, 40, 200)
    left = width // 4 + (index * 3) % (width // 2)
    image[height // 3 : 2 * height // 3, left : left + 6] = (220, 220, 220)
    return image


def encode(
    path: Path,
    pts: Sequence[int] = tuple(range(COUNT)),
    time_base: Fraction = Fraction(1, 25),
    *,
    rate: Fraction = Fraction(25),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    options: dict[str, str] | None = None,
    container: str | None = None,
    container_options: dict[str, str] | None = None,
    configure: Callable[[av.VideoStream], None] | None = None,
    tracks: Sequence[Track] = (),
    paint: Callable[[int], NDArray[np.uint8]] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a clip with exactly these timestamps, and the given sound tracks."""
    width, height = size
    if codec == "libx264":
        options = {"crf": "10", "g": "4", **(options or {})}
    with av.open(
        str(path), "w", format=container, container_options=container_options or {}
    ) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = stream.time_base = time_base
        if configure is not None:
            configure(stream)
        output.metadata.update(metadata or {})
        sounds = [track.add(output) for track in tracks]
        for index, time in enumerate(pts):
            image = picture(index, width, height) if paint is None else paint(index)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.pts, frame.time_base = time, time_base
            output.mux(stream.encode(frame))
        for track, sound in zip(tracks, sounds, strict=True):
            track.fill(output, sound)
        output.mux(stream.encode(None))
    return path


class Track:
    """A sound track of a given codec, start and length."""

    def __init__(
        self,
        codec: str = "aac",
        *,
        start: Fraction = Fraction(0),
        seconds: Fraction = Fraction(1, 2),
        sample_rate: int = 16000,
        language: str = "und",
    ) -> None:
        self.codec, self.start, self.seconds = codec, start, seconds
        self.sample_rate, self.language = sample_rate, language

    def add(self, output: av.container.OutputContainer) -> av.AudioStream:
        stream = output.add_stream(self.codec, rate=self.sample_rate, layout="mono")
        stream.metadata["language"] = self.language
        return stream

    def fill(self, output: av.container.OutputContainer, stream: av.AudioStream) -> None:
        samples = 1024
        count = int(self.seconds * self.sample_rate) // samples
        kind = stream.format.name
        for index in range(count):
            phase = (np.arange(samples) + index * samples) * 2 * np.pi * 440 / self.sample_rate
            wave = np.sin(phase) * 0.3
            data = wave.astype(np.float32) if kind.startswith("flt") else wave * 32000
            array = data[None].astype(np.float32 if kind.startswith("flt") else np.int16)
            frame = av.AudioFrame.from_ndarray(array, format=kind, layout="mono")
            frame.sample_rate = self.sample_rate
            frame.time_base = Fraction(1, self.sample_rate)
            frame.pts = int(self.start * self.sample_rate) + index * samples
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def vfr(folder: Path, name: str = "vfr.mp4") -> Path:
    return encode(folder / name, VFR_PTS, Fraction(1, 1000), rate=Fraction(10))


def ntsc(folder: Path) -> Path:
    """24000/1001 frames per second, the "23.976" that drifts when it is rounded."""
    return encode(
        folder / "ntsc.mp4",
        [1001 * i for i in range(COUNT)],
        Fraction(1, 24000),
        rate=Fraction(24000, 1001),
    )


def gif(folder: Path) -> Path:
    """Delays of 1/100 s that vary: 8, 9, 8, 30, ..."""
    pts, time = [], 0
    for index in range(COUNT):
        pts.append(time)
        time += (8, 9, 8, 30)[index % 4]
    return encode(folder / "anim.gif", pts, Fraction(1, 100), codec="gif", pixel_format="rgb8")


def rotated(folder: Path, degrees: int) -> Path:
    """A clip with a display rotation of `degrees` clockwise."""
    return encode(
        folder / f"rotated{degrees}.mp4",
        configure=lambda stream: stream.set_display_rotation(-degrees),
    )


def gray(folder: Path) -> Path:
    return encode(folder / "gray.mkv", codec="ffv1", pixel_format="gray")


def ten_bit(folder: Path) -> Path:
    return encode(folder / "ten.mkv", pixel_format="yuv420p10le")


def raw_h264(folder: Path) -> Path:
    """An elementary stream, which contains no timestamps."""
    return encode(folder / "camera.h264", container="h264")


def truncated(path: Path, share: float) -> Path:
    """A copy of a clip that ends after this share of its bytes."""
    data = path.read_bytes()
    cut = path.with_name(f"cut-{path.name}")
    cut.write_bytes(data[: int(len(data) * share)])
    return cut


def corrupt_middle(path: Path) -> Path:
    """A copy of a clip whose middle fifth is noise."""
    data = bytearray(path.read_bytes())
    start, end = len(data) * 2 // 5, len(data) * 3 // 5
    data[start:end] = np.random.default_rng(7).bytes(end - start)
    broken = path.with_name(f"broken-{path.name}")
    broken.write_bytes(bytes(data))
    return broken


def resolution_change(folder: Path) -> Path:
    """An MPEG transport stream that continues in another size, with times that restart."""
    parts = [
        encode(folder / "part0.ts", size=(64, 48)),
        encode(folder / "part1.ts", size=(96, 64)),
    ]
    joined = folder / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    return joined


def combed(index: int) -> NDArray[np.uint8]:
    """A picture of two fields: the upper lines show the bright bar half a frame later."""
    image = picture(2 * index + 1)
    image[1::2] = picture(2 * index)[1::2]
    return image


def interlaced(
    path: Path, pts: Sequence[int] = tuple(range(COUNT)), time_base: Fraction = Fraction(1, 25)
) -> Path:
    """A clip of frames of two fields each, the bottom one first, flagged as interlaced."""
    options = {"x264-params": "interlaced=1"}
    return encode(path, pts, time_base, options=options, paint=combed)


def interlaced_later(folder: Path) -> Path:
    """A transport stream whose first frames are progressive and the others interlaced."""
    parts = [encode(folder / "early.ts"), interlaced(folder / "later.ts")]
    joined = folder / "mixed.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    return joined


def cameras(folder: Path, count: int = 3) -> Path:
    """Several video streams in one file; stream n is 32 n pixels wide."""
    path = folder / "cameras.mkv"
    with av.open(str(path), "w") as output:
        streams = []
        for number in range(1, count + 1):
            stream = output.add_stream("ffv1", rate=Fraction(25))
            stream.width, stream.height, stream.pix_fmt = 32 * number, 32, "yuv444p"
            stream.codec_context.time_base = Fraction(1, 25)
            streams.append(stream)
        for index in range(COUNT):
            for stream in streams:
                image = picture(index, stream.width, stream.height)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame = frame.reformat(format="yuv444p")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    return path


def noise(count: int, seed: int = 3) -> bytes:
    """Random bytes."""
    return np.random.default_rng(seed).bytes(count)


def with_header(header: bytes, path: Path, name: str) -> Path:
    """A copy of a file behind a header, as some recorders write."""
    wrapped = path.with_name(name)
    wrapped.write_bytes(header + path.read_bytes())
    return wrapped


def dahua(folder: Path) -> Path:
    """The H.264 stream of 12 frames in Dahua's DHAV container, 40 ms apart."""
    path = encode(folder / "camera.h264", container="h264", options={"bf": "0"})
    chunks = []
    with av.open(str(path)) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
    for number, packet in enumerate(packets):
        payload = bytes(packet)
        extension = bytes([0x82, 0, 0, 0, WIDTH, 0, HEIGHT, 0, 0x81, 0, 2, 25])
        length = 24 + len(extension) + len(payload) + 8
        date = 26 << 26 | 1 << 22 | 1 << 17 | 1 << 12
        head = b"DHAV" + bytes([0xFD if packet.is_keyframe else 0xFC, 0, 0, 0])
        head += number.to_bytes(4, "little") + length.to_bytes(4, "little")
        head += date.to_bytes(4, "little") + (40 * number).to_bytes(2, "little")
        head += bytes([len(extension), 0])
        chunks.append(head + extension + payload + b"dhav" + length.to_bytes(4, "little"))
    wrapped = folder / "camera.dav"
    wrapped.write_bytes(b"".join(chunks))
    return wrapped


def numbered(folder: Path, numbers: Sequence[int], name: str = "shot_{:03d}.png") -> Path:
    """Write pictures with these numbers in their names; the number selects the content."""
    from PIL import Image

    folder.mkdir(exist_ok=True)
    for number in numbers:
        Image.fromarray(picture(number)).save(folder / name.format(number))
    return folder / "shot_%03d.png"


def framemd5(path: Path) -> tuple[list[Fraction], list[str]]:
    """Times and hashes of the decoded frames, by the ffmpeg program of imageio-ffmpeg."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:v",
        "-fps_mode", "passthrough", "-copyts", "-enc_time_base", "demux", "-f", "framemd5", "-",
    ]  # fmt: skip
    text = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    base = next(line for line in text.splitlines() if line.startswith("#tb 0:"))
    unit = Fraction(base.split(":")[1].strip())
    rows = [line.split(",") for line in text.splitlines() if line and line[0] != "#"]
    return [int(row[2]) * unit for row in rows], [row[5].strip() for row in rows]


def track_packets(path: Path, index: int) -> list[tuple[Fraction, Fraction, bytes]]:
    """Start, duration and bytes of the packets of one stream, in seconds."""
    with av.open(str(path)) as container:
        return [
            (packet.pts * packet.time_base, packet.duration * packet.time_base, bytes(packet))
            for packet in container.demux(container.streams[index])
            if packet.size
        ]


def subtitled(path: Path, *, seconds: int = 1) -> Path:
    """A Matroska clip with two sound tracks, the second late, and two tracks of subtitles."""
    without_subtitles = encode(
        path.with_name(f"without_subtitles-{path.name}"),
        range(25 * seconds),
        tracks=[
            Track(seconds=Fraction(seconds), language="deu"),
            Track(
                "mp2",
                start=Fraction(477, 1000),
                seconds=Fraction(seconds, 2),
                language="eng",
                sample_rate=48000,
            ),
        ],
    )
    texts = []
    for name, words in (("subs", ("one", "two", "three")), ("more", ("eins", "zwei", "drei"))):
        text = path.with_name(f"{path.stem}-{name}.srt")
        spans = (("00,500", "01,500"), ("01,600", "01,900"), ("02,100", "02,400"))
        text.write_text(
            "".join(
                f"{number}\n00:00:{start} --> 00:00:{end}\n{word}\n\n"
                for number, ((start, end), word) in enumerate(zip(spans, words, strict=True), 1)
            )
        )
        texts.append(text)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(without_subtitles)]
    for text in texts:
        command += ["-i", str(text)]
    command += [
        "-map", "0", "-map", "1", "-map", "2", "-c", "copy", "-copyts",
        "-c:s:1", "ass", "-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=deu",
        "-disposition:s:1", "forced", "-disposition:a:1", "comment", str(path),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return path


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Make every write beyond `size` bytes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
