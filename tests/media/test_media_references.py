"""Files that name other files or addresses: nothing but the given file is ever opened."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from clips import encode, picture

from jdsr_cli.errors import MediaError
from jdsr_cli.media import open_reader
from jdsr_cli.media.containers import DEMUXERS, open_container
from jdsr_cli.media.reading.data_references import external_references

SECONDS = 20.0
"""Time within which a refusal must come; a followed pipe would never answer."""


class Listener:
    """A server on loopback that counts connections and datagrams."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(("127.0.0.1", self.port))
        self._server.setblocking(False)
        self._datagrams.setblocking(False)

    def contacts(self) -> int:
        """Return how often anybody came."""
        count = 0
        for accept in (self._server.accept, lambda: self._datagrams.recvfrom(65536)):
            try:
                accept()[0]
                count += 1
            except BlockingIOError:
                continue
        return count

    def close(self) -> None:
        self._server.close()
        self._datagrams.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    yield server
    server.close()


def playlists(secret: Path, port: int) -> dict[str, str]:
    """Texts that make FFmpeg open `secret` or connect to the port, where it may."""
    address = f"http://127.0.0.1:{port}/a.ts"
    return {
        "concat": f"ffconcat version 1.0\nfile '{secret}'\nduration 1\n",
        "concat without a header": f"file {secret.name}\nfile {secret}\n",
        "hls file": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "hls address": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n",
        "dash": (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
            f'<Representation id="1" bandwidth="1"><BaseURL>{address}</BaseURL>'
            "</Representation></AdaptationSet></Period></MPD>"
        ),
        "imf": (
            '<?xml version="1.0"?><cpl:CompositionPlaylist '
            'xmlns:cpl="http://www.smpte-ra.org/schemas/2067-3/2016"><cpl:Id>urn:uuid:1'
            "</cpl:Id></cpl:CompositionPlaylist>"
        ),
        "sdp": (
            f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
        ),
        "playlist": f"[playlist]\nFile1={address}\nNumberOfEntries=1\n",
        "reference": f"[Reference]\nRef1={address}\n",
        "asx": f'<asx version="3.0"><entry><ref href="{address}"/></entry></asx>',
        "filter graph": f"movie={secret}\n",
        "utf-16": f"#EXTM3U\n#EXTINF:1,\n{address}\n",
    }


SUFFIXES = ("mp4", "m3u8", "ffconcat", "mpd", "sdp", "jpg", "xml")


@pytest.mark.parametrize("name", list(playlists(Path("secret"), 1)))
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_text_that_names_others_is_refused_and_followed_nowhere(
    tmp_path: Path, listener: Listener, name: str, suffix: str
) -> None:
    secret = encode(tmp_path / "secret.mp4")
    opened = secret.stat().st_atime_ns
    path = tmp_path / f"list.{suffix}"
    encoding = "utf-16" if name == "utf-16" else "utf-8"
    path.write_text(playlists(secret, listener.port)[name], encoding=encoding)
    with pytest.raises(MediaError, match="names other files or addresses") as caught:
        open_reader(path)
    assert str(path) in str(caught.value)
    assert listener.contacts() == 0
    assert secret.stat().st_atime_ns == opened


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n{}\n", "file {}\n"])
def test_a_pipe_that_a_file_names_is_not_opened(tmp_path: Path, text: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "list.mp4"
    path.write_text(text.format(pipe))
    faults: list[BaseException] = []

    def read() -> None:
        try:
            open_reader(path)
        except MediaError as fault:
            faults.append(fault)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert len(faults) == 1


def test_a_salvaged_stream_cannot_name_others(tmp_path: Path, listener: Listener) -> None:
    path = tmp_path / "recorder.dav"
    playlist = f"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:{listener.port}/a.ts\n"
    path.write_bytes(b"\x00\x01REC" * 16 + playlist.encode() * 40)
    with pytest.raises(MediaError):
        open_reader(path)
    assert listener.contacts() == 0


def test_a_picture_with_a_number_field_in_its_name_is_one_picture(tmp_path: Path) -> None:
    for name in ("shot_%d.dpx", "shot_1.dpx", "shot_2.dpx"):
        colour = 250 if "%" in name else 5
        with av.open(str(tmp_path / "single.dpx"), "w", format="image2") as output:
            stream = output.add_stream("dpx", rate=1)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
            image = np.full((48, 64, 3), colour, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        (tmp_path / "single.dpx").rename(tmp_path / name)
    with open_reader(tmp_path / "shot_%d.dpx") as reader:
        frames = list(reader)
    assert reader.info.kind == "image"
    assert [int(frame.image.mean()) for frame in frames] == [250]


@pytest.mark.parametrize("codec", ["pcx", "qoi", "sgi"])
def test_pictures_that_only_ffmpeg_reads_are_read_by_their_content(
    tmp_path: Path, codec: str
) -> None:
    path = tmp_path / "whole.bin"
    with av.open(str(path), "w", format="image2") as output:
        stream = output.add_stream(codec, rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(picture(0), format="rgb24")))
        output.mux(stream.encode(None))
    for suffix in ("", ".jpg", f".{codec}", ".mp4"):
        named = path.rename(path.with_suffix(suffix))
        with open_reader(named) as reader:
            assert np.array_equal(next(reader).image, picture(0)), suffix
        path = named


def dref(path: Path, kind: bytes, content: bytes, flags: int) -> Path:
    """Replace the data references of a QuickTime file, whose boxes keep their sizes."""
    data = path.read_bytes()
    start = data.index(b"dref") - 4
    size = int.from_bytes(data[start : start + 4], "big")
    entry = (12 + len(content)).to_bytes(4, "big") + kind + flags.to_bytes(4, "big") + content
    box = b"dref" + (0).to_bytes(4, "big") + (1).to_bytes(4, "big") + entry
    new = (4 + len(box)).to_bytes(4, "big") + box
    grown = len(new) - size
    patched = bytearray(data[:start] + new + data[start + size :])
    for parent in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = patched.rindex(parent, 0, start + 4) - 4
        old = int.from_bytes(patched[at : at + 4], "big")
        patched[at : at + 4] = (old + grown).to_bytes(4, "big")
    path.write_bytes(bytes(patched))
    return path


@pytest.mark.parametrize("container", ["mp4", "mov"])
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"url ", b"file:///etc/hostname\0"),
        (b"url ", b"http://127.0.0.1/a.mp4\0"),
        (b"urn ", b"urn:x\0other.mov\0"),
        (b"alis", b"\0" * 8 + b"Disk:other.mov"),
    ],
)
def test_media_data_in_another_file_are_refused(
    tmp_path: Path, container: str, kind: bytes, content: bytes
) -> None:
    path = encode(tmp_path / f"a.{container}", container=container)
    with open_reader(path) as reader:
        assert len(list(reader)) == 12
    dref(path, kind, content, flags=0)
    with pytest.raises(MediaError, match="lie in another file"):
        open_reader(path)


@pytest.mark.parametrize(("content", "flags"), [(b"", 1), (b"here.mov\0", 1), (b"\0\0", 0)])
def test_data_references_to_the_file_itself_are_accepted(
    tmp_path: Path, content: bytes, flags: int
) -> None:
    path = dref(encode(tmp_path / "a.mp4"), b"url ", content, flags)
    assert external_references(path) == []
    with open_reader(path) as reader:
        assert len(list(reader)) == 12


def test_a_reference_movie_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reference.mov"
    place = b"\0" * 4 + b"url " + (9).to_bytes(4, "big") + b"other.mov"
    box = place
    for kind in (b"rdrf", b"rmda", b"rmra", b"moov"):
        box = (8 + len(box)).to_bytes(4, "big") + kind + box
    path.write_bytes((16).to_bytes(4, "big") + b"ftypqt  " + b"\0" * 4 + box)
    with pytest.raises(MediaError, match="a reference movie"):
        open_reader(path)


def test_no_demuxer_that_follows_references_is_allowed() -> None:
    following = {
        "concat", "hls", "dash", "imf", "sdp", "rtsp", "rtp", "sap", "lavfi", "image2", "vobsub",
        "webm_dash_manifest", "image2pipe", "svg_pipe", "fbdev", "x11grab", "alsa", "kmsgrab",
        "video4linux2", "v4l2",
    }  # fmt: skip
    assert not DEMUXERS & following


@pytest.mark.parametrize("demuxer", ["concat", "lavfi", "hls", "image2"])
def test_naming_such_a_demuxer_opens_nothing(tmp_path: Path, demuxer: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(MediaError):
        open_container(path, demuxer)
