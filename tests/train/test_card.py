"""Pictures of the model card: their number, their content and their reproducibility."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.demo.people import COLLINS, HOPPER
from jdsr_cli.evaluation.report import FONT_SIZE, GAP, HEADING_HEIGHT
from jdsr_cli.faces import TEMPLATE
from jdsr_cli.networks import build
from jdsr_cli.synthesis.compression import resize_bicubic
from jdsr_cli.weights import save_network
from jdsr_cli.weights.loading import load_base
from jdsr_train import card

MAX_BYTES = 400_000


@pytest.fixture(scope="module")
def weights(tiny_weights: Callable[[int], Path]) -> list[str]:
    return [str(tiny_weights(size)) for size in (32, 64)]


@pytest.fixture(scope="module")
def pictures(weights: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return card.draw(weights, tmp_path_factory.mktemp("card") / "pictures")


def tiles(path: Path, rows: int, columns: int) -> np.ndarray:
    """Return the faces of a sheet, (rows, columns, 128, 128, 3)."""
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        sheet = np.asarray(picture)
    right = sheet.shape[1] - GAP
    lefts = [
        right - TEMPLATE_SIZE - (TEMPLATE_SIZE + GAP) * (columns - 1 - index)
        for index in range(columns)
    ]
    tops = [FONT_SIZE + GAP + HEADING_HEIGHT + TEMPLATE_SIZE * row for row in range(rows)]
    return np.stack(
        [[sheet[y : y + TEMPLATE_SIZE, x : x + TEMPLATE_SIZE] for x in lefts] for y in tops]
    )


def test_each_input_size_has_its_pictures(pictures: list[Path]) -> None:
    footage = [f"camera-{kind}-{width}" for kind in ("masked", "bare")
               for width in (16, 32, 64, 128)]  # fmt: skip
    assert [path.stem for path in pictures] == ["paper-x4", *footage]
    assert sorted(pictures) == sorted(pictures[0].parent.iterdir())
    assert all(0 < path.stat().st_size < MAX_BYTES for path in pictures)
    names = [view.name for view in card.views([16, 32])]
    assert names == ["paper-x4", "paper-x8"]
    assert [view.name for view in card.views([128])] == footage


def test_a_picture_shows_input_bicubic_generators_and_truth(pictures: list[Path]) -> None:
    shown, bicubic, tiny, truth = tiles(pictures[0], 4, 4)
    (view,) = card.views([32])
    samples = view.samples(32)
    assert [sample.key for sample in samples] == ["Collins 1", "Collins 2", "Hopper 1", "Hopper 2"]
    for index, sample in enumerate(samples):
        assert np.array_equal(shown[index][::4, ::4], sample.pair.lr)
        assert np.array_equal(bicubic[index], resize_bicubic(sample.pair.lr, 128))
        assert np.array_equal(truth[index], sample.pair.hr)
        assert sample.alpha.max() > 0.5
        assert not np.array_equal(tiny[index], bicubic[index])
    assert np.array_equal(truth[0], truth[1])
    assert not np.array_equal(samples[0].alpha, samples[1].alpha)
    assert not np.array_equal(truth[1], truth[2])


def test_generators_of_all_sizes_receive_the_same_footage() -> None:
    masked, bare = (next(view for view in card.views([64]) if view.name == f"camera-{kind}-32")
                    for kind in ("masked", "bare"))  # fmt: skip
    for small, native, large in zip(*(masked.samples(size) for size in (16, 32, 128)), strict=True):
        assert np.array_equal(small.pair.hr, large.pair.hr)
        assert np.array_equal(small.pair.lr, resize_bicubic(native.pair.lr, 16))
        again = resize_bicubic(large.pair.lr, 32).astype(float)
        assert np.abs(again - native.pair.lr).mean() < 6
        assert large.alpha.max() > 0.5
    assert all(sample.alpha.max() == 0 for sample in bare.samples(64))


def test_people_are_aligned_to_the_template() -> None:
    for person in (COLLINS, HOPPER):
        faces = card.portrait(person, "one")
        assert faces.images.shape == (1, 128, 128, 3)
        jaw, bridge = faces.landmarks[0, 8], faces.landmarks[0, 27]
        assert abs(bridge[0] - TEMPLATE[:2, 0].mean()) < 5
        assert 110 < jaw[1] < 135


def test_the_same_weights_give_the_same_bytes(
    pictures: list[Path], weights: list[str], tmp_path: Path
) -> None:
    for one, other in zip(pictures, card.draw(weights, tmp_path), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_the_command_prints_its_files_or_an_error(
    weights: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert card.main(["--out", str(out), "--weights", weights[0]]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out / "paper-x4.png")]
    assert card.main(["--out", str(out), "--weights", "lite-y4"]) == 2
    output = capsys.readouterr()
    assert "no weights are called 'lite-y4'" in output.err
    assert output.out == ""
    (tmp_path / "occupied").write_text("")
    assert card.main(["--out", str(tmp_path / "occupied"), "--weights", weights[0]]) == 6
    assert "occupied" in capsys.readouterr().err


@pytest.mark.nightly
def test_weights_for_several_shots_are_drawn_on_tracks(tmp_path: Path) -> None:
    network = build("burst", {})
    base, tensors = load_base("lite-camera", "burst")
    network.load_state_dict(tensors, strict=False)
    path = tmp_path / "several.safetensors"
    save_network(path, "burst", {}, network, base=base)

    files = card.draw([str(path)], tmp_path / "pictures")

    names = [f"burst-{kind}-{width}.png" for kind, width in card.TRACKS]
    assert [file.name for file in files] == names
    for file in files:
        assert file.stat().st_size < MAX_BYTES
        first, shots, single, several, truth = tiles(file, 5, 2)
        assert np.abs(single.astype(int) - several).mean() > 1.0
        assert np.abs(shots.astype(int) - truth).mean() > 5.0
        assert np.abs(first.astype(int) - truth).mean() > 2.0
