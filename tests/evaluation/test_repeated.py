"""Repeated evaluation during training: the results equal those of `score`."""

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


def samples_of(faces: FaceSet, size: int, masked: bool) -> list[EvaluationSample]:
    """Samples of the camera degradation in varied light at 128 px, otherwise of the paper's."""
    kind = "camera" if size == 128 else "paper"
    settings = SampleSettings(size, kind, 0.5, camera=HARSH)
    return list(evaluation_samples(faces, Degrader(draw_sprites(4, 1), settings), masked=masked))


def generator(size: int) -> nn.Module:
    torch.manual_seed(3)
    return build("lite", tiny_arguments(size)).eval()


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(("size", "canonical"), [(128, True), (128, False), (32, False)])
def test_repeated_evaluation_equals_score(
    size: int, canonical: bool, masked: bool, face_set: FaceSet
) -> None:
    chosen = samples_of(face_set, size, masked)
    network = generator(size)
    restore = restorer(network, canonical=canonical)
    expected = score(restore, chosen, batch=4)
    repeated = RepeatedEvaluation(chosen, CPU, canonical=canonical, returned=(0, 4, 5), batch=4)
    for _ in range(2):  # the second evaluation is independent of the first
        scores, pictures = repeated.score(network)
        assert scores.keys == expected.keys
        assert list(scores.figures) == list(expected.figures)
        for name, values in expected.figures.items():
            tolerance = 1e-4 if name.startswith("psnr") else 1e-6
            assert scores.figures[name] == pytest.approx(values, abs=tolerance, nan_ok=True), name
        assert scores.means() == pytest.approx(expected.means(), abs=1e-4)
    assert np.isnan(scores.figures["psnr_covered"]).all() != masked
    restored_images = restore(to_tensor([chosen[index].pair.lr for index in (0, 4, 5)]))
    levels = (restored_images.clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
    difference = np.abs(
        np.stack(pictures) - levels
    )  # one level if sums in another order round differently
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_inputs_are_converted_to_canonical_colours_once(
    face_set: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = samples_of(face_set, 128, masked=True)
    calls: list[int] = []
    original = ColourMap.lost

    def lost(self: ColourMap, crop: np.ndarray) -> np.ndarray:
        calls.append(len(crop))
        return original(self, crop)

    monkeypatch.setattr(ColourMap, "lost", lost)
    repeated = RepeatedEvaluation(chosen, CPU, canonical=True)
    assert calls == [128] * len(chosen)
    network = generator(128)
    first, _ = repeated.score(network)
    with torch.no_grad():
        network.get_parameter("to_image.bias").add_(0.2)
    second, _ = repeated.score(network)
    assert len(calls) == len(chosen)
    assert first.mean("psnr") != second.mean("psnr")


class _FixedGenerator(nn.Module):
    """A generator with a fixed result and a uniform occlusion map."""

    def __init__(self, restored: Tensor, covered: float) -> None:
        super().__init__()
        self.restored, self.covered = restored, covered

    def forward(self, lr: Tensor) -> GeneratorOutput:
        share = torch.full((len(lr), 1, 32, 32), self.covered)
        return GeneratorOutput(self.restored, lr, lr, share)


def test_a_perfect_generator_has_infinite_psnr_on_unchanged_colours(face_set: FaceSet) -> None:
    settings = SampleSettings(128, "paper", 1.0)
    chosen = list(evaluation_samples(face_set, Degrader(draw_sprites(2, 0), settings), masked=True))
    truth = to_tensor([sample.pair.hr for sample in chosen])
    repeated = RepeatedEvaluation(chosen, CPU, canonical=False, batch=99)
    scores, pictures = repeated.score(_FixedGenerator(truth, 0.0))
    assert pictures == []
    assert np.isinf(scores.figures["psnr"]).all()
    assert scores.figures["ssim"] == pytest.approx(1)
    wrong, _ = repeated.score(_FixedGenerator(1 - truth, 0.0))
    assert wrong.mean("psnr") < 25
