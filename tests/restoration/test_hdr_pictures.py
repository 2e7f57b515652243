"""Whole runs on still pictures of HDR, with people of SDR photographs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from media.deep_clips import Picture
from media.hdr_pictures import ALL_TAGS, WRITERS
from PIL import Image
from suite_clips import lines

from jdsr_cli.restoration import restore
from jdsr_cli.settings import RestoreSettings

VARIANTS = [
    ("PNG, 8 bits", "PQ"),
    ("PNG, 16 bits", "HLG"),
    ("HEIC, 10 bits", "PQ"),
    ("HEIC, 8 bits", "HLG, P3"),
    ("AVIF, 12 bits", "PQ, P3"),
    ("AVIF, 10 bits", "HLG"),
    ("JPEG", "PQ"),
    ("TIFF, 16 bits", "PQ"),
]


@pytest.mark.parametrize(("name", "tags"), VARIANTS)
def test_people_are_found_and_judged_bare(
    tmp_path: Path, astronaut: Picture, hopper: Picture, name: str, tags: str
) -> None:
    scene = np.full((180, 320, 3), 90, np.uint8)
    scene[30:150, 20:140] = astronaut
    scene[30:150, 180:300] = hopper
    file, bits, write = WRITERS[name]
    colours = ALL_TAGS[tags]
    path = write(tmp_path / file, colours.encode(scene), colours)
    chosen = RestoreSettings(detector="centerface", device="cpu", label=False, frame_scale=1)
    assert restore([path], tmp_path / "out", chosen).exit_code == 0
    folder = tmp_path / "out" / "a"
    records = lines(folder / "faces.jsonl")
    assert [record["mask"] for record in records] == ["bare", "bare"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["media"]["colour_transfer"] == colours.transfer
    assert manifest["media"]["bit_depth"] == bits
    assert sum("converted from HDR" in note for note in manifest["notes"]) == 1
    with Image.open(folder / "restored.png") as restored:
        assert (restored.format, restored.mode) == ("PNG", "RGB")
        shown = np.asarray(restored).astype(int)
    background = np.abs(shown[:20] - scene[:20])
    assert np.median(background) <= 1
