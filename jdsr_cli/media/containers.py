"""Open a file as a container with FFmpeg, without ever opening anything else.

Some formats name other files or addresses, which FFmpeg would open: playlists (concat, HLS, DASH,
IMF), session descriptions (SDP), filter graphs, numbered pictures, external data references of
QuickTime. Whoever made such a file could read any file of this machine into a result, or connect
it to a server. Demuxers are therefore allowed by name, before they read a byte; the only protocol
is `file`; and QuickTime's references are not followed.

Source: FFmpeg's `format_whitelist` and `protocol_whitelist` (libavformat/options_table.h), and
`enable_drefs` of its demuxer mov, which is off by default.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import av
from av.codec.hwaccel import HWAccel
from av.container.input import InputContainer

from jdsr_cli.errors import MediaError
from jdsr_cli.media.reading.data_references import external_references
from jdsr_cli.media.reading.index_bounds import check_index
from jdsr_cli.media.reading.isobmff import index_missing
from jdsr_cli.media.slices import DataFile, path_of

_NAMES = """
    3g2 3gp 4xm amr amv anm apng asf asf_o av1 avi avr avs avs2 avs3 bethsoftvid bfi bink bmv c93
    cavsvideo cdxl cine dhav dirac dnxhd dv dxa ea evc film_cpk filmstrip flac flic flv frm gdv gif
    gxf h261 h263 h264 hevc hnm idcin iff ifv ilbc ingenient ipmovie ipu ivf ivr jpegxl_anim jv kux
    lmlm4 live_flv lvf lxf m4v matroska mgsts mjpeg mjpeg_2000 mlv mm mmf mods moflex mov mp3 mp4
    mpeg mpegts mpegtsraw mpegvideo mpjpeg msnwctcp mtv mv mvi mxf mxg nc nsv nut nuv obu ogg pdv
    pmp psxstr pva r3d rl2 rm roq rpl ser sga simbiosis_imx siff smjpeg smk smush swf thp
    tiertexseq ty v210 v210x vc1 vc1test vividas vivo vmd vvc wav wc3movie webm wsvqa wtv wve xmv
    yop yuv4mpegpipe
    bmp_pipe brender_pix cri_pipe dds_pipe dpx_pipe exr_pipe fits gem_pipe gif_pipe hdr_pipe
    j2k_pipe jpeg_pipe jpegls_pipe jpegxl_pipe jpegxs_pipe pam_pipe pbm_pipe pcx_pipe pfm_pipe
    pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe photocd_pipe pictor_pipe png_pipe ppm_pipe psd_pipe
    qdraw_pipe qoi_pipe sgi_pipe sunrast_pipe tiff_pipe txd vbn_pipe webp_pipe xbm_pipe xpm_pipe
    xwd_pipe
    aac ac3 aiff au caf dts eac3
"""
DEMUXERS = frozenset(_NAMES.split())
"""FFmpeg's names of the demuxers that read the given file alone. Sound is in the list for the
message that a file contains no video."""

FORMATS = ",".join(sorted(DEMUXERS))
"""The same as FFmpeg's option `format_whitelist`."""

_SAFE = {
    "format_whitelist": FORMATS,
    "protocol_whitelist": "file",
    "pattern_type": "none",
}

_HEAD = 4096
"""Bytes at the start of a file by which text is recognised."""
_NAMES_OTHERS = re.compile(
    r"ffconcat|#EXTM3U|<(?:\w+:)?(?:MPD|CompositionPlaylist|AssetMap|smil|asx|playlist)\b"
    r"|\[(?:playlist|reference)\]|^\s*file\s+\S|^m=(?:video|audio)\b|://|^(?:a?movie|lavfi)=",
    re.IGNORECASE | re.MULTILINE,
)
"""Text of playlists, session descriptions and filter graphs."""

_ICONS = (
    (re.compile(rb"\x00\x00\x01\x00"), "a file of icons (ICO)"),
    (re.compile(rb"\x00\x00\x02\x00"), "a file of mouse pointers (CUR)"),
    (re.compile(rb"RIFF.{4}ACON", re.DOTALL), "an animated mouse pointer (ANI)"),
    (re.compile(rb"icns"), "a file of icons (ICNS)"),
)
"""Starts of files of small pictures in several sizes, which FFmpeg takes for videos."""

RECOPY = "Copy it again from the recorder."


def open_container(
    file: DataFile,
    demuxer: str | None = None,
    hwaccel: HWAccel | None = None,
    options: Mapping[str, str] | None = None,
    max_pixels: int | None = None,
) -> InputContainer:
    """Open a container for reading.

    Args:
        file: A file that has passed `inputs.check_file`, or a part of one.
        demuxer: FFmpeg's name of the format; None to detect it.
        hwaccel: Device that decodes its videos; None for software.
        options: Further options of the demuxer.
        max_pixels: Largest number of pixels of a frame that is decoded, also to find out what the
            file contains; None for the limit of FFmpeg.

    Raises:
        MediaError: It is not a container that FFmpeg can read, or its format is not in `DEMUXERS`.
        TooLargeError: Its index would fill the memory.

    """
    check_index(file)
    decoding = decoding_options(max_pixels)

    def opened(source: str | BinaryIO | mmap.mmap) -> InputContainer:
        return av.open(
            source,
            mode="r",
            format=demuxer,
            options=decoding,
            container_options={**(options or {}), **_SAFE},
            metadata_errors="replace",
            hwaccel=hwaccel,
        )

    try:
        try:
            # With an absolute path FFmpeg does not interpret "a:b.mp4" as a protocol.
            container = opened(str(file.absolute()) if isinstance(file, Path) else file.open())
        except av.ArgumentError:
            # By its name, FFmpeg takes a picture for one of a numbered sequence; without a name it
            # looks at the content alone.
            with file.open("rb") as content:
                container = opened(mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ))
    except (av.FFmpegError, ValueError, OSError) as exc:
        raise _unopenable(file, exc) from exc
    outside = external_references(file) if container.format.name.startswith("mov") else []
    if outside:
        container.close()
        raise MediaError(
            f"its media data lie in another file ({outside[0]}), which was not opened",
            where=path_of(file),
            hint="Export a self-contained file with the program that made it.",
        )
    for video in container.streams.video:
        if video.codec_context is not None:
            video.codec_context.options = dict(decoding)
    return container


def decoding_options(max_pixels: int | None) -> dict[str, str]:
    """Return the options of a decoder that bound its frames, none if there is no bound."""
    return {} if max_pixels is None else {"max_pixels": str(max_pixels)}


def _unopenable(file: DataFile, exc: Exception) -> MediaError:
    path = path_of(file)
    if index_missing(file):
        return MediaError(
            "the file ends before its index (no moov box): it was cut off while it was recorded "
            "or copied",
            where=path,
            hint=RECOPY,
        )
    icons = _icons(path)
    if icons is not None:
        return MediaError(
            f"is {icons}, not a recording",
            where=path,
            hint="Save the picture in it as PNG, if it is to be restored.",
        )
    text = _text_of(path)
    if text is not None and _NAMES_OTHERS.search(text):
        return MediaError(
            "is not a video or picture: it names other files or addresses, which were not opened",
            where=path,
            hint="Give the files that it names.",
        )
    if text is not None:
        return MediaError(
            "is not a video or picture: it contains text, not video",
            where=path,
            hint="Check what the file is.",
        )
    reason = getattr(exc, "strerror", None) or str(exc)
    return MediaError(
        f"is not a video or picture that can be decoded ({reason})",
        where=path,
        hint="Check what the file is, or convert it first.",
    )


def _icons(file: Path) -> str | None:
    """Return what kind of icons a file holds, None if it is another kind of file."""
    with suppress(OSError), file.open("rb") as stream:
        head = stream.read(12)
        return next((name for start, name in _ICONS if start.match(head)), None)
    return None


def _text_of(file: Path) -> str | None:
    """Return the start of a text file, None if it is another kind of file."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return None
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head.decode("utf-16", "replace")
    else:
        # A character may be cut off at the end.
        text = head.decode("utf-8-sig", "replace").rstrip("\ufffd")
    printable = all(char.isprintable() or char.isspace() for char in text)
    return text if printable and "\ufffd" not in text else None
