"""Clips of more than 8 bits or in the colours of HDR, made from sRGB pictures.

The formulas are written here once more, from BT.2087, BT.2100 and IEC 61966-2-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from media.clips import picture
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Deep = NDArray[np.uint16]

WHITE = 203.0
"""cd/m2 of white of the pictures."""
BT709_TO_BT2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)
BT709_TO_P3 = np.array(
    [[0.8225, 0.1774, 0.0000], [0.0332, 0.9669, 0.0000], [0.0171, 0.0724, 0.9108]]
)
LUMA = np.array([0.2627, 0.6780, 0.0593])

CODES = {
    "bt709": 1, "bt2020": 9, "smpte432": 12, "smpte2084": 16, "arib-std-b67": 18, "bt2020-10": 14,
    "iec61966-2-1": 13, "bt2020nc": 9, "unspecified": 2,
}  # fmt: skip
LOSSLESS = {"level": "3"}


def linear(picture: Picture) -> NDArray[np.float64]:
    code = picture / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def srgb(light: NDArray[np.float64]) -> NDArray[np.float64]:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def pq(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return PQ code values for cd/m2."""
    power = (light / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return HLG code values for cd/m2 of a display of 1000 cd/m2."""
    display = light / 1000
    luminance = np.maximum((display @ LUMA)[..., None], 1e-9)
    scene = display * luminance ** (1 / 1.2 - 1)
    upper = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)


def encoded(picture: Picture, transfer: str, primaries: str) -> Deep:
    """Return an sRGB picture in other colours, uint16 RGB."""
    light = linear(picture)
    if primaries == "bt2020":
        light = light @ BT709_TO_BT2020.T
    elif primaries == "smpte432":
        light = light @ BT709_TO_P3.T
    code = {
        "smpte2084": lambda: pq(light * WHITE),
        "arib-std-b67": lambda: hlg(light * WHITE),
    }.get(transfer, lambda: srgb(light))()
    return np.rint(np.clip(code, 0, 1) * 65535).astype(np.uint16)


@dataclass(frozen=True)
class Colours:
    """How a clip is stored."""

    transfer: str = "bt709"
    primaries: str = "bt709"
    pixel_format: str = "yuv420p10le"
    codec: str = "ffv1"
    full: bool = False
    tagged: bool = True
    options: dict[str, str] = field(default_factory=dict)

    @property
    def matrix(self) -> str:
        return "bt2020nc" if self.primaries == "bt2020" else "bt709"


PQ = Colours("smpte2084", "bt2020")
HLG = Colours("arib-std-b67", "bt2020")


def write_deep(path: Path, pictures: Sequence[Picture], colours: Colours) -> Path:
    """Write a clip of 25 frames a second."""
    options = dict(colours.options)
    if colours.codec == "libx265":
        # With B frames, x265 gives random decoding times to fewer than three frames.
        parameters = ["log-level=none", *filter(None, [options.get("x265-params")])]
        parameters += ["bframes=0"] if len(pictures) < 3 else []
        options |= {"x265-params": ":".join(parameters), "crf": "8"}
    with av.open(str(path), "w") as output:
        stream = output.add_stream(colours.codec, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = colours.pixel_format
        context = stream.codec_context
        context.time_base = Fraction(1, 25)
        rgb = av.VideoFormat(colours.pixel_format).is_rgb
        if colours.tagged:
            context.color_trc = CODES[colours.transfer]
            context.color_primaries = CODES[colours.primaries]
            context.colorspace = 0 if rgb else CODES[colours.matrix]
        context.color_range = 2 if colours.full or rgb else 1
        for number, picture in enumerate(pictures):
            deep = encoded(picture, colours.transfer, colours.primaries)
            frame = av.VideoFrame.from_numpy_buffer(deep, format="rgb48le")
            if rgb:
                frame = frame.reformat(format=colours.pixel_format)
            else:
                frame = frame.reformat(
                    format=colours.pixel_format,
                    dst_colorspace=CODES[colours.matrix],
                    dst_color_range=2 if colours.full else 1,
                )
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
METADATA = {"x265-params": f"master-display={MASTERING}:max-cll=900,400"}

VARIANTS = {
    "PQ": PQ,
    "PQ in MP4": replace(PQ, codec="libx265"),
    "PQ, full range": replace(PQ, full=True),
    "PQ, 12 bit": replace(PQ, pixel_format="yuv422p12le"),
    "PQ, RGB": replace(PQ, pixel_format="gbrp10le"),
    "PQ, 8 bit": replace(PQ, pixel_format="yuv444p", codec="libx264", options={"crf": "4"}),
    "HLG": HLG,
    "HLG in MP4": replace(HLG, codec="libx265"),
    "HLG, full range": replace(HLG, full=True, pixel_format="yuv444p12le"),
    "BT.2020, SDR": Colours("bt2020-10", "bt2020"),
    "Display P3": Colours("iec61966-2-1", "smpte432", "yuv444p10le"),
    "Display P3, 8 bit": Colours("bt709", "smpte432", "yuv444p", "libx264", options={"crf": "4"}),
    "SDR, 10 bit": Colours(pixel_format="yuv422p10le"),
    "SDR, 12 bit, full range": Colours(pixel_format="yuv420p12le", full=True),
    "SDR, 16 bit RGB": Colours(pixel_format="gbrp16le"),
}


def deep_clip(folder: Path, colours: Colours, frames: int = 3) -> Path:
    suffix = ".mp4" if colours.codec.startswith("libx26") else ".mkv"
    return write_deep(folder / f"in{suffix}", [picture(n) for n in range(frames)], colours)


def remuxed(path: Path, target: Path, colours: Colours, rotation: int = 0) -> Path:
    """Copy a clip into another container whose header has colour tags."""
    with av.open(str(path)) as source, av.open(str(target), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
        context = stream.codec_context
        context.color_trc = CODES[colours.transfer]
        context.color_primaries = CODES[colours.primaries]
        context.colorspace = CODES[colours.matrix]
        if rotation:
            stream.set_display_rotation(-rotation)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return target
