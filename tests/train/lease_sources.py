"""Small sources for staging a lease: named faces, labelled faces, masks, features."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.models import squeezenet1_1

from jdsr_train.lease.staging import StagingSources


def write_sources(
    folder: Path, write_faces: Callable[..., Path], templates: Path
) -> StagingSources:
    """Write everything that a plan may use into a folder."""
    faces = write_faces(folder / "faces6", ("train-0.tar", "train-1.tar", "val.tar", "test.tar"))
    lines = (faces / "faces.csv").read_text(encoding="utf-8").splitlines()
    named = [lines[0] + ",identity"] + [f"{line},{line.split(',')[0][:-1]}" for line in lines[1:]]
    (faces / "faces.csv").write_text("\n".join(named) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    features = folder / "squeezenet.pth"
    torch.save(squeezenet1_1(weights=None).state_dict(), features)
    return StagingSources(faces, templates, features, write_labelled(folder / "parts.tar"))


def write_labelled(path: Path) -> Path:
    """Write a few pictures with label maps, skin in the middle of background."""
    rng = np.random.default_rng(0)
    labels = np.zeros((64, 64), np.uint8)
    labels[16:48, 16:48] = 1
    with tarfile.open(path, "w") as archive:
        for split, count in (("train", 5), ("val", 2), ("test", 1)):
            for number in range(count):
                noise = rng.integers(0, 20, (64, 64, 3))
                picture = (np.where(labels[..., None] > 0, 200, 60) + noise).astype(np.uint8)
                for suffix, image in (("webp", picture), ("png", labels)):
                    stream = io.BytesIO()
                    Image.fromarray(image).save(stream, format=suffix)
                    member = tarfile.TarInfo(f"{split}/{number}.{suffix}")
                    member.size = len(stream.getvalue())
                    archive.addfile(member, io.BytesIO(stream.getvalue()))
    return path
