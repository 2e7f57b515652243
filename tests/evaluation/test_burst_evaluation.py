"""`jdsr eval --burst`: simulated tracks, methods that combine their shots, and the results."""

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_generator import tiny_arguments

from jdsr_cli.datasets.face_set import FaceSet, subset
from jdsr_cli.datasets.samples import to_tensor
from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.comparison import Comparison, compare
from jdsr_cli.evaluation.methods import Method, NamedRestorer, open_restorers
from jdsr_cli.evaluation.metrics.face_region import FaceRegionMetric
from jdsr_cli.evaluation.scoring import evaluate
from jdsr_cli.evaluation.track_methods import methods_for_tracks
from jdsr_cli.evaluation.tracks import EvaluationTrack, TrackScene, scenes
from jdsr_cli.faces.regions import face_region
from jdsr_cli.networks import build
from jdsr_cli.settings import EvalSettings
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import Sprite
from jdsr_cli.synthesis.tracks import RecordedTrack
from jdsr_cli.weights import save_network

Weights = Callable[[int], Path]


@pytest.fixture(scope="module")
def sprites() -> list[Sprite]:
    return draw_sprites(4, 1)


@pytest.fixture(scope="module")
def plain(face_set: FaceSet) -> list[EvaluationTrack]:
    return list(TrackScene("plain", 56, 4, 128, ()).samples(subset(face_set, [0, 3])))


@pytest.fixture(scope="module")
def burst_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("burst") / "stack.safetensors"
    arguments = {**tiny_arguments(128), "weight_width": 8, "rank": 2}
    torch.manual_seed(1)
    network = build("burst", arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad and not parameter.any():
                parameter.normal_(std=0.05)
        # The untrained head predicts every pixel half covered; with this bias none is.
        network.single.head.bias[6] = -6.0
    save_network(path, "burst", arguments, network, {})
    return path


def by_name(restorer: NamedRestorer, *counts: int) -> dict[str, Method]:
    return {kind.name: method for kind, method in methods_for_tracks(restorer, counts)}


def opened(path: Path | str) -> NamedRestorer:
    return open_restorers([str(path)], None)[0][0]


def with_frames(sample: EvaluationTrack, frames: list[np.ndarray]) -> EvaluationTrack:
    """Return the sample with other bare shots of the same person or of another."""
    closed = np.zeros((len(frames), *frames[0].shape[:2]), np.float32)
    track = RecordedTrack(
        np.stack(frames), closed, closed, sample.track.truth, (False,) * len(frames), 56.0
    )
    return replace(sample, track=track)


def test_scenes_are_bare_masked_and_uncovered_at_every_width(sprites: list[Sprite]) -> None:
    names = [one.name for one in scenes((20, 64), 4, 128, sprites)]
    assert names == [
        "plain 20 px", "plain 64 px", "masked 20 px", "masked 64 px",
        "uncovered 20 px", "uncovered 64 px",
    ]  # fmt: skip
    single = [one.name for one in scenes((), 1, 128, sprites)]
    assert len(single) == 8
    assert not any(name.startswith("uncovered") for name in single)


@pytest.mark.parametrize(("shots", "bare"), [(2, 1), (4, 1), (5, 1), (8, 2)])
def test_the_mask_is_off_in_a_quarter_of_the_shots_after_the_first(
    face_set: FaceSet, sprites: list[Sprite], shots: int, bare: int
) -> None:
    found = list(TrackScene("uncovered", 40, shots, 32, sprites).samples(face_set))
    for sample in found:
        assert sample.track.masked[0]
        assert sample.track.masked.count(False) == bare
        covered = sample.track.occlusions.max(axis=(1, 2)) > 0.5
        assert tuple(covered) == sample.track.masked
    if shots > 2:
        assert len({sample.track.masked for sample in found}) > 1


@pytest.mark.parametrize("kind", ["plain", "masked", "uncovered"])
def test_a_track_depends_on_its_face_alone(
    face_set: FaceSet, sprites: list[Sprite], kind: str
) -> None:
    scene = TrackScene(kind, 24, 3, 64, sprites)  # type: ignore[arg-type]
    whole = list(scene.samples(face_set))
    (again,) = scene.samples(subset(face_set, [4]))
    assert again.key == whole[4].key
    assert np.array_equal(again.inputs, whole[4].inputs)
    assert np.array_equal(again.pair.hr, whole[4].pair.hr)
    assert np.array_equal(again.pair.lr, again.inputs[0])
    assert again.inputs.shape == (3, 64, 64, 3)
    assert again.alpha.shape == (128, 128)
    assert (again.alpha.max() > 0.5) == (kind != "plain")
    assert abs(again.pair.native_width - 24) <= 2
    assert not np.array_equal(again.inputs[0], again.inputs[1])


@pytest.mark.parametrize("side", [32, 128])
def test_the_first_shot_alone_is_restored_as_a_single_picture(
    face_set: FaceSet, sprites: list[Sprite], tiny_weights: Weights, side: int
) -> None:
    samples = list(TrackScene("masked", 30, 3, side, sprites).samples(subset(face_set, [1, 4])))
    restorer = opened(tiny_weights(side))
    single = by_name(restorer, 3)[f"tiny-{side}, 1 shot"]
    expected = restorer.method.restore(samples).clamp(0, 1)
    assert torch.allclose(single.restore(samples), expected, atol=0.501 / 255)


def test_each_kind_of_weights_has_its_combinations(
    tiny_weights: Weights, burst_weights: Path
) -> None:
    assert list(by_name(opened(tiny_weights(128)), 1, 2, 4)) == [
        "tiny-128, 1 shot", "tiny-128, 2 results", "tiny-128, 4 results", "tiny-128, 2 inputs",
        "tiny-128, 4 inputs",
    ]  # fmt: skip
    assert list(by_name(opened(burst_weights), 1, 3)) == ["stack, 1 shot", "stack, 3 shots"]
    assert list(by_name(opened("bicubic"), 2)) == ["bicubic, 1 shot", "bicubic, 2 inputs"]
    assert list(by_name(opened("bicubic"), 1)) == ["bicubic, 1 shot"]


def test_more_shots_of_a_face_give_a_better_mean(face_set: FaceSet) -> None:
    samples = TrackScene("plain", 56, 8, 128, ()).samples(face_set)
    methods = by_name(opened("bicubic"), 3, 8)
    scores = evaluate(list(methods.values()), samples, metrics=[FaceRegionMetric()])
    one, three, eight = (scores[name].mean("psnr_face") for name in methods)
    assert one + 0.1 < min(three, eight)
    assert scores["bicubic, 8 inputs"].mean("shots_used") > 4
    assert scores["bicubic, 1 shot"].mean("shots_used") == 1


def test_the_psnr_of_the_face_ignores_what_surrounds_it() -> None:
    truth = torch.full((3, 3, 128, 128), 0.5)
    restored = truth.clone()
    restored[1, :, :8] = 0.0  # above the face
    restored[2, :, 60:70, 60:70] = 0.0
    metric = FaceRegionMetric()
    equal, around, inside = metric.compare(metric.features(restored), metric.features(truth))
    assert equal == around == torch.inf
    count = int((face_region() > 0.5).sum())
    step = 219.0 * round(0.5 * 255) / 255
    assert inside == pytest.approx(10 * math.log10(255**2 / (step**2 * 100 / count)))


@pytest.mark.parametrize("combination", ["results", "inputs", "shots"])
def test_shots_of_another_person_are_left_out(
    plain: list[EvaluationTrack], tiny_weights: Weights, burst_weights: Path, combination: str
) -> None:
    path = burst_weights if combination == "shots" else tiny_weights(128)
    restorer = opened(path)
    first, other = plain[0].inputs[0], plain[1].inputs[0]
    strangers = [with_frames(plain[0], [first, other[:, ::-1], 255 - first])]
    methods = by_name(restorer, 3)
    alone, together = (methods[f"{path.stem}, {what}"] for what in ("1 shot", f"3 {combination}"))
    if combination != "results":  # an untrained generator gives everybody the same face
        assert together.count_shots is not None
        assert list(together.count_shots(strangers)) == [1]
        assert torch.equal(together.restore(strangers), alone.restore(strangers))
    same = [with_frames(plain[0], [first, first, first])]
    assert together.count_shots is not None
    assert list(together.count_shots(same)) == [3]


def test_a_network_of_several_shots_receives_those_that_match(
    plain: list[EvaluationTrack], burst_weights: Path
) -> None:
    methods = by_name(opened(burst_weights), 2, 4)
    alone, two, four = (method.restore(plain) for method in methods.values())
    assert alone.shape == four.shape == (2, 3, 128, 128)
    assert not torch.equal(alone, two)
    assert not torch.equal(two, four)
    one_by_one = torch.cat([methods["stack, 4 shots"].restore([sample]) for sample in plain])
    assert torch.allclose(four, one_by_one, atol=2 / 255)


def test_what_a_mask_covers_in_the_first_shot_is_not_added_again(
    face_set: FaceSet, sprites: list[Sprite]
) -> None:
    """In the dark, canonical colours clip highlights, which the result gets back: not a mask's."""
    restorer = opened("lite-camera")
    (sample,) = TrackScene("uncovered", 80, 2, 128, sprites).samples(subset(face_set, [3]))
    dark = np.clip(sample.inputs.astype(np.float32) * 0.25, 0, 255).astype(np.uint8)
    dark[0][sample.track.occlusions[0] > 0.5] = 255
    track = replace(sample.track, frames=dark)
    changed = replace(sample, track=track, pair=replace(sample.pair, lr=dark[0]))
    restored = by_name(restorer, 2)["lite-camera, 2 inputs"].restore([changed])[0]
    covered = torch.from_numpy(sample.alpha > 0.9)
    assert covered.sum() > 500
    # The mask is white; the face is as dark as the rest of the picture.
    bare = to_tensor([dark[1]])[0]
    assert restored[:, covered].mean() < 2 * bare.mean() + 0.1


@pytest.fixture(scope="module")
def compared(
    tmp_path_factory: pytest.TempPathFactory,
    write_faces: Callable[..., Path],
    tiny_weights: Weights,
    template_folder: Path,
) -> Comparison:
    data = write_faces(tmp_path_factory.mktemp("faces"), ("test.tar",)) / "test.tar"
    out = tmp_path_factory.mktemp("eval")
    return compare(
        EvalSettings(
            data,
            ("bicubic", str(tiny_weights(128))),
            out,
            burst=(3, 1),
            widths=(48, 24),
            masks=template_folder,
            limit=2,
            groups=("lightness",),
            device="cpu",
        )
    )


def test_results_are_stated_by_kind_width_and_number_of_shots(compared: Comparison) -> None:
    content = json.loads(compared.results.read_text(encoding="utf-8"))
    assert content["shots"] == [1, 3]
    assert content["degradation"] == "camera"
    names = [
        f"{kind} {width} px" for kind in ("plain", "masked", "uncovered") for width in (24, 48)
    ]
    assert [one["faces"] for one in content["sections"]] == names
    assert {one["width"] for one in content["sections"]} == {24, 48}
    assert list(content["data"]["inputs_sha256"]) == names
    assert len(set(content["data"]["inputs_sha256"].values())) == 6
    assert "registered" in content["protocol"]["tracks"]
    assert "first shot alone" in content["protocol"]["reference"]
    by_method = {one["name"]: one for one in content["methods"]}
    assert by_method["tiny-128, 3 inputs"]["shots"] == 3
    assert "restored once" in by_method["tiny-128, 3 inputs"]["combination"]
    assert "combination" not in by_method["tiny-128, 1 shot"]
    assert {(row["faces"], row["method"]) for row in content["results"]} == {
        (faces, method) for faces in names for method in by_method
    }
    assert {row["by"] for row in content["groups"]} == {"lightness"}


def test_differences_are_those_to_the_first_shot_of_the_same_weights(compared: Comparison) -> None:
    rows = {row.method: row for row in compared.rows if row.faces == "plain 48 px"}
    for name in ("bicubic, 1 shot", "tiny-128, 1 shot"):
        assert rows[name].differences == {}
    for weights in ("bicubic", "tiny-128"):
        one, three = (rows[f"{weights}, {what}"] for what in ("1 shot", "3 inputs"))
        gain = three.scores.figures["psnr"] - one.scores.figures["psnr"]
        assert three.differences["psnr"].mean == pytest.approx(gain.mean())
        assert three.better_share["psnr"] == pytest.approx((gain > 0).mean())


def test_the_table_has_a_line_for_each_face_and_method(compared: Comparison) -> None:
    with compared.per_face.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6 * 5 * 2
    assert {line["method"] for line in lines if line["shots_used"] == ""} == set()
    covered = {line["faces"].split()[0]: line["psnr_covered"] != "" for line in lines}
    assert covered == {"plain": False, "masked": True, "uncovered": True}


def test_the_sheet_shows_shots_single_and_combined_results(compared: Comparison) -> None:
    with Image.open(compared.sheet) as sheet:
        # Two rows of shots, two single results, three combined ones and the truth for each section.
        assert sheet.height > 6 * 8 * 128
        assert sheet.height < 6 * 9 * 128


def test_groups_by_width_are_an_error(tmp_path: Path) -> None:
    request = EvalSettings(tmp_path, ("bicubic",), tmp_path / "out", burst=(2,), groups=("width",))
    with pytest.raises(UsageError, match=r"by width anyway.*--widths"):
        compare(request)
    nothing = EvalSettings(tmp_path, (), tmp_path / "out", burst=(2,))
    with pytest.raises(UsageError, match="nothing to compare"):
        compare(nothing)
