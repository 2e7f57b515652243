"""Light, tint, codec and image borders of the camera degradation."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.synthesis import camera, compression
from jdsr_cli.synthesis.camera import record, to_pair
from jdsr_cli.synthesis.camera_settings import CONDITIONS, CameraSettings, apply_border, condition
from jdsr_cli.synthesis.compression import encode_and_decode

Picture = NDArray[np.uint8]
NO_ALPHA = np.zeros((128, 128), np.float32)


@pytest.fixture(scope="module")
def face() -> Picture:
    return np.ascontiguousarray(astronaut()[56:184, 162:290])


def shot(face: Picture, name: str, seed: int = 1, width: float = 96.0) -> Picture:
    rng = np.random.default_rng(seed)
    return record(face, face, NO_ALPHA, 128, rng, condition(name, width)).lr


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_each_condition_is_deterministic_for_a_seed(face: Picture, name: str) -> None:
    once, twice = shot(face, name), shot(face, name)
    assert np.array_equal(once, twice)
    assert once.shape == (128, 128, 3)
    assert not np.array_equal(once, shot(face, name, seed=2))


@pytest.mark.parametrize(
    ("percent", "name"), [(15, "light 15 %"), (6, "light 6 %"), (4, "light 4 %")]
)
def test_low_light_has_the_stated_exposure(face: Picture, percent: int, name: str) -> None:
    means = [shot(face, name, seed).mean() for seed in range(6)]
    normal = [shot(face, "normal", seed).mean() for seed in range(6)]
    assert 0.55 * percent / 100 < np.mean(means) / np.mean(normal) < 1.6 * percent / 100


def test_ground_truth_in_low_light_is_not_rounded(face: Picture) -> None:
    recording = record(
        face, face, NO_ALPHA, 128, np.random.default_rng(3), condition("light 4 %", 96)
    )
    assert len(np.unique(recording.truth)) > 100
    pair = to_pair(recording, np.random.default_rng(3), canonical=True)
    assert len(np.unique(pair.hr)) > 100
    assert 40 < pair.hr.mean() < 200


@pytest.mark.parametrize("name", ["green", "purple", "gray"])
def test_monochrome_images_contain_shades_of_one_tint(face: Picture, name: str) -> None:
    recording = record(face, face, NO_ALPHA, 128, np.random.default_rng(4), condition(name, 96))
    truth = recording.truth.reshape(-1, 3)
    assert np.linalg.matrix_rank(truth - truth.mean(axis=0), tol=1.0) == 1
    colours = canonical_map(recording.lr, monochrome=True)
    assert np.ptp(colours.apply(recording.lr).astype(int), axis=2).max() == 0


def test_overexposure_clips_and_backlight_does_not_darken_the_background(face: Picture) -> None:
    bright = record(
        face, face, NO_ALPHA, 128, np.random.default_rng(5), condition("overexposed", 96)
    )
    assert (bright.truth == 255).mean() > (face == 255).mean() + 0.02
    backlit = record(face, face, NO_ALPHA, 128, np.random.default_rng(5), condition("backlit", 96))
    corners = np.concatenate([backlit.truth[:12, :12], backlit.truth[:12, -12:]])
    assert corners.mean() > 1.5 * backlit.truth[60:100, 44:84].mean()


def test_squeezed_images_lose_detail_along_the_reduced_axis(face: Picture) -> None:
    def detail(name: str, axis: int) -> float:
        differences = [
            np.abs(np.diff(shot(face, name, n, 64).astype(int), axis=axis)).mean() for n in range(8)
        ]
        return float(np.mean(differences))

    assert detail("half height", 0) < detail("normal", 0)
    assert detail("half width", 1) < detail("normal", 1)
    assert detail("half height", 0) / detail("half height", 1) < detail("normal", 0) / detail(
        "normal", 1
    )


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_video_compression_error_increases_with_the_rate_factor(face: Picture, codec: str) -> None:
    frames = [np.roll(face, step, axis=1) for step in (2, 1, 0)]
    errors = [
        float(np.abs(encode_and_decode(frames, codec, crf).astype(int) - face).mean())
        for crf in (10, 38)
    ]
    assert errors[0] < errors[1] < 20
    assert np.array_equal(
        encode_and_decode(frames, codec, 30), encode_and_decode(frames, codec, 30)
    )


@pytest.mark.parametrize("size", [(13, 17), (48, 48), (128, 64)])
def test_video_compression_accepts_any_size(face: Picture, size: tuple[int, int]) -> None:
    from jdsr_cli.synthesis.compression import compress

    settings = CameraSettings(uncompressed=0.0, video=1.0, crf=(18, 24))
    picture = np.ascontiguousarray(face[: size[0], : size[1]])
    for seed in range(4):
        stored = compress(picture, np.random.default_rng(seed), settings)
        assert stored.shape == picture.shape
        assert np.abs(stored.astype(int) - picture).mean() < 25


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_cut_border_repeats_its_last_row_or_column(face: Picture, side: str) -> None:
    cut = apply_border(face, f"cut {side}")
    changed = (cut != face).any(axis=2)
    rows, columns = changed.any(axis=1), changed.any(axis=0)
    assert 0.2 < changed.mean() < 0.32
    assert {"left": columns[:30], "right": columns[-30:], "top": rows[:30], "bottom": rows[-30:]}[
        side
    ].all()
    assert np.array_equal(apply_border(face, "normal"), face)


def test_conditions_with_probability_0_draw_no_random_numbers(face: Picture) -> None:
    default = CameraSettings()
    disabled = dataclasses.replace(
        default, tinted=0.0, cast=0.0, dark=0.0, overexposed=0.0, backlit=0.0, video=0.0,
        interlaced=0.0, squeezed=0.0, rolled=0.0,
    )  # fmt: skip
    rngs = [np.random.default_rng(9) for _ in range(2)]
    first = record(face, face, NO_ALPHA, 64, rngs[0], default)
    second = record(face, face, NO_ALPHA, 64, rngs[1], disabled)
    assert np.array_equal(first.lr, second.lr)
    assert rngs[0].random() == rngs[1].random()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dark": 1.5}, "dark"),
        ({"light": (0.5, 0.04)}, "light"),
        ({"tint": (1.0, 0.5)}, "tint"),
        ({"tint": (0.0, 0.0, 0.0)}, "tint"),
        ({"squeeze": (1.0,)}, "squeeze"),
        ({"crf": (40, 60)}, "crf"),
        ({"native_width": (0.0, 64.0)}, "native_width"),
    ],
)
def test_invalid_settings_are_rejected(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        CameraSettings(**changes)  # type: ignore[arg-type]
    assert caught.value.where == message


def test_a_wrong_aspect_stretches_about_the_centre(face: Picture) -> None:
    settings = dataclasses.replace(
        CameraSettings(), rotation=0.0, zoom=0.0, shift=0.0, squeezed=1.0
    )
    for seed in range(5):
        matrix = record(face, face, NO_ALPHA, 64, np.random.default_rng(seed), settings).matrix
        assert matrix @ (63.5, 63.5, 1.0) == pytest.approx((63.5, 63.5))
        assert matrix[0, 0] == pytest.approx(1.0)
        assert matrix[1, 1] != pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("monochrome", [False, True])
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_misclassified_footage_gets_the_colours_of_the_other_class(
    face: Picture, monkeypatch: pytest.MonkeyPatch, monochrome: bool, rate: float
) -> None:
    monkeypatch.setattr(camera, "MISCLASSIFICATION_RATES", (rate, rate, rate))
    name = "green" if monochrome else "normal"
    recording = record(face, face, NO_ALPHA, 128, np.random.default_rng(4), condition(name, 96))
    assert recording.light.monochrome == monochrome
    pair = to_pair(recording, np.random.default_rng(5), canonical=True)
    expected = canonical_map(recording.lr, monochrome=monochrome ^ (rate == 1.0))
    assert np.array_equal(pair.lr, expected.apply(recording.lr))
    other = canonical_map(recording.lr, monochrome=monochrome ^ (rate == 0.0))
    assert not np.array_equal(pair.lr, other.apply(recording.lr))


@pytest.mark.parametrize("seed", range(6))
def test_a_clip_ends_with_the_picture_without_motion_or_grain(
    face: Picture, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(compression, "SINGLE_FRAME_SHARE", 0.0)
    settings = CameraSettings(uncompressed=0.0, video=1.0, crf=(10, 10))
    gray = np.repeat(face[..., 1:2], 3, axis=2)
    stored = compression.compress(gray, np.random.default_rng(seed), settings)
    assert np.abs(stored.astype(int) - gray).mean() < 1.5
