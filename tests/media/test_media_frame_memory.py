"""Frames are converted without reading memory that does not belong to them."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, mmap, os, sys
import numpy as np
from jdsr_cli.media.deep_frames import from_deep_rgb
from jdsr_cli.media.frames import from_rgb

for size, pixel_format in zip(sys.argv[1::2], sys.argv[2::2]):
    width, height = map(int, size.split("x"))
    kind, convert = (np.uint16, from_deep_rgb) if "16" in pixel_format else (np.uint8, from_rgb)
    length = 3 * width * height * np.dtype(kind).itemsize
    page = mmap.PAGESIZE
    end = -(-length // page) * page
    memory = mmap.mmap(-1, end + page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + end
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), page, 0) == 0
    image = np.frombuffer(memory, kind, 3 * width * height, end - length)
    frame = convert(image.reshape(height, width, 3), pixel_format, 1, full_range=False)
    assert (frame.width, frame.height) == (width, height)
os._exit(0)
"""
"""Converts pictures that end where memory cannot be read any more."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages are protected by mprotect")
def test_a_picture_may_end_at_the_end_of_mapped_memory() -> None:
    cases = ["3108x10", "yuv420p", "200x6", "yuv444p", "333x4", "yuv420p", "334x3", "gbrp16le"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *cases], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
