from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from jdsr_cli.faces import Alignment, crop, estimate_alignment
from jdsr_cli.faces.burst import RegisteredShots
from jdsr_cli.faces.occlusion import DEFAULT_CALIBRATION, MaskState
from jdsr_cli.inference.generator import Pictures
from jdsr_cli.restoration.best_shots import Shot
from jdsr_cli.restoration.frame import FacePatch, RestoredFace
from jdsr_cli.restoration.fused_faces import FusedFace, ShotFusion, decide_mask
from jdsr_cli.restoration.stages.compositing import cut_patch
from jdsr_cli.settings import RestoredPart

POINTS = np.array([[123.0, 101.0], [166.0, 103.5], [145.5, 123.0], [124.5, 140.0], [164.0, 140.5]])
"""Of the face in the left upper part of the photograph."""
OPEN = np.zeros((128, 128), np.float32)
MOUTH = np.zeros((128, 128), np.float32)
MOUTH[88:, 24:104] = 1.0


class Recorder:
    """Restores faces as one colour, finds what it is told covered, and keeps what it received."""

    def __init__(
        self, side: int = 128, occlusion: np.ndarray = OPEN, *, finite: bool = True
    ) -> None:
        self.side = side
        self.given: list[np.ndarray] = []
        self._occlusion, self._finite = occlusion, finite

    def restore(self, crops: Sequence[np.ndarray]) -> list[RestoredFace | None]:
        self.given += crops
        image = np.full((128, 128, 3), (10, 200, 30), np.uint8)
        face = RestoredFace(image, self._occlusion, redone=False, side=self.side)
        return [face if self._finite else None for _ in crops]


@pytest.fixture
def photo(astronaut: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(astronaut[:290, 80:370])


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    import skimage.data

    return np.asarray(skimage.data.astronaut())


def shot(
    photo: np.ndarray,
    *,
    seed: int = 0,
    noise: float = 8.0,
    scale: float = 1.0,
    jitter: float = 0.0,
    mask: MaskState = "bare",
    occlusion: np.ndarray = OPEN,
    quality: float = 0.5,
    side: int = 128,
    part: RestoredPart = "all",
    gain: float = 1.0,
) -> Shot:
    """Return a shot of the photograph: enlarged, noisy, darker, and aligned inexactly."""
    rng = np.random.default_rng(seed)
    size = (round(photo.shape[1] * scale), round(photo.shape[0] * scale))
    image = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    filmed = np.clip(gain * image + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8)
    points = (POINTS + 0.5) * scale - 0.5 + rng.uniform(-jitter, jitter, 2)
    patch = cut_patch(filmed, estimate_alignment(points))
    covered = float(occlusion.mean())
    face = RestoredFace(np.zeros((128, 128, 3), np.uint8), occlusion, False, side, part)
    return Shot(seed, float(seed), quality, mask, covered, patch, face, occlusion)


def fuse(
    shots: Sequence[Shot], generator: Recorder | None = None, *, seen_bare: bool = True
) -> FusedFace | None:
    fusion = ShotFusion(generator or Recorder(), DEFAULT_CALIBRATION, scale=4)
    return fusion.fuse(shots, seen_bare=seen_bare)


@pytest.mark.parametrize("scale", [0.25, 0.4, 0.7])
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_the_generator_receives_the_fused_input(
    photo: np.ndarray, scale: float, gain: float
) -> None:
    generator = Recorder()
    still = shot(photo, scale=scale, gain=gain)
    moved = [shot(photo, seed=s, scale=scale, jitter=1.5, gain=gain) for s in range(1, 6)]
    fused = fuse([still, *moved], generator)
    assert fused is not None
    assert fused.shots == (still, *moved)
    (given,) = generator.given
    assert np.array_equal(given, fused.crop)
    truth, single = (
        crop(one.patch.pixels, one.patch.alignment)
        for one in (shot(photo, scale=scale, gain=gain, noise=0.0), still)
    )
    inner = (slice(40, 110), slice(34, 94))
    errors = [np.square(one.astype(float) - truth)[inner].mean() for one in (fused.filmed, single)]
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize("side", [64, 96])
def test_generators_with_smaller_inputs_receive_their_size(photo: np.ndarray, side: int) -> None:
    generator = Recorder(side)
    fused = fuse([shot(photo, seed=seed, scale=0.3, side=side) for seed in range(3)], generator)
    assert fused is not None
    assert generator.given[0].shape == (side, side, 3)
    assert fused.crop.shape == (128, 128, 3)


@pytest.mark.parametrize(("scale", "part"), [(1.6, "all"), (2.4, "all"), (0.5, "covered")])
def test_where_the_picture_is_filmed_it_keeps_native_detail(
    photo: np.ndarray, scale: float, part: RestoredPart
) -> None:
    shots = [shot(photo, seed=s, scale=scale, noise=12, jitter=1.0, part=part) for s in range(5)]
    fused = fuse(shots)
    assert fused is not None
    side = min(512, shots[0].side(4))
    assert fused.filmed.shape == (side, side, 3)
    before, after = fused.render(side)
    inner = (slice(side // 3, 5 * side // 6), slice(side // 3, 2 * side // 3))
    # Restored faces are green here.
    assert after[inner][..., 1].mean() < 170
    assert noise_of(after[inner]) < 0.7 * noise_of(before[inner])
    sharp, soft = (detail_of(one[inner]) for one in (before, after))
    assert soft > 0.8 * sharp


def noise_of(picture: np.ndarray) -> float:
    """Return the power of the finest detail, which is mostly noise."""
    values = picture.astype(np.float32)
    return float(np.square(values - cv2.GaussianBlur(values, (0, 0), 1.0)).mean())


def detail_of(picture: np.ndarray) -> float:
    """Return the power of detail above the noise."""
    values = picture.astype(np.float32)
    band = cv2.GaussianBlur(values, (0, 0), 3.0) - cv2.GaussianBlur(values, (0, 0), 9.0)
    return float(np.square(band).mean())


@pytest.mark.parametrize("colour", [(230, 235, 240), (40, 40, 50), (90, 150, 190)])
def test_masked_shots_of_a_person_seen_bare_add_no_mask(
    photo: np.ndarray, colour: tuple[int, int, int]
) -> None:
    bare = [shot(photo, seed=seed, scale=0.5, quality=0.9) for seed in range(2)]
    worn = photo.copy()
    worn[122:180, 100:190] = colour
    masked = [
        shot(worn, seed=seed, scale=0.5, mask="masked", occlusion=MOUTH) for seed in range(2, 7)
    ]
    fused = fuse([*bare, *masked])
    assert fused is not None
    assert fused.shots == (*bare, *masked)
    assert fused.mask == "bare"
    lower = (slice(84, 120), slice(34, 94))
    clean = crop(photo, estimate_alignment(POINTS))
    assert np.abs(fused.filmed[lower].astype(float) - clean[lower]).mean() < 10.0
    single = crop(bare[0].patch.pixels, bare[0].patch.alignment)
    eyes = (slice(52, 72), slice(34, 94))
    errors = [np.square(one[eyes].astype(float) - clean[eyes]).mean()
              for one in (fused.filmed, single)]  # fmt: skip
    assert errors[0] < errors[1]


def test_a_person_seen_bare_gets_no_picture_in_which_a_mask_was_removed(
    photo: np.ndarray,
) -> None:
    shots = [shot(photo, seed=seed, scale=0.5) for seed in range(2)]
    shots.append(shot(photo, seed=3, scale=0.5, mask="unsure"))
    covered = np.zeros((128, 128), np.float32)
    covered[78:, 30:98] = 1.0
    fused = fuse(shots, Recorder(occlusion=covered))
    assert fused is not None
    assert DEFAULT_CALIBRATION.probability(covered) > 0.95
    assert fused.mask == "unsure"
    assert fused.covered > 0.3
    assert not fused.face.occlusion.any()
    masked = [shot(photo, seed=seed, scale=0.5, mask="masked") for seed in range(3)]
    removed = fuse(masked, Recorder(occlusion=covered), seen_bare=False)
    assert removed is not None
    assert removed.mask == "masked"
    assert removed.face.occlusion.any()


@pytest.mark.parametrize(
    ("probability", "shots", "seen_bare", "mask"),
    [
        (0.99, ["bare", "bare"], True, "bare"),
        (0.99, ["bare", "masked"], True, "unsure"),
        (0.01, ["bare", "masked", "masked"], True, "bare"),
        (0.5, ["bare", "masked"], True, "unsure"),
        (0.01, ["masked", "masked"], False, "masked"),
        (0.99, ["masked", "unsure"], False, "masked"),
        (0.01, ["masked", "unsure"], False, "unsure"),
        (0.99, ["unsure", "unsure"], False, "unsure"),
    ],
)
def test_the_mask_decision_agrees_with_that_of_the_track(
    probability: float, shots: list[MaskState], seen_bare: bool, mask: MaskState
) -> None:
    assert decide_mask(probability, shots, seen_bare=seen_bare) == mask


def test_shots_that_do_not_match_are_not_fused(photo: np.ndarray) -> None:
    generator = Recorder()
    mirrored = np.ascontiguousarray(photo[::-1])
    assert fuse([shot(photo), shot(mirrored, seed=1)], generator) is None
    assert not generator.given
    pair = [shot(photo, seed=seed) for seed in range(2)]
    assert fuse(pair, Recorder(finite=False)) is None


def test_the_same_shots_give_the_same_picture(photo: np.ndarray) -> None:
    shots = [shot(photo, seed=s, scale=0.5, jitter=1.0, quality=0.9 - s / 9) for s in range(4)]
    first, second = fuse(shots), fuse([shots[0], shots[3], shots[1], shots[2]])
    assert first is not None
    assert second is not None
    assert np.array_equal(first.filmed, second.filmed)
    for one, other in zip(first.render(200), second.render(200), strict=True):
        assert np.array_equal(one, other)


class Joint:
    """Restores from all shots as one colour on the left and another on the right."""

    def __init__(self, *, finite: bool = True) -> None:
        self.given: list[RegisteredShots] = []
        self._finite = finite

    def restore(self, shots: RegisteredShots) -> Pictures:
        self.given.append(shots)
        image = np.full((1, 128, 128, 3), 100, np.uint8)
        image[:, :, :64] = 50
        occlusion = np.zeros((1, 128, 128), np.uint8)
        occlusion[:, 90:] = 255
        return Pictures(image, occlusion, np.array([self._finite]))


def fuse_jointly(
    shots: Sequence[Shot], joint: Joint, generator: Recorder, *, seen_bare: bool = True
) -> FusedFace:
    fusion = ShotFusion(generator, DEFAULT_CALIBRATION, scale=4, burst=joint)
    fused = fusion.fuse(shots, seen_bare=seen_bare)
    assert fused is not None
    return fused


@pytest.mark.parametrize("scale", [0.25, 0.5])
def test_a_network_for_several_shots_receives_them(photo: np.ndarray, scale: float) -> None:
    joint, generator = Joint(), Recorder()
    shots = [shot(photo, seed=s, scale=scale, quality=0.9 - 0.1 * s) for s in range(4)]

    fused = fuse_jointly(shots, joint, generator)

    assert fused.jointly
    assert not generator.given
    (given,) = joint.given
    assert given.crops.shape == (4, 128, 128, 3)
    assert given.used == (0, 1, 2, 3)
    expected = [1.0, *(one.quality / shots[0].quality for one in shots[1:])]
    assert given.weights.tolist() == pytest.approx(expected)
    assert (fused.generated.image[:, :64] == 50).all()
    assert (fused.generated.image[:, 64:] == 100).all()
    assert fused.generated.occlusion[:90].max() == 0.0
    assert fused.generated.occlusion[90:].min() == 1.0


def test_the_mouth_comes_from_shots_that_show_it(photo: np.ndarray) -> None:
    joint = Joint()
    shots = [shot(photo, scale=0.5), shot(photo, seed=1, scale=0.5, mask="unsure", occlusion=MOUTH)]

    fuse_jointly(shots, joint, Recorder())

    visibility = joint.given[0].visibility
    assert visibility[0].min() == 1.0
    assert visibility[1][95:120, 40:90].max() < 0.05
    assert visibility[1][52:68, 44:84].min() > 0.95


@pytest.mark.parametrize("mask", ["masked", "unsure"])
@pytest.mark.parametrize("colour", [(190, 150, 130), (235, 235, 235), (60, 90, 150)])
@pytest.mark.parametrize("found", [OPEN, MOUTH])
def test_masks_that_were_not_found_do_not_outvote_a_filmed_mouth(
    photo: np.ndarray, mask: MaskState, colour: tuple[int, int, int], found: np.ndarray
) -> None:
    """Nor where the bare face is taken for covered."""
    worn = photo.copy()
    worn[126:160, 105:185] = colour
    others = [shot(worn, seed=s, scale=0.5, mask=mask, quality=0.9) for s in range(1, 5)]
    best = shot(photo, scale=0.5, occlusion=found)

    fused = fuse([best, *others])

    assert fused is not None
    assert len(fused.shots) == 5
    mouth = (slice(90, 116), slice(40, 88))
    alone = crop(best.patch.pixels, best.patch.alignment)
    assert np.abs(fused.filmed.astype(float) - alone)[mouth].mean() < 4.0


BEYOND = {
    "left": np.s_[44:104, 24:46],
    "right": np.s_[44:104, 82:104],
    "top": np.s_[28:46, 40:88],
    "bottom": np.s_[96:116, 40:88],
}
"""Parts of the face that lie beyond a border of the frame at 50, 78, 50 and 92 pixels."""


def at_border(whole: Shot, side: str) -> Shot:
    """Return a shot of which a border of the frame cuts off a part."""
    line = {"left": 50, "right": 78, "top": 50, "bottom": 92}[side]
    inverse, matrix = whole.patch.alignment.inverse(), whole.patch.alignment.matrix.copy()
    x, y = np.rint(inverse @ (line, line, 1.0)).astype(int)
    kept = {"left": np.s_[:, x:], "right": np.s_[:, :x], "top": np.s_[y:], "bottom": np.s_[:y]}
    start = {"left": (x, 0), "top": (0, y)}.get(side, (0, 0))
    matrix[:, 2] += matrix[:, :2] @ start
    patch = FacePatch(whole.patch.pixels[kept[side]].copy(), Alignment(matrix))
    return replace(whole, patch=patch)


@pytest.mark.parametrize("side", BEYOND)
@pytest.mark.parametrize("reference_cut", [True, False])
@pytest.mark.parametrize("scale", [0.3, 0.6])
def test_what_lies_beyond_the_border_of_the_frame_comes_from_other_shots(
    photo: np.ndarray, side: str, reference_cut: bool, scale: float
) -> None:
    shots = [shot(photo, seed=seed, scale=scale, noise=4.0, jitter=0.5) for seed in range(5)]
    cut = [at_border(one, side) for one in shots]
    given = [cut[0], *shots[1:]] if reference_cut else [shots[0], *cut[1:]]
    expected = fuse(shots)
    fused = fuse(given)
    assert fused is not None
    assert expected is not None
    assert len(fused.shots) == 5
    error = np.abs(fused.filmed.astype(float) - expected.filmed)[BEYOND[side]].mean()
    repeated = crop(cut[0].patch.pixels, cut[0].patch.alignment, len(fused.filmed))
    without = np.abs(repeated.astype(float) - expected.filmed)[BEYOND[side]].mean()
    assert error < 0.25 * without


def test_nothing_counts_that_no_shot_has_filmed(photo: np.ndarray) -> None:
    joint = Joint()
    shots = [at_border(shot(photo, seed=s, scale=0.5, noise=2.0), "bottom") for s in range(3)]

    fuse_jointly(shots, joint, Recorder())

    visibility = joint.given[0].visibility
    assert visibility[:, 100:].max() == 0.0
    assert visibility[:, 40:86, 30:98].min() > 0.95


@pytest.mark.parametrize(("scale", "part"), [(1.6, "all"), (0.5, "covered")])
def test_shots_wider_than_the_template_are_restored_from_their_mean(
    photo: np.ndarray, scale: float, part: RestoredPart
) -> None:
    joint, generator = Joint(), Recorder()

    fused = fuse_jointly(
        [shot(photo, seed=s, scale=scale, part=part) for s in range(3)], joint, generator
    )

    assert not fused.jointly
    assert not joint.given
    assert len(generator.given) == 1


def test_values_that_are_not_finite_are_replaced_by_the_restored_mean(photo: np.ndarray) -> None:
    joint, generator = Joint(finite=False), Recorder()

    fused = fuse_jointly([shot(photo, seed=s, scale=0.4) for s in range(3)], joint, generator)

    assert not fused.jointly
    assert len(generator.given) == 1
    assert (fused.generated.image == (10, 200, 30)).all()


@pytest.mark.parametrize("mask", ["masked", "unsure"])
@pytest.mark.parametrize("best_mask", ["masked", "unsure"])
def test_shots_that_are_not_bare_do_not_show_what_the_best_one_does_not(
    photo: np.ndarray, mask: MaskState, best_mask: MaskState
) -> None:
    """A hand in front of a mask is a gap in its occlusion map."""
    joint = Joint()
    best = shot(photo, scale=0.5, mask=best_mask, occlusion=MOUTH)
    gap = MOUTH.copy()
    gap[:, 60:] = 0.0

    fuse_jointly(
        [best, shot(photo, seed=1, scale=0.5, mask=mask, occlusion=gap)], joint, Recorder(),
        seen_bare=False,
    )  # fmt: skip

    assert joint.given[0].visibility[1][95:115, 80:95].mean() < 0.05


def test_shots_that_do_not_match_are_not_restored_jointly(photo: np.ndarray) -> None:
    joint = Joint()
    stranger = np.ascontiguousarray(photo[::-1])
    fusion = ShotFusion(Recorder(), DEFAULT_CALIBRATION, scale=4, burst=joint)

    assert fusion.fuse([shot(photo, scale=0.4), shot(stranger, scale=0.4)], seen_bare=True) is None
    assert not joint.given
