"""Inputs that are no regular files: refused at once, with the right words."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from clips import COUNT, encode

from jdsr_cli.errors import InputError, InputUnreadableError
from jdsr_cli.evidence import MANIFEST, read_manifest
from jdsr_cli.media import expand_inputs, open_reader

SECONDS = 20.0


def answer(work: Callable[[], object]) -> BaseException | None:
    """Return what a call raises; it may not wait."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except InputError as fault:
            raised.append(fault)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive(), "it waits"
    return raised[0] if raised else None


def make_pipe(folder: Path) -> Path:
    path = folder / "cam.mp4"
    os.mkfifo(path)
    return path


def make_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as server:
        # The address of a socket is limited to about 100 characters.
        short = Path(tempfile.mkdtemp()) / "s.mp4"
        server.bind(str(short))
    path = folder / "s.mp4"
    path.symlink_to(short)
    return path


def make_link_to_a_pipe(folder: Path) -> Path:
    path = folder / "link.mp4"
    path.symlink_to(make_pipe(folder))
    return path


KINDS = {
    "named pipe": make_pipe,
    "socket": make_socket,
    "character device": lambda _: Path("/dev/zero"),
    "a character device": lambda _: Path("/dev/random"),
    "named pipe (FIFO)": make_link_to_a_pipe,
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_no_regular_file_is_refused_without_opening_it(tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path)
    for work in (lambda: expand_inputs([str(path)])[1], lambda: open_reader(path)):
        fault = answer(work)
        if fault is None:
            (fault,) = expand_inputs([str(path)])[1]
        assert isinstance(fault, InputUnreadableError)
        assert kind in str(fault)
        assert str(path) in str(fault)
        assert "--stdin" in str(fault)


def test_a_pipe_with_a_writer_is_refused_and_nothing_is_taken_from_it(tmp_path: Path) -> None:
    path = make_link_to_a_pipe(tmp_path)
    ends = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(ends, b"video")
        fault = answer(lambda: open_reader(path))
        assert isinstance(fault, InputUnreadableError)
        assert os.read(ends, 10) == b"video"
    finally:
        os.close(ends)


def test_other_inputs_are_not_affected(tmp_path: Path) -> None:
    pipe, photo = make_pipe(tmp_path), tmp_path / "a.png"
    photo.touch()
    files, faults = expand_inputs([str(pipe), str(photo), str(tmp_path)])
    assert files == [photo]
    assert [fault.where for fault in faults] == [str(pipe)]


@pytest.mark.parametrize(
    "name",
    [
        "rtsp://camera/1", "http://host/a.mp4", "https://host/a.mp4", "RTSPS://user:word@host/x",
        "udp://239.0.0.1:5000", "srt://host:9000", "file:///a.mp4", "concat:a.mp4|b.mp4", "pipe:0",
    ],
)  # fmt: skip
def test_addresses_are_refused_as_such(tmp_path: Path, name: str) -> None:
    files, (fault,) = expand_inputs([name])
    assert files == []
    assert isinstance(fault, InputUnreadableError)
    assert fault.where == name
    assert "only files are read" in str(fault)
    assert "spelling" not in str(fault)


def test_standard_input_is_read_only_where_asked_for() -> None:
    _, (fault,) = expand_inputs(["-"])
    assert "--stdin" in str(fault)


@pytest.mark.parametrize("name", ["12:30.mp4", "gate: north.mp4", "-", "a-b.mp4"])
def test_a_file_of_an_odd_name_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).touch()
    assert expand_inputs([name]) == ([Path(name)], [])


@pytest.mark.parametrize("name", ["/proc/kmsg", "/proc/self/mem", "/proc/self/environ"])
def test_files_of_the_kernel_are_not_read(name: str) -> None:
    """They have no size, and to read from some of them waits for ever."""
    if not Path(name).exists():
        pytest.skip("this system has no such file")
    fault = answer(lambda: open_reader(name))
    assert isinstance(fault, InputError)


def test_standard_input_by_its_path_is_what_it_stands_for(tmp_path: Path) -> None:
    """A pipe is refused at once; nobody writes into it."""
    reading, writing = os.pipe()
    try:
        fault = answer(lambda: open_reader(f"/dev/fd/{reading}"))
        assert isinstance(fault, InputUnreadableError)
        assert "--stdin" in str(fault)
    finally:
        os.close(reading)
        os.close(writing)
    clip = encode(tmp_path / "a.mp4")
    with clip.open("rb") as file, open_reader(f"/dev/fd/{file.fileno()}") as reader:
        assert len(list(reader)) == COUNT


def test_pictures_of_a_sequence_that_are_pipes_are_no_pictures(tmp_path: Path) -> None:
    for number in (1, 2):
        os.mkfifo(tmp_path / f"shot_{number}.png")
    fault = answer(lambda: open_reader(tmp_path / "shot_%d.png"))
    assert isinstance(fault, InputError)


def test_a_manifest_that_is_a_pipe_is_no_manifest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST)
    found: list[object] = []
    assert answer(lambda: found.append(read_manifest(tmp_path))) is None
    assert found == [{}]
