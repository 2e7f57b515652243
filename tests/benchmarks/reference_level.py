"""How often `--reference` accepts other people and rejects the person, by level and face width.

Run by hand: `python tests/benchmarks/reference_level.py FACES NETWORK [--split val]`. FACES has
`faces.csv` (key, archive, split, identity) and tar archives of aligned faces of 128x128 pixels.

Photographs are recorded by the simulated camera as short tracks: several frames with their own
misalignment, blur, noise and compression. Each track is compared with one photograph of every other
person, and with the other photographs of the same person.
"""

from __future__ import annotations

import argparse
import csv
import io
import tarfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from repeated_clip import print_line

from jdsr_cli.faces.embedding import RecognitionNetwork
from jdsr_cli.faces.recognition import COMPARED_FACES, pooled_similarity
from jdsr_cli.synthesis.camera import record
from jdsr_cli.synthesis.camera_settings import CameraSettings

WIDTHS = (16, 24, 32, 48, 64, 96, 128)
"""Widths of the aligned region in pixels; the box of a face is about 0.65 times as wide."""
LEVELS = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
Picture = NDArray[np.uint8]


def read_people(folder: Path, split: str, most: int) -> dict[str, list[Picture]]:
    """Return up to `most` photographs of each person of a split."""
    wanted: dict[str, dict[str, str]] = defaultdict(dict)
    count: dict[str, int] = defaultdict(int)
    with (folder / "faces.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == split and row["identity"] and count[row["identity"]] < most:
                wanted[row["archive"]][row["key"]] = row["identity"]
                count[row["identity"]] += 1
    people: dict[str, list[Picture]] = defaultdict(list)
    for archive, keys in wanted.items():
        with tarfile.open(folder / archive) as tar:
            for member in tar:
                person = keys.get(Path(member.name).stem)
                content = None if person is None else tar.extractfile(member)
                if person is not None and content is not None:
                    picture = Image.open(io.BytesIO(content.read())).convert("RGB")
                    people[person].append(np.asarray(picture, np.uint8))
    return dict(sorted(people.items()))


def embed(network: RecognitionNetwork, faces: list[Picture]) -> NDArray[np.float32]:
    """Return the embeddings (n, D) of faces (128, 128, 3)."""
    images = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float().div(255.0)
    return np.asarray(network.embed(images).numpy(), np.float32)


def record_track(photo: Picture, width: float, rng: np.random.Generator) -> list[Picture]:
    """Return the frames of a track of a photograph, each (128, 128, 3)."""
    camera = CameraSettings(native_width=(width, width))
    bare = np.zeros(photo.shape[:2], np.float32)
    return [record(photo, photo, bare, 128, rng, camera).lr for _ in range(COMPARED_FACES)]


def main() -> None:
    """Print a line for each width."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", type=Path)
    parser.add_argument("network", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--photos", type=int, default=4, help="photographs of each person")
    arguments = parser.parse_args()
    network = RecognitionNetwork(arguments.network)
    people = read_people(arguments.faces, arguments.split, arguments.photos)
    photos = {name: embed(network, pictures) for name, pictures in people.items()}
    print_line(f"{len(people)} people, {sum(map(len, people.values()))} photographs")
    print_line("% of others accepted / % of tracks of the person rejected, by level")
    for width in WIDTHS:
        rng = np.random.default_rng(width)
        others: list[float] = []
        own: list[float] = []
        for name, pictures in people.items():
            for number, photo in enumerate(pictures):
                faces = list(embed(network, record_track(photo, width, rng)))
                for other, references in photos.items():
                    same = other == name
                    rest = [k for k in range(len(references)) if not same or k != number]
                    for k in rest if same else rest[:1]:
                        similarity = pooled_similarity(faces, references[k])
                        (own if same else others).append(similarity or 0.0)
        rates = [
            f"{level:g}: {100 * np.mean(np.array(others) >= level):.2f}/"
            f"{100 * np.mean(np.array(own) < level):.1f}"
            for level in LEVELS
        ]
        line = f"{width} px, {len(others)} and {len(own)} comparisons, "
        print_line(f"{line}median of the person {np.median(own):.2f}; {'  '.join(rates)}")


if __name__ == "__main__":
    main()
