"""Conversion between the colours of HDR or wide-gamut media and sRGB, in which faces are processed.

Sources: ITU-R BT.2100-3 for the transfer functions PQ (SMPTE ST 2084) and HLG (ARIB STD-B67) and
for the system gamma of HLG; ITU-R BT.2390-10, 5.4.1 for the tone mapping (EETF), applied to each
channel; ITU-R BT.2408-7 for diffuse white at 203 cd/m2, which becomes white; ITU-R BT.2087-0 for
the conversion of primaries in linear light with clipping; ITU-T H.273 for the chromaticities;
IEC 61966-2-1 for sRGB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.media.frames import PRIMARIES, UNSPECIFIED, DeepImage, Image, MediaInfo, tag_code
from jdsr_cli.media.hdr_metadata import stated_peak
from jdsr_cli.media.primaries import CHROMATICITIES

Floats = NDArray[np.float32]
Curve = NDArray[np.float64]

WHITE = 203.0
"""cd/m2 of diffuse white in HDR."""
DEFAULT_PEAK = 1000.0
"""cd/m2 of the brightest pixel of HDR video that states none, and of the display of HLG."""
_PQ_PEAK = 10000.0
_HLG_GAMMA = 1.2
"""System gamma of HLG for a display of 1000 cd/m2."""
_LUMINANCE = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
"""Weights of BT.2020 in luminance."""

_STRIP = 1 << 16
"""Pixels that are converted at once: their intermediate values stay in the processor's cache."""

_LEVELS = 65535
_CODES: Final = np.linspace(0.0, 1.0, _LEVELS + 1)

_WIDE: Final = ("bt2020", "smpte431", "smpte432")
"""Primaries beyond those of BT.709: BT.2020, DCI-P3 and Display P3, in FFmpeg's names."""
_HDR: Final = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
"""Transfer functions of HDR in FFmpeg's names, and their names for messages."""
_VIDEO_TRANSFERS: Final = (
    UNSPECIFIED, "bt709", "gamma22", "gamma28", "smpte170m", "iec61966-2-1", "bt2020-10",
    "bt2020-12",
)  # fmt: skip
"""Transfer functions whose code values are shown as those of sRGB."""


_PQ = (2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128)
"""Constants m1, m2, c1, c2 and c3 of PQ."""


def pq_to_light(code: Curve) -> Curve:
    """Return cd/m2 for PQ code values in [0, 1]: the EOTF of BT.2100, table 4."""
    m1, m2, c1, c2, c3 = _PQ
    power = np.power(np.clip(code, 0.0, 1.0), 1 / m2)
    return np.asarray(_PQ_PEAK * np.power(np.maximum(power - c1, 0) / (c2 - c3 * power), 1 / m1))


def light_to_pq(light: Curve) -> Curve:
    """Return PQ code values in [0, 1] for cd/m2 in [0, 10000]: the inverse of `pq_to_light`."""
    m1, m2, c1, c2, c3 = _PQ
    power = np.power(np.clip(light / _PQ_PEAK, 0.0, 1.0), m1)
    return np.asarray(np.power((c1 + c2 * power) / (1 + c3 * power), m2))


def hlg_to_scene(code: Curve) -> Curve:
    """Return scene light in [0, 1] for HLG code values in [0, 1]: the inverse OETF of BT.2100."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def compress_light(light: Curve, peak: float) -> Curve:
    """Return light relative to `WHITE`, in [0, 1], for cd/m2: the EETF of BT.2390 with black at 0.

    Args:
        light: cd/m2, at least 0.
        peak: cd/m2 that become white; `WHITE` if less.

    """
    top = float(light_to_pq(np.array(max(peak, WHITE))))
    source = np.minimum(light_to_pq(light) / top, 1.0)
    target = float(light_to_pq(np.array(WHITE))) / top
    knee = 1.5 * target - 0.5
    t = np.clip((source - knee) / max(1.0 - knee, 1e-9), 0.0, 1.0)
    bent = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * target
    )
    return pq_to_light(np.where(source < knee, source, bent) * top) / WHITE


def srgb_to_light(code: Curve) -> Curve:
    """Return linear light in [0, 1] for sRGB code values in [0, 1]."""
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def light_to_srgb(light: Curve) -> Curve:
    """Return sRGB code values in [0, 1] for linear light in [0, 1]."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@lru_cache
def _srgb_levels() -> Image:
    """Return sRGB levels of 0 to 255 for linear light in steps of 1/65535."""
    return np.rint(light_to_srgb(_CODES) * 255).astype(np.uint8)


@lru_cache
def _srgb_light() -> Floats:
    """Return linear light for sRGB code values in steps of 1/65535."""
    return srgb_to_light(_CODES).astype(np.float32)


def _steps(values: Floats) -> NDArray[np.uint16]:
    """Return values in [0, 1], clipped, in steps of 1/65535."""
    steps = values * np.float32(_LEVELS)
    np.clip(steps, 0.0, _LEVELS, out=steps)
    steps += np.float32(0.5)
    return steps.astype(np.uint16)


def _inverse(curve: Curve) -> Floats:
    """Return the inverse of an increasing curve of 65536 values in [0, 1], by the square root.

    Steps of the square root are fine near black, where these curves are steep.
    """
    whole = int(np.argmax(curve >= curve[-1])) + 1  # what is clipped to white is left out
    return np.interp(_CODES**2, curve[:whole], _CODES[:whole]).astype(np.float32)


class ToneMapping:
    """Conversion of stored colours to sRGB and back.

    Args:
        curve: Linear light in [0, 1], white at 1, for the 65536 code values of a channel.
        primaries: (3, 3) from linear light with the stored primaries to that with those of BT.709.

    """

    def __init__(self, curve: Curve, primaries: NDArray[np.float64]) -> None:
        self._curve = curve.astype(np.float32)
        self._inverse = _inverse(curve)
        self._to_bt709 = primaries.astype(np.float32)
        self._from_bt709 = np.linalg.inv(primaries).astype(np.float32)

    def to_sdr(self, deep: DeepImage) -> Image:
        """Convert a picture of stored colours, uint16 RGB (H, W, 3), to sRGB, uint8 RGB."""
        image = np.empty(deep.shape, np.uint8)
        rows = max(1, _STRIP // deep.shape[1])
        for top in range(0, len(deep), rows):
            part = slice(top, top + rows)
            linear = cv2.transform(self._light(deep[part]), self._to_bt709)
            image[part] = np.take(_srgb_levels(), _steps(np.asarray(linear, np.float32)))
        return image

    def from_sdr(self, levels: Floats) -> Floats:
        """Convert sRGB, float32 RGB (H, W, 3) in [0, 255], to stored colours in [0, 65535].

        What the tone mapping clips cannot come back: the result is a colour of the SDR picture.
        """
        light = _srgb_light()[_steps(levels / np.float32(255))]
        linear = np.asarray(cv2.transform(light, self._from_bt709), np.float32)
        return self._code(np.clip(linear, 0.0, 1.0)) * np.float32(_LEVELS)

    def _light(self, deep: DeepImage) -> Floats:
        """Return linear light, white at 1, with the stored primaries."""
        return np.take(self._curve, deep)

    def _code(self, light: Floats) -> Floats:
        """Return code values in [0, 1] for linear light with the stored primaries."""
        return self._inverse[_steps(np.sqrt(light))]


class HlgToneMapping(ToneMapping):
    """The same for HLG, whose system gamma mixes the channels.

    Args:
        primaries: As in `ToneMapping`.

    """

    def __init__(self, primaries: NDArray[np.float64]) -> None:
        scene = hlg_to_scene(_CODES)
        self._scene = scene.astype(np.float32)
        self._scene_inverse = _inverse(scene)
        # Light of a display, by the square root of its share of the peak.
        display = compress_light(_CODES**2 * DEFAULT_PEAK, DEFAULT_PEAK)
        super().__init__(display, primaries)

    def _light(self, deep: DeepImage) -> Floats:
        scene = np.take(self._scene, deep)
        luminance = np.asarray(cv2.transform(scene, _LUMINANCE), np.float32)
        gain = np.power(luminance, np.float32(_HLG_GAMMA - 1)).reshape(*scene.shape[:2], 1)
        return np.take(self._curve, _steps(np.sqrt(scene * gain)))

    def _code(self, light: Floats) -> Floats:
        display = super()._code(light) ** 2
        luminance = np.asarray(cv2.transform(display, _LUMINANCE), np.float32)
        gain = np.power(np.maximum(luminance, np.float32(1e-9)), np.float32(1 / _HLG_GAMMA - 1))
        scene = display * gain.reshape(*light.shape[:2], 1)
        return self._scene_inverse[_steps(np.sqrt(scene))]


def from_same_colours(levels: Floats) -> Floats:
    """Convert levels of 0 to 255 to 0 to 65535 where the stored colours are those of sRGB."""
    return levels * np.float32(257)


class TaggedColours(Protocol):
    """Colour tags in FFmpeg's names, and HDR metadata as in `hdr_metadata`."""

    @property
    def colour_primaries(self) -> str:
        """Tag of the primaries."""

    @property
    def colour_transfer(self) -> str:
        """Tag of the transfer function."""

    @property
    def mastering_display(self) -> str | None:
        """Mastering display, None if none is stated."""

    @property
    def content_light(self) -> str | None:
        """MaxCLL and MaxFALL, None if none are stated."""


def is_hdr(colours: TaggedColours) -> bool:
    """Whether the transfer function is PQ or HLG."""
    return colours.colour_transfer in _HDR


def tone_mapping_of(info: TaggedColours) -> ToneMapping | None:
    """Return the conversion for a file; None if its colours are taken as sRGB as they are.

    That is the case unless its transfer function is PQ or HLG, or its primaries are those of
    BT.2020 or DCI-P3. PQ and HLG without primaries have those of BT.2020.
    """
    transfer, primaries = info.colour_transfer, info.colour_primaries
    if is_hdr(info):
        chosen = primaries if primaries in ("bt709", *_WIDE) else "bt2020"
        return _tone_mapping(transfer, chosen, _peak(info))
    if primaries in _WIDE and transfer in _VIDEO_TRANSFERS:
        return _tone_mapping("", primaries, 0.0)
    return None


def _peak(info: TaggedColours) -> float:
    """Return the cd/m2 that become the brightest white of SDR."""
    if info.colour_transfer != "smpte2084":
        return DEFAULT_PEAK
    peak = stated_peak(info.mastering_display, info.content_light)
    return DEFAULT_PEAK if peak is None else max(peak, WHITE)


@lru_cache(maxsize=8)
def _tone_mapping(transfer: str, primaries: str, peak: float) -> ToneMapping:
    to_bt709 = np.linalg.inv(_to_xyz("bt709")) @ _to_xyz(primaries)
    if transfer == "arib-std-b67":
        return HlgToneMapping(to_bt709)
    if transfer == "smpte2084":
        return ToneMapping(compress_light(pq_to_light(_CODES), peak), to_bt709)
    return ToneMapping(srgb_to_light(_CODES), to_bt709)


def _to_xyz(primaries: str) -> NDArray[np.float64]:
    """Return (3, 3) from linear RGB to CIE XYZ with white at 1 for all three (SMPTE RP 177).

    White is mapped to white, as for a display that is adapted to it.
    """
    _, white_point, points = CHROMATICITIES[tag_code(PRIMARIES, primaries)]
    corners = np.array([(x, y, 1 - x - y) for x, y in (*points, white_point)]).T
    white = corners[:, 3] / corners[1, 3]
    matrix = corners[:, :3] * np.linalg.solve(corners[:, :3], white)
    return np.asarray(matrix / white[:, None])


def describe_mapping(info: MediaInfo) -> str | None:
    """Return a sentence on how a file's colours are converted; None if they are not."""
    if tone_mapping_of(info) is None:
        return None
    names = colour_names(info)
    if not is_hdr(info):
        return f"the primaries are {names[0]}; faces are detected and restored in BT.709"
    return (
        f"the input is HDR ({', '.join(names)}); faces are detected and restored in SDR "
        f"({describe_curve(info)})"
    )


def colour_names(colours: TaggedColours) -> list[str]:
    """Return the names of a transfer function of HDR and of wide primaries, as far as stated."""
    names = [_HDR[colours.colour_transfer]] if is_hdr(colours) else []
    if colours.colour_primaries in _WIDE:
        names.append(CHROMATICITIES[tag_code(PRIMARIES, colours.colour_primaries)][0])
    return names


def describe_curve(colours: TaggedColours) -> str:
    """Return how the light of an HDR picture is compressed, for a note."""
    return f"tone-mapped by ITU-R BT.2390 from {_peak(colours):g} cd/m2"


def sdr_header(info: MediaInfo) -> MediaInfo:
    """Return the header of a video of `Frame.image` instead of the stored colours."""
    if tone_mapping_of(info) is None:
        return replace(info, deep=False)
    return replace(
        info,
        deep=False,
        colour_range="limited",
        colour_primaries="bt709",
        colour_transfer="bt709",
        colour_matrix="bt709",
        mastering_display=None,
        content_light=None,
    )


def graphics_white(info: MediaInfo) -> float:
    """Return the level in `Frame.deep`, 0 to 65535, of white text (BT.2408: 203 cd/m2)."""
    if info.colour_transfer == "smpte2084":
        return _LEVELS * float(light_to_pq(np.array(WHITE)))
    return _LEVELS * (0.75 if info.colour_transfer == "arib-std-b67" else 1.0)


def converter_from_sdr(info: MediaInfo) -> Callable[[Floats], Floats]:
    """Return the function that converts `Frame.image` to the colours of `Frame.deep`.

    It maps float32 RGB (H, W, 3) in [0, 255] to [0, 65535].
    """
    mapping = tone_mapping_of(info)
    return from_same_colours if mapping is None else mapping.from_sdr
