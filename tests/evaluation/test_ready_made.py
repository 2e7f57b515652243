"""Results of other tools: reading by face name, errors, and written inputs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import EpsImagePlugin, Image

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import (
    Degrader,
    EvaluationSample,
    SampleSettings,
    evaluation_samples,
    to_tensor,
)
from jdsr_cli.errors import DatasetError, InputMissingError, OutputError
from jdsr_cli.evaluation.external import ExternalResults, InputForm, write_inputs
from jdsr_cli.evaluation.scoring import evaluate
from jdsr_cli.settings.evaluation import FaceTemplate
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


def test_formats_whose_decoders_start_programs_are_not_tried(
    folder: Path, face_set: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / f"{face_set.keys[2]}.png"
    Image.new("RGB", (128, 128)).save(path, format="EPS")
    started: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given: started.append(given))
    with pytest.raises(DatasetError, match="not a readable picture"):
        ExternalResults("other", folder, face_set.keys)
    assert started == []


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
def test_pictures_that_cannot_be_decoded_are_named_before_the_evaluation(
    folder: Path, face_set: FaceSet, suffix: str
) -> None:
    names = []
    for index in (3, 1, 4):
        whole = folder / f"{face_set.keys[index]}.png"
        path = whole.with_suffix(suffix)
        Image.fromarray(np.asarray(face_set.images[index])).save(path)
        if path != whole:
            whole.unlink()
        names.append(path.name)
        if index != 4:
            path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DatasetError) as fault:
        ExternalResults("other", folder, face_set.keys)
    first, second = sorted(names[:2])
    assert f"{first}: not a readable picture; nor can be used: {second}. " in str(fault.value)


def test_an_error_names_twenty_further_pictures_and_counts_the_rest(tmp_path: Path) -> None:
    keys = [f"face{number:02d}" for number in range(25)]
    for key in keys:
        Image.new("RGB", (64, 64)).save(tmp_path / f"{key}.png")
    with pytest.raises(DatasetError) as fault:
        ExternalResults("other", tmp_path, keys)
    assert "face00.png: the picture is 64x64" in str(fault.value)
    assert str(fault.value).count(".png") == 21
    assert "face20.png and 4 others" in str(fault.value)
    for key in keys[:-2]:
        Image.new("RGB", (128, 128)).save(tmp_path / f"{key}.png")
    with pytest.raises(DatasetError, match=r"face23\.png: the .*nor can be used: face24\.png\. "):
        ExternalResults("other", tmp_path, keys)


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


def _put(face: NDArray[np.uint8], path: Path, side: int = 128) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC).save(path)


@pytest.mark.parametrize("side", [256, 512, 1024])
def test_larger_pictures_are_reduced_with_antialiasing(
    tmp_path: Path, chosen: list[EvaluationSample], face_set: FaceSet, side: int
) -> None:
    keys = face_set.keys[:2]
    # Columns that alternate between black and white: gray, unless pixels are left out.
    stripes = np.zeros((side, side, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / f"{keys[0]}.png")
    factor = side // 128
    repeated = np.asarray(face_set.images[1]).repeat(factor, 0).repeat(factor, 1)
    Image.fromarray(repeated).save(tmp_path / f"{keys[1]}.png", compress_level=1)
    method = ExternalResults("other", tmp_path, keys).method
    assert method.description["sides"] == str(side)
    assert "antialiased" in str(method.description["alignment"])
    restored = method.restore(chosen[:2])
    assert restored.shape == (2, 3, 128, 128)
    assert (restored[0, :, 4:-4, 4:-4] - 0.5).abs().max() < 0.03
    assert (restored[1] - to_tensor([np.asarray(face_set.images[1])])[0]).abs().mean() < 0.01


@pytest.mark.parametrize(
    ("place", "added"),
    [
        ("restored_faces", "_00"),  # GFPGAN
        ("restored_faces", ""),  # CodeFormer with --has_aligned, KEEP once renamed
        ("", ""),  # OSDFace
        ("inputs_0.5/restored_faces", ""),  # CodeFormer in its own folder of results
        (".", "_restored"),
        ("faces", "_out"),
    ],
)
def test_folders_and_names_of_other_restorers_are_understood(
    tmp_path: Path, chosen: list[EvaluationSample], face_set: FaceSet, place: str, added: str
) -> None:
    keys = face_set.keys[:2]
    for key, image in zip(keys, face_set.images, strict=False):
        _put(np.asarray(image), tmp_path / place / f"{key}{added}.png", 256)
        for beside in ("cmp", "cropped_faces", "restored_imgs", "final_results", "more/cmp"):
            _put(np.zeros((9, 9, 3), np.uint8), tmp_path / beside / f"{key}.png")
            _put(np.zeros((9, 9, 3), np.uint8), tmp_path / beside / f"{key}_00.png")
    restored = ExternalResults("other", tmp_path, keys).method.restore(chosen[:2])
    truth = to_tensor(list(np.asarray(face_set.images[:2])))
    assert (restored - truth).abs().mean() < 0.01


def test_a_name_that_is_a_key_is_not_taken_for_another_face_with_an_added_name(
    tmp_path: Path, chosen: list[EvaluationSample], face_set: FaceSet
) -> None:
    keys = ("anna", "anna_00", "anna_out")
    for key, image in zip(keys, face_set.images, strict=False):
        _put(np.asarray(image), tmp_path / f"{key}.png")
    method = ExternalResults("other", tmp_path, keys).method
    restored = method.restore([replace(chosen[0], key=key) for key in keys])
    assert torch.equal(restored, to_tensor(list(np.asarray(face_set.images[:3]))))
    (tmp_path / "anna_out.png").rename(tmp_path / "anna_out_restored.png")
    ExternalResults("other", tmp_path, keys)
    (tmp_path / "anna.png").unlink()
    with pytest.raises(DatasetError, match=r"anna\.png: other has no picture of this face"):
        ExternalResults("other", tmp_path, keys)


def test_two_pictures_of_a_face_raise_an_error_that_names_both(
    tmp_path: Path, face_set: FaceSet
) -> None:
    for key, image in zip(face_set.keys, face_set.images, strict=True):
        _put(np.asarray(image), tmp_path / "restored_faces" / f"{key}.png", 256)
    key = face_set.keys[0]
    second = tmp_path / "restored_faces" / f"{key}_00.png"
    _put(np.asarray(face_set.images[0]), second, 256)
    with pytest.raises(DatasetError) as fault:
        ExternalResults("other", tmp_path, face_set.keys)
    assert fault.value.where == str(second)
    assert f"a second picture of {key} beside restored_faces/{key}.png" in str(fault.value)
    second.rename(tmp_path / f"{key}_restored.png")
    with pytest.raises(DatasetError, match=rf"a second picture of {key} beside {key}_restored"):
        ExternalResults("other", tmp_path, face_set.keys)


def test_pictures_more_than_two_folders_below_are_not_results(
    tmp_path: Path, face_set: FaceSet
) -> None:
    keys = face_set.keys
    for key in keys:
        _put(np.zeros((9, 9, 3), np.uint8), tmp_path / "a" / "b" / f"{key}.png")
    ExternalResults("other", tmp_path, keys)
    (tmp_path / "a" / "b").rename(tmp_path / "b")
    (tmp_path / "a" / "c").mkdir()
    (tmp_path / "b").rename(tmp_path / "a" / "c" / "b")
    with pytest.raises(DatasetError, match="other has no picture of this face"):
        ExternalResults("other", tmp_path, keys)


@pytest.mark.parametrize(
    ("template", "size"),
    [("jdsr", (384, 384)), ("jdsr", (512, 1024)), ("jdsr", (64, 64)), ("ffhq", (128, 128))],
)
def test_other_sizes_are_refused(
    tmp_path: Path, template: FaceTemplate, size: tuple[int, int]
) -> None:
    Image.new("RGB", size).save(tmp_path / "face.png")
    with pytest.raises(DatasetError, match=rf"face\.png: the picture is {size[0]}x{size[1]}, not"):
        ExternalResults("other", tmp_path, ["face"], template)


@pytest.mark.parametrize(("size", "side"), [(None, 32), (128, 128), (512, 512)])
def test_inputs_are_enlarged_to_the_asked_size(
    tmp_path: Path, chosen: list[EvaluationSample], size: int | None, side: int
) -> None:
    form = InputForm(size)
    assert list(write_inputs(chosen[:2], tmp_path, form)) == chosen[:2]
    for sample in chosen[:2]:
        with Image.open(tmp_path / f"{sample.key}.png") as picture:
            assert picture.size == (side, side)
            lr = Image.fromarray(sample.pair.lr)
            expected = lr if size is None else lr.resize((side, side), Image.Resampling.BICUBIC)
            assert np.array_equal(np.asarray(picture), np.asarray(expected))
    assert str(side) in form.protocol or size is None


@pytest.mark.parametrize("size", [None, 256])
def test_ffhq_inputs_that_come_back_unchanged_equal_the_enlarged_input(
    tmp_path: Path, chosen: list[EvaluationSample], face_set: FaceSet, size: int | None
) -> None:
    form = InputForm(size, "ffhq")
    keys = face_set.keys[:2]
    samples = list(write_inputs(chosen[:2], tmp_path, form))
    with Image.open(tmp_path / f"{samples[0].key}.png") as picture:
        assert picture.size == (size or 512,) * 2
    returned = ExternalResults("other", tmp_path, keys, "ffhq").method.restore(samples)
    bicubic = to_tensor(
        [np.asarray(Image.fromarray(one.pair.lr).resize((128, 128), 3)) for one in samples]
    )
    assert (returned - bicubic).abs().mean() < 0.01
    wrong = ExternalResults("other", tmp_path, keys).method.restore(samples)
    assert (wrong - bicubic).abs().mean() > 0.03
