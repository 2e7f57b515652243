"""Results of other tools: reading by face name, errors, and written inputs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader, EvaluationSample, SampleSettings, evaluation_samples
from jdsr_cli.errors import DatasetError, InputMissingError, OutputError
from jdsr_cli.evaluation.external import ExternalResults, write_inputs
from jdsr_cli.evaluation.scoring import evaluate
from jdsr_cli.synthesis.mask_drawing import draw_sprites


@pytest.fixture(scope="module")
def chosen(face_set: FaceSet) -> list[EvaluationSample]:
    degrader = Degrader(draw_sprites(2, 0), SampleSettings(32, "paper", 1.0))
    return list(evaluation_samples(face_set, degrader, masked=True))


@pytest.fixture
def folder(tmp_path: Path, face_set: FaceSet) -> Path:
    """The ground truth as a result, except for one face that is grey."""
    for key, image in zip(face_set.keys, face_set.images, strict=True):
        Image.fromarray(np.asarray(image)).save(tmp_path / f"{key}.png")
    Image.new("RGB", (128, 128), "grey").save(tmp_path / f"{face_set.keys[1]}.png")
    return tmp_path


def test_images_are_matched_by_the_name_of_the_face(
    folder: Path, chosen: list[EvaluationSample], face_set: FaceSet
) -> None:
    (folder / "readme.txt").write_text("beside the pictures")
    Image.new("RGB", (9, 9)).save(folder / "another.png")
    method = ExternalResults("other", folder, face_set.keys).method
    assert not method.timed
    scores = evaluate([method], reversed(chosen), batch=4)["other"]
    assert scores.keys == face_set.keys[::-1]
    assert scores.faces_per_second is None
    is_perfect = np.isinf(scores.figures["psnr"])
    assert is_perfect.tolist() == [key != face_set.keys[1] for key in scores.keys]


def test_missing_or_invalid_images_raise_errors_that_name_them(
    folder: Path, face_set: FaceSet
) -> None:
    keys = face_set.keys
    with pytest.raises(InputMissingError, match="absent: no folder of results for other"):
        ExternalResults("other", folder / "absent", keys)
    with pytest.raises(DatasetError, match=r"ghost\.png: other has no picture of this face\."):
        ExternalResults("other", folder, [*keys, "ghost"])
    with pytest.raises(DatasetError, match=r"ghost\.png: .*nor of 1 others"):
        ExternalResults("other", folder, ["ghost", *keys, "spirit"])
    duplicate = folder / f"{keys[0]}.webp"
    Image.new("RGB", (128, 128)).save(duplicate)
    with pytest.raises(DatasetError, match=f"a second picture of {keys[0]}"):
        ExternalResults("other", folder, keys)
    duplicate.unlink()
    path = folder / f"{keys[2]}.png"
    Image.new("RGB", (64, 128)).save(path)
    with pytest.raises(DatasetError, match=rf"{keys[2]}\.png: the picture is 64x128, not 128x128"):
        ExternalResults("other", folder, keys)
    Image.new("I;16", (128, 128)).save(path)
    with pytest.raises(DatasetError, match=rf"{keys[2]}\.png: .* more than 8 bits"):
        ExternalResults("other", folder, keys)
    path.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=rf"{keys[2]}\.png: not a readable picture"):
        ExternalResults("other", folder, keys)


def test_a_truncated_image_raises_an_error_when_it_is_read(
    folder: Path, chosen: list[EvaluationSample], face_set: FaceSet
) -> None:
    path = folder / f"{face_set.keys[3]}.png"
    path.write_bytes(path.read_bytes()[:2000])
    method = ExternalResults("other", folder, face_set.keys).method
    with pytest.raises(DatasetError, match=rf"{path.name}: not a readable picture"):
        evaluate([method], chosen)


def test_written_inputs_equal_the_inputs_of_methods(
    tmp_path: Path, chosen: list[EvaluationSample]
) -> None:
    passed = list(write_inputs(chosen, tmp_path / "inputs"))
    assert passed == chosen
    assert len(list((tmp_path / "inputs").iterdir())) == len(chosen)
    for sample in chosen:
        with Image.open(tmp_path / "inputs" / f"{sample.key}.png") as picture:
            assert np.array_equal(np.asarray(picture), sample.pair.lr)


def test_an_unwritable_folder_raises_an_error_that_names_it(
    tmp_path: Path, chosen: list[EvaluationSample]
) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="taken"):
        list(write_inputs(chosen, tmp_path / "taken"))
