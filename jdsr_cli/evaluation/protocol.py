"""Description of an evaluation, which makes its results reproducible and comparable."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from jdsr_cli.datasets.samples import EvaluationSample
from jdsr_cli.errors import DatasetError
from jdsr_cli.evaluation.scoring import Metric
from jdsr_cli.evaluation.statistics import CONFIDENCE, RESAMPLES, SEED
from jdsr_cli.file_names import name_bytes
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import Sprite, load_templates

TEST_MASK_SEED = 777
DRAWN_MASKS = 200
_PACKAGES = ("jdsr", "torch", "torchvision", "numpy", "pillow", "opencv-python")
Y_PROTOCOL = (
    "PSNR and SSIM on Y (BT.601 limited range), outputs clamped and rounded to 8 bits, peak 255; "
    "SSIM with an 11x11 Gaussian window of sigma 1.5, K1 0.01, K2 0.03, valid positions only; "
    "means over faces of each face's figure; no border crop"
)
COVERED_PROTOCOL = (
    "pixels (SSIM: windows by their centre) that the mask covers by more than half before the face "
    "is reduced"
)
FIDELITY_PROTOCOL = (
    f"{Y_PROTOCOL}, but *_crop ignores as many pixels along each edge as the scale; *_covered and "
    f"*_beside: {COVERED_PROTOCOL}, and the others; *_unaltered: against bicubic of the input "
    "instead of the truth, pixels beside eyes and mouth, on bare faces that are only reduced; "
    "bicubic is PIL's"
)
INTERVAL_PROTOCOL = (
    f"{CONFIDENCE:.0%} percentile bootstrap over faces, {RESAMPLES:,} resamples, seed {SEED}, the "
    "same for every method and figure"
)


def describe_protocol(metrics: Sequence[Metric], device: str, batch: int) -> dict[str, str]:
    """Describe each metric and interval in sentences."""
    description = {"fidelity": FIDELITY_PROTOCOL}
    description |= {metric.figure: metric.protocol for metric in metrics}
    return description | {
        "interval": (
            f"{INTERVAL_PROTOCOL}; of shares (rank1, identity_moved) Wilson's; faces of one person "
            "count as independent; difference: of each face's figure to the reference; "
            "better_share: of the faces, on which the figure is above the reference"
        ),
        "reference": "the first method",
        "throughput": (
            "faces a second of the method alone, from 8-bit pictures in memory to float32 in "
            f"memory, one batch before the clock runs; device {_device_name(device)}, batch "
            f"{batch}, {torch.get_num_threads()} CPU threads, float32"
        ),
    }


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.machine()})" if device == "cpu" else device


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that affect the results."""
    installed = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


def eval_masks(folder: Path | None) -> tuple[list[Sprite], dict[str, str | int]]:
    """Return the masks and the description that reproduces them.

    Args:
        folder: Mask templates; None for procedurally drawn masks.

    Raises:
        DatasetError, InputMissingError: The templates cannot be read.

    """
    if folder is None:
        sprites = draw_sprites(DRAWN_MASKS, TEST_MASK_SEED)
        return sprites, {"generator": "drawn", "masks": DRAWN_MASKS, "seed": TEST_MASK_SEED}
    sprites = load_templates(folder)
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            digest.update(name_bytes(path.name) + b"\0" + path.read_bytes())
    return sprites, {
        "generator": "templates", "folder": folder.name, "masks": len(sprites),
        "sha256": digest.hexdigest(),
    }  # fmt: skip


class Fingerprint:
    """Hash of all inputs of a run, to compare the inputs of two runs."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._keys: set[str] = set()

    def update(self, samples: Iterable[EvaluationSample]) -> Iterator[EvaluationSample]:
        """Yield the samples unchanged and hash them.

        Raises:
            DatasetError: Two faces have the same name, so that results are ambiguous.

        """
        for sample in samples:
            if sample.key in self._keys:
                raise DatasetError(
                    "two faces of the set have this name",
                    where=sample.key,
                    hint="Masks, results and tables identify faces by name: rename one",
                )
            self._keys.add(sample.key)
            self._digest.update(name_bytes(sample.key) + b"\0" + sample.inputs.tobytes())
            yield sample

    @property
    def value(self) -> str:
        """The hash, 64 hexadecimal digits."""
        return self._digest.hexdigest()
