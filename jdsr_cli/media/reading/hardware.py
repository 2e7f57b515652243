"""Decode videos on a graphics processor, through PyAV's `HWAccel`.

Decoded frames are copied to main memory, so that all that follows is the same as for software. The
standards prescribe the decoder's result to the bit, except for damaged files.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container.input import InputContainer

from jdsr_cli.errors import DeviceError, MediaError
from jdsr_cli.media.bounds import RAISE_LIMIT, check_pixels
from jdsr_cli.media.containers import RECOPY, open_container
from jdsr_cli.media.inputs import ChosenStream
from jdsr_cli.media.slices import DataFile, path_of
from jdsr_cli.settings import Decoder

SOFTWARE = "software"
AUTO = "auto"
_ORDER = ("cuda", "videotoolbox", "d3d11va", "vaapi", "qsv")
"""Devices in the order in which `auto` tries them."""
_PROBED = "h264"
"""Codec that every supported device decodes; a device is opened for it to see whether it exists."""
_HINT = "Use --decoder software, or auto to use hardware only where it is available."


@lru_cache
def device_fault(device: str) -> str | None:
    """Return why a device cannot decode on this machine, None if it can."""
    available = hwdevices_available()
    if device not in available:
        return f"this FFmpeg is built without it; it has {', '.join(available) or 'none'}"
    try:
        HWAccel(device).create(av.Codec(_PROBED, "r"))
    except (av.FFmpegError, OSError) as exc:
        return f"it cannot be opened: {exc.strerror}"
    except NotImplementedError:  # Raised by PyAV where the decoder does not support the device.
        return f"this FFmpeg has no {_PROBED} decoder for it"
    return None


def choose_device(decoder: Decoder) -> str | None:
    """Return the device that decodes, None for software.

    Raises:
        DeviceError: A device was asked for by name that is not available.

    """
    if decoder == SOFTWARE:
        return None
    if decoder == AUTO:
        return next((name for name in _ORDER if device_fault(name) is None), None)
    fault = device_fault(decoder)
    if fault is not None:
        raise DeviceError(f"no video can be decoded by {decoder}: {fault}", hint=_HINT)
    return decoder


def open_for_decoding(
    file: DataFile, demuxer: str | None, decoder: Decoder, max_pixels: int
) -> InputContainer:
    """Open a container whose video streams are decoded as chosen.

    Args:
        file: A file that has passed `check_file`, or a part of one.
        demuxer: FFmpeg's name of the format; None to detect it.
        decoder: "software", a device, or "auto" for the first device that exists; what it cannot
            decode is decoded by software.
        max_pixels: Largest number of pixels of a frame.

    Raises:
        DeviceError: A device was asked for by name, and it is not available or decodes none of the
            streams.
        MediaError: As `open_container`.

    """
    device = choose_device(decoder)
    if device is None:
        return open_container(file, demuxer, max_pixels=max_pixels)
    accelerator = HWAccel(device, allow_software_fallback=decoder == AUTO)
    try:
        return open_container(file, demuxer, accelerator, max_pixels=max_pixels)
    except RuntimeError as exc:
        raise DeviceError(
            f"its codec cannot be decoded by {device}", where=path_of(file), hint=_HINT
        ) from exc


def describe_decoding(chosen: ChosenStream, decoder: Decoder) -> list[str]:
    """Return a sentence about where a stream is decoded; none for the default, software."""
    if decoder == SOFTWARE:
        return []
    device = choose_device(decoder)
    if device is None:
        available = [name for name in _ORDER if name in hwdevices_available()]
        faults = "; ".join(f"{name}: {device_fault(name)}" for name in available) or "no support"
        return [f"frames are decoded by software, since no hardware is available ({faults})"]
    context = chosen.stream.codec_context
    if not context.is_hwaccel:
        return [f"frames are decoded by software, since {device} has no decoder for {context.name}"]
    return [f"frames are decoded by {device}"]


def undecodable(file: Path, chosen: ChosenStream, decoder: Decoder, max_pixels: int) -> MediaError:
    """Return the error for a stream of which no frame can be decoded.

    Raises:
        TooLargeError: Its frames have more than `max_pixels` pixels.

    """
    context, hint = chosen.stream.codec_context, RECOPY
    check_pixels(context.width, context.height, file, max_pixels)
    if not context.width:
        # The decoder found none, or one above the bound.
        return MediaError(
            f"contains a {context.name} stream whose pictures state no valid size, or one of more "
            f"than {max_pixels / 1_000_000:g} million pixels",
            where=file,
            hint=RAISE_LIMIT,
        )
    if decoder not in (SOFTWARE, AUTO):
        hint = f"{decoder} may not support this kind of stream: try --decoder software."
    elif chosen.count > 1:
        hint = f"It contains {chosen.count} video streams: choose one with --stream."
    return MediaError(
        f"contains a {context.name} stream of which no frame can be decoded",
        where=file,
        hint=hint,
    )
