"""Faces measured again and again while a generator is trained: the figures are those of `score`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_generator import tiny_arguments
from torch import Tensor, nn

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import (
    Degrader,
    EvaluationSample,
    SampleSettings,
    evaluation_samples,
    to_tensor,
)
from jdsr_cli.evaluation.methods import restorer
from jdsr_cli.evaluation.repeated import RepeatedEvaluation
from jdsr_cli.evaluation.scoring import score
from jdsr_cli.faces.canonical_colours import ColourMap
from jdsr_cli.networks import GeneratorOutput, build
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.mask_drawing import draw_sprites

HARSH = CameraSettings(
    native_width=(24.0, 64.0), infrared=0.4, tinted=0.5, cast=0.5, dark=0.5, overexposed=0.2
)
CPU = torch.device("cpu")


def seen(faces: FaceSet, size: int, masked: bool) -> list[EvaluationSample]:
    """Faces as a camera films them in all sorts of light, or, small, as the paper reduces them."""
    kind = "camera" if size == 128 else "paper"
    settings = SampleSettings(size, kind, 0.5, camera=HARSH)
    return list(evaluation_samples(faces, Degrader(draw_sprites(4, 1), settings), masked=masked))


def generator(size: int) -> nn.Module:
    torch.manual_seed(3)
    return build("lite", tiny_arguments(size)).eval()


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(("size", "canonical"), [(128, True), (128, False), (32, False)])
def test_figures_are_those_of_score(
    size: int, canonical: bool, masked: bool, face_set: FaceSet
) -> None:
    chosen = seen(face_set, size, masked)
    network = generator(size)
    restore = restorer(network, canonical=canonical)
    wanted = score(restore, chosen, batch=4)
    repeated = RepeatedEvaluation(chosen, CPU, canonical=canonical, kept=(0, 4, 5), batch=4)
    for _ in range(2):  # nothing of the first time is left in the second
        found, pictures = repeated.score(network)
        assert found.keys == wanted.keys
        assert list(found.figures) == list(wanted.figures)
        for name, values in wanted.figures.items():
            close = 1e-4 if name.startswith("psnr") else 1e-6
            assert found.figures[name] == pytest.approx(values, abs=close, nan_ok=True), name
        assert found.means() == pytest.approx(wanted.means(), abs=1e-4)
    assert np.isnan(found.figures["psnr_covered"]).all() != masked
    given = restore(to_tensor([chosen[place].pair.lr for place in (0, 4, 5)]))
    levels = (given.clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
    gap = np.abs(np.stack(pictures) - levels)  # a level where sums in another order round to it
    assert gap.max() <= 1
    assert (gap > 0).mean() < 1e-3


def test_faces_are_brought_to_canonical_colours_once(
    face_set: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = seen(face_set, 128, masked=True)
    made: list[int] = []
    right = ColourMap.lost

    def lost(self: ColourMap, filmed: np.ndarray) -> np.ndarray:
        made.append(len(filmed))
        return right(self, filmed)

    monkeypatch.setattr(ColourMap, "lost", lost)
    repeated = RepeatedEvaluation(chosen, CPU, canonical=True)
    assert made == [128] * len(chosen)
    network = generator(128)
    first, _ = repeated.score(network)
    with torch.no_grad():
        network.get_parameter("to_image.bias").add_(0.2)
    second, _ = repeated.score(network)
    assert len(made) == len(chosen)
    assert first.mean("psnr") != second.mean("psnr")


class _Held(nn.Module):
    """A generator that gives what it is told, covered nowhere or everywhere."""

    def __init__(self, restored: Tensor, covered: float) -> None:
        super().__init__()
        self.restored, self.covered = restored, covered

    def forward(self, lr: Tensor) -> GeneratorOutput:
        share = torch.full((len(lr), 1, 32, 32), self.covered)
        return GeneratorOutput(self.restored, lr, lr, share)


def test_a_perfect_generator_has_no_error_on_unchanged_colours(face_set: FaceSet) -> None:
    settings = SampleSettings(128, "paper", 1.0)
    chosen = list(evaluation_samples(face_set, Degrader(draw_sprites(2, 0), settings), masked=True))
    truth = to_tensor([sample.pair.hr for sample in chosen])
    repeated = RepeatedEvaluation(chosen, CPU, canonical=False, batch=99)
    found, pictures = repeated.score(_Held(truth, 0.0))
    assert pictures == []
    assert np.isinf(found.figures["psnr"]).all()
    assert found.figures["ssim"] == pytest.approx(1)
    wrong, _ = repeated.score(_Held(1 - truth, 0.0))
    assert wrong.mean("psnr") < 25
