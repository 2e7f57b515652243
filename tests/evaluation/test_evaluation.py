"""Metrics of single methods: regions, batches and intervals."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut
from torch import Tensor

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import (
    Degrader,
    EvaluationSample,
    SampleSettings,
    evaluation_samples,
    to_tensor,
)
from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.methods import Method, bicubic, from_lr, in_canonical_colours
from jdsr_cli.evaluation.scoring import Scores, evaluate, score
from jdsr_cli.evaluation.statistics import estimate, result_rows
from jdsr_cli.synthesis.compression import resize_bicubic
from jdsr_cli.synthesis.mask_drawing import draw_sprites


@pytest.fixture(scope="module")
def evaluated(face_set: FaceSet) -> list[EvaluationSample]:
    degrader = Degrader(draw_sprites(2, 0), SampleSettings(32, "paper", 1.0))
    return list(evaluation_samples(face_set, degrader, masked=True))


def truth_of(evaluated: list[EvaluationSample]) -> Tensor:
    return to_tensor([sample.pair.hr for sample in evaluated])


class Brightness:
    """A metric that compares the mean brightness of images."""

    figure = "lpips"
    protocol = "difference of means"
    calls = 0

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        self.calls += 1
        return (images.mean(dim=(1, 2, 3)),)

    def compare(self, restored: tuple[Tensor, ...], truth: tuple[Tensor, ...]) -> Tensor:
        return (restored[0] - truth[0]).abs()


def test_bicubic_equals_pil(face_set: FaceSet) -> None:
    small = np.stack([resize_bicubic(np.asarray(image), 32) for image in face_set.images])
    restored = bicubic(to_tensor(list(small)))
    expected = Image.fromarray(small[2]).resize((128, 128), Image.Resampling.BICUBIC)
    levels = (restored[2] * 255).round().permute(1, 2, 0).numpy()
    assert np.array_equal(levels, np.asarray(expected))


def test_errors_outside_the_mask_do_not_affect_the_covered_metrics(
    evaluated: list[EvaluationSample],
) -> None:
    truth = truth_of(evaluated)
    covered = torch.from_numpy(np.stack([sample.alpha for sample in evaluated])[:, None]) > 0.5
    wrong = torch.where(covered, truth, 1 - truth)
    scores = score(lambda lr: wrong, evaluated, batch=99)
    assert scores.keys == tuple(sample.key for sample in evaluated)
    assert np.isinf(scores.figures["psnr_covered"]).all()
    assert (scores.figures["psnr_beside"] < scores.figures["psnr"]).all()
    assert (scores.figures["ssim_beside"] < scores.figures["ssim_covered"]).all()
    assert scores.mean("psnr") < 25
    perfect = score(lambda lr: truth, evaluated, batch=99)
    assert perfect.figures["ssim"] == pytest.approx(1)
    assert perfect.mean("psnr_crop") == float("inf")


def test_the_ignored_border_is_as_wide_as_the_scale(evaluated: list[EvaluationSample]) -> None:
    truth = truth_of(evaluated)
    framed = 1 - truth
    framed[..., 4:-4, 4:-4] = truth[..., 4:-4, 4:-4]
    scores = score(lambda lr: framed, evaluated, batch=99)
    assert np.isinf(scores.figures["psnr_crop"]).all()
    assert scores.figures["ssim_crop"] == pytest.approx(1)
    framed[..., 4, 64] = 1 - framed[..., 4, 64]
    scores = score(lambda lr: framed, evaluated, batch=99)
    assert np.isfinite(scores.figures["psnr_crop"]).all()


def test_bicubic_at_scale_1_returns_the_input(face_set: FaceSet) -> None:
    degrader = Degrader(draw_sprites(2, 0), SampleSettings(128, "paper", 1.0))
    samples = list(evaluation_samples(face_set, degrader, masked=True))
    given = to_tensor([sample.pair.lr for sample in samples])
    assert torch.equal(bicubic(given), given)
    framed = truth_of(samples)
    framed[:, :, [0, -1]] = 1 - framed[:, :, [0, -1]]
    framed[..., [0, -1]] = 1 - framed[..., [0, -1]]
    scores = score(lambda lr: framed, samples, batch=99)
    assert np.isinf(scores.figures["psnr_crop"]).all()
    assert np.isfinite(scores.figures["psnr"]).all()


def test_metrics_are_independent_of_the_batch_size(face_set: FaceSet) -> None:
    bare = list(
        evaluation_samples(face_set, Degrader([], SampleSettings(32, "paper", 0.0)), masked=False)
    )
    whole, parts = (score(bicubic, bare, batch=batch) for batch in (6, 4))
    assert whole.keys == parts.keys == face_set.keys
    for name, values in whole.figures.items():
        assert values == pytest.approx(parts.figures[name], abs=1e-9, nan_ok=True)
    assert np.isnan(whole.figures["psnr_covered"]).all()  # nothing is covered on a bare face
    assert whole.figures["psnr_beside"] == pytest.approx(whole.figures["psnr"])
    assert set(whole.means()) == {
        "psnr", "ssim", "psnr_crop", "ssim_crop", "psnr_beside", "ssim_beside",
    }  # fmt: skip


def test_means_ignore_faces_without_a_value() -> None:
    figures = {"psnr": np.array([20.0, 30.0]), "psnr_covered": np.array([np.nan, 15.0])}
    scores = Scores(("a", "b"), {**figures, "ssim": np.array([np.nan, np.nan])})
    assert scores.means() == {"psnr": 25, "psnr_covered": 15}
    assert np.isnan(scores.mean("ssim"))


def test_every_method_receives_the_same_samples(evaluated: list[EvaluationSample]) -> None:
    received: dict[str, list[Tensor]] = {"one": [], "two": []}

    def recording_method(name: str) -> Method:
        def restore(lr: Tensor) -> Tensor:
            received[name].append(lr)
            return bicubic(lr)

        return Method(name, from_lr(restore))

    result = evaluate([recording_method("one"), recording_method("two")], iter(evaluated), batch=4)
    assert [len(batch) for batch in received["one"]] == [4, 2]
    for one, other in zip(received["one"], received["two"], strict=True):
        assert torch.equal(one, other)
    assert result["one"].figures["psnr"] == pytest.approx(result["two"].figures["psnr"])


def test_a_timed_method_runs_once_before_the_measurement(
    evaluated: list[EvaluationSample], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    calls: list[int] = []

    def restore(lr: Tensor) -> Tensor:
        nonlocal now
        now += 100.0 if not calls else 0.5 * len(lr)
        calls.append(len(lr))
        return bicubic(lr)

    monkeypatch.setattr("jdsr_cli.evaluation.scoring.perf_counter", lambda: now)
    methods = [Method("timed", from_lr(restore), timed=True), Method("not", from_lr(lambda lr: lr))]
    result = evaluate(methods[:1], evaluated, batch=4)
    assert calls == [4, 4, 2]
    assert result["timed"].faces_per_second == pytest.approx(2.0)
    assert score(restore, evaluated).faces_per_second is None


def test_metrics_receive_rounded_images_and_the_truth_once(
    evaluated: list[EvaluationSample],
) -> None:
    metric = Brightness()
    truth = truth_of(evaluated)
    methods = [
        Method("off", lambda group: truth - 0.2 / 255),  # rounds to the truth
        Method("dark", lambda group: truth * 0),
    ]
    result = evaluate(methods, evaluated, metrics=[metric], batch=99)
    assert metric.calls == 3
    assert result["off"].figures["lpips"] == pytest.approx(0, abs=1e-7)
    means = truth.mean(dim=(1, 2, 3)).numpy()
    assert result["dark"].figures["lpips"] == pytest.approx(means, abs=1e-6)


def test_images_of_another_size_are_rejected(evaluated: list[EvaluationSample]) -> None:
    method = Method("small", lambda group: torch.zeros(len(group), 3, 64, 64))
    with pytest.raises(UsageError, match=r"astronaut0: small returns 6 of 64x64.*6 of 128x128"):
        evaluate([method], evaluated, batch=99)


def test_intervals_approach_those_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(28.0, 2.0, 400)
    result = estimate({"psnr": values})["psnr"]
    half = 1.96 * values.std() / 20
    assert result.mean == pytest.approx(values.mean())
    assert result.faces == 400
    assert result.low is not None
    assert result.high is not None
    assert result.low == pytest.approx(result.mean - half, abs=0.1 * half)
    assert result.high == pytest.approx(result.mean + half, abs=0.1 * half)
    assert estimate({"psnr": values}) == {"psnr": result}  # the draw is seeded
    assert estimate({"psnr": values}, seed=1)["psnr"].low != result.low


def test_columns_are_resampled_together_and_gaps_ignored() -> None:
    generator = np.random.default_rng(1)
    first = generator.normal(20, 5, 60)
    gaps = np.where(np.arange(60) % 3 == 0, np.nan, first)
    result = estimate({"first": first, "gain": first + 1 - first, "gaps": gaps,
                      "none": np.full(60, np.nan), "inf": np.where(first > 25, np.inf, first),
                      "lone": np.where(np.arange(60) == 7, 3.0, np.nan)})  # fmt: skip
    assert set(result) == {"first", "gain", "gaps", "inf", "lone"}
    assert result["gain"].low == pytest.approx(1)
    assert result["gain"].high == pytest.approx(1)
    assert result["gaps"].faces == 40
    assert result["gaps"].mean == pytest.approx(np.nanmean(gaps))
    assert result["gaps"].low < result["gaps"].mean < result["gaps"].high
    assert result["inf"].mean == float("inf")
    assert result["inf"].low is None
    assert (result["lone"].mean, result["lone"].low, result["lone"].faces) == (3.0, None, 1)


def test_better_share_counts_faces_above_the_first_method() -> None:
    keys = tuple("abcde")
    base = {"psnr": np.array([20.0, 21.0, 22.0, np.inf, 24.0]), "ssim": np.full(5, 0.5),
            "psnr_covered": np.full(5, np.nan), "identity": np.full(5, 0.1)}  # fmt: skip
    other = {"psnr": np.array([19.0, 21.0, 23.0, np.inf, 25.0]),
             "ssim": np.array([0.6, 0.6, 0.6, 0.6, np.nan]),
             "psnr_covered": np.full(5, np.nan), "identity": np.full(5, 0.2)}  # fmt: skip
    first, second = result_rows("plain", {"a": Scores(keys, base), "b": Scores(keys, other)})
    assert first.better_share == {}
    assert second.better_share == {"psnr": 0.4, "ssim": 1.0}


def test_columns_with_infinities_of_both_signs_are_omitted() -> None:
    mixed_signs = np.array([np.inf, -np.inf, 3.0])
    result = estimate(
        {"torn": mixed_signs, "below": -np.abs(mixed_signs), "whole": np.array([1.0, 2.0, 3.0])}
    )
    assert set(result) == {"below", "whole"}
    assert (result["below"].mean, result["below"].low) == (float("-inf"), None)


def test_differences_are_paired_by_face_with_the_first_method() -> None:
    base = np.random.default_rng(2).normal(20, 6, 50)
    gain = np.random.default_rng(3).normal(1, 0.1, 50)
    keys = tuple(map(str, range(50)))
    scores = {"a": Scores(keys, {"psnr": base}), "b": Scores(keys, {"psnr": base + gain})}
    first, second = result_rows("masked", scores)
    assert first.differences == {}
    difference = second.differences["psnr"]
    assert difference.mean == pytest.approx(gain.mean())
    assert difference.high - difference.low < 0.1  # that of the means alone is over 3
    assert second.estimates["psnr"].high - second.estimates["psnr"].low > 2


def test_in_canonical_colours_converts_inputs_and_converts_results_back() -> None:
    inputs: list[torch.Tensor] = []

    def run(lr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        inputs.append(lr)
        return lr, torch.zeros(len(lr), 1, 32, 32)

    rng = np.random.default_rng(0)
    dark = torch.from_numpy(rng.integers(4, 16, (2, 3, 128, 128))).float() / 255
    dark[1] = dark[1, :1]
    restored = in_canonical_colours(run)(dark)
    assert float(inputs[0].mean()) > 5 * float(dark.mean())
    assert float((restored - dark).abs().max()) < 1.01 / 255
    normal = torch.from_numpy(astronaut()[56:184, 162:290].copy()).permute(2, 0, 1)[None] / 255
    in_canonical_colours(run)(normal)
    assert torch.equal(inputs[1], normal.float())


@pytest.mark.parametrize(
    ("region", "colour"),
    [
        ((slice(None), slice(0, 20)), (0.8, 0.8, 0.8)),  # a bright wall beside a dark face
        ((slice(0, 24), slice(None)), (0.9, 0.7, 0.2)),  # a lamp above it
        ((slice(50, 56), slice(80, 90)), (1.0, 1.0, 1.0)),  # a reflection on its skin
    ],
)
def test_pixels_too_bright_for_canonical_colours_are_preserved_unless_covered(
    region: tuple[slice, slice], colour: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(0)
    picture = torch.from_numpy(rng.integers(4, 16, (1, 3, 128, 128))).float() / 255
    picture[(0, slice(None), *region)] = torch.tensor(colour)[:, None, None]
    bare, masked = (
        in_canonical_colours(lambda lr, s=share: (lr, torch.full((1, 1, 32, 32), s)))(picture)
        for share in (0.0, 1.0)
    )
    assert float((bare - picture).abs().max()) < 1.01 / 255
    bright = (0, slice(None), *region)
    assert float(masked[bright].mean()) < 0.5 * float(picture[bright].mean())
