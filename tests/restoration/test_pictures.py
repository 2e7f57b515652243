import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from jdsr_cli.faces import Alignment, crop, estimate_alignment
from jdsr_cli.faces.burst import RegisteredShots
from jdsr_cli.faces.doubt import FaceConditions
from jdsr_cli.faces.occlusion import DEFAULT_CALIBRATION, MaskState
from jdsr_cli.inference.generator import Pictures
from jdsr_cli.media import read_image
from jdsr_cli.restoration.best_shots import BestShots, Shot, TrackShots
from jdsr_cli.restoration.doubt import Doubt, DoubtEstimator
from jdsr_cli.restoration.examination import Examiner
from jdsr_cli.restoration.face_folder import FaceFolder, picture_side
from jdsr_cli.restoration.frame import RestoredFace
from jdsr_cli.restoration.fused_faces import ShotFusion
from jdsr_cli.restoration.pictures import TrackExport
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.stages.compositing import cut_patch
from jdsr_cli.restoration.summary import TrackPictures
from jdsr_cli.settings import RestoredPart

POINTS = np.array([[47, 50], [62, 50], [54, 59], [48, 66], [61, 66]], np.float32)


def face(value: int = 120) -> RestoredFace:
    return RestoredFace(
        np.full((128, 128, 3), value, np.uint8),
        np.zeros((128, 128), np.float32),
        redone=False,
        side=64,
    )


def shot(
    image: np.ndarray,
    *,
    frame: int = 0,
    quality: float = 0.5,
    seconds: float | None = None,
    mask: MaskState = "bare",
) -> Shot:
    return Shot(
        frame,
        frame / 25 if seconds is None else seconds,
        quality,
        mask,
        0.5 if mask == "masked" else 0.0,
        cut_patch(image, estimate_alignment(POINTS)),
        face(frame % 200),
        np.full((128, 128), 0.9 if mask == "masked" else 0.0, np.float32),
    )


def offer(shots: BestShots, image: np.ndarray, *given: tuple[int, float, MaskState]) -> None:
    """Offer shots of track 1: frames at one a second, their quality and mask."""
    for frame, quality, mask in given:
        if shots.accepts(1, float(frame), quality, mask):
            one = shot(image, frame=frame, quality=quality, seconds=float(frame), mask=mask)
            shots.add(1, one)


def test_a_shot_is_independent_of_its_frame(astronaut: np.ndarray) -> None:
    image = astronaut.copy()
    one = shot(image)
    assert one.patch.pixels.nbytes < image.nbytes
    before, after = one.render(160)
    assert np.abs(before.astype(int) - crop(image, estimate_alignment(POINTS), 160)).max() <= 1
    assert (before != after).any()
    image[:] = 0
    again, _ = one.render(160)
    np.testing.assert_array_equal(before, again)
    assert one.patch.alignment.native_width == pytest.approx(
        estimate_alignment(POINTS).native_width
    )


def test_a_crop_at_the_border_equals_that_of_the_frame(astronaut: np.ndarray) -> None:
    moved = estimate_alignment(POINTS - np.float32([40, 30]))
    one = replace(shot(astronaut), patch=cut_patch(astronaut, moved))
    before, _ = one.render(128)
    assert np.abs(before.astype(int) - crop(astronaut, moved, 128)).max() <= 1


def test_only_the_best_shots_are_kept(astronaut: np.ndarray) -> None:
    best_shots = BestShots(3)
    qualities = enumerate([0.2, 0.9, 0.4, 0.8, 0.1, 0.7, 0.3])
    offer(best_shots, astronaut, *((frame, quality, "bare") for frame, quality in qualities))
    assert not best_shots.accepts(1, 99.0, 0.65, "bare")
    assert best_shots.accepts(2, 99.0, 0.1, "bare")
    assert [one.frame for one in best_shots.pop(1, seen_bare=True).best] == [1, 3, 5]
    assert best_shots.pop(1, seen_bare=True).best == []


def test_shots_close_in_time_count_once(astronaut: np.ndarray) -> None:
    best_shots = BestShots(3)
    for frame, quality in enumerate([0.5, 0.6, 0.4, 0.6]):
        if best_shots.accepts(1, frame / 25, quality, "bare"):
            best_shots.add(1, shot(astronaut, frame=frame, quality=quality))
    assert [one.frame for one in best_shots.pop(1, seen_bare=True).best] == [1]


def test_best_shots_continue_from_a_snapshot(astronaut: np.ndarray, tmp_path: Path) -> None:
    best_shots = BestShots(2)
    for track, frame in ((3, 0), (3, 30), (8, 40)):
        best_shots.add(track, shot(astronaut, frame=frame, quality=0.1 + frame / 100))
    best_shots.snapshot().write(tmp_path / "state.npz", "run")
    other = BestShots(2)
    other.restore(Snapshot.read(tmp_path / "state.npz", "run"))
    for track in (3, 8):
        kept, resumed = (one.pop(track, seen_bare=True).best for one in (best_shots, other))
        for a, b in zip(kept, resumed, strict=True):
            assert (a.frame, a.seconds, a.quality) == (b.frame, b.seconds, b.quality)
            for one, two in zip(a.render(140), b.render(140), strict=True):
                np.testing.assert_array_equal(one, two)


class Copier:
    """Restores a face as it is, and finds what it is told covered."""

    side = 128

    def __init__(self, occlusion: float = 0.0, *, finite: bool = True) -> None:
        self.given: list[np.ndarray] = []
        self._occlusion, self._finite = occlusion, finite

    def restore(self, crops: Sequence[np.ndarray]) -> list[RestoredFace | None]:
        self.given += crops
        covered = np.zeros((128, 128), np.float32)
        covered[80:] = self._occlusion
        faces = [RestoredFace(one.copy(), covered, redone=False, side=128) for one in crops]
        return [face if self._finite else None for face in faces]


def exporter(
    folder: Path, *, most: int, examiner: Examiner | None = None, generator: Copier | None = None
) -> TrackExport:
    fusion = ShotFusion(generator or Copier(), DEFAULT_CALIBRATION, scale=4)
    chosen = examiner or Examiner()
    return TrackExport(FaceFolder(folder), chosen, fusion, scale=4, most=most)


def export(folder: Path, track: int, shots: list[Shot], *, most: int) -> TrackPictures:
    pictures = TrackPictures()
    exporter(folder, most=most).write(track, TrackShots(shots, shots), pictures)
    return pictures


def test_best_and_fused_pictures_are_written(astronaut: np.ndarray, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    shots = []
    for frame in range(4):
        noisy = np.clip(astronaut + random.normal(0, 12, astronaut.shape), 0, 255)
        one = shot(noisy.astype(np.uint8), frame=frame, quality=0.9 - frame / 9)
        restored = RestoredFace(
            crop(one.patch.pixels, one.patch.alignment), *(one.occlusion, False, 128)
        )
        shots.append(replace(one, face=restored))
    pictures = export(tmp_path, 12, shots, most=2)
    best, fused = pictures.best, pictures.fused
    assert [one["file"] for one in best] == [
        "faces/track0012_best1.png",
        "faces/track0012_best2.png",
    ]
    assert [one["frames"] for one in best] == [(0,), (1,)]
    assert fused is not None
    assert fused["frames"] == (0, 1, 2, 3)
    side = shots[0].side(4)
    for one in (*best, fused):
        data = (tmp_path / one["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == one["sha256"]
        assert read_image(tmp_path / one["file"]).shape == (side, 2 * side, 3)
    single = read_image(tmp_path / best[0]["file"])[:, side:].astype(float)
    together = read_image(tmp_path / fused["file"])[:, side:].astype(float)
    clean = crop(astronaut, estimate_alignment(POINTS), side).astype(float)
    inner = (slice(side // 3, 5 * side // 6), slice(side // 4, 3 * side // 4))
    errors = [np.square(one - clean)[inner].mean() for one in (together, single)]
    assert errors[0] < 0.5 * errors[1]


class Joint:
    """Restores from all shots, or gives values that are not finite."""

    def __init__(self, finite: bool) -> None:
        self._finite = finite

    def restore(self, shots: RegisteredShots) -> Pictures:
        images = np.full((1, 128, 128, 3), 90, np.uint8)
        return Pictures(images, np.zeros((1, 128, 128), np.uint8), np.array([self._finite]))


@pytest.mark.parametrize(
    ("burst", "jointly"), [(None, False), (Joint(finite=True), True), (Joint(finite=False), False)]
)
def test_the_record_of_a_fused_face_states_how_it_was_restored(
    astronaut: np.ndarray, tmp_path: Path, burst: Joint | None, jointly: bool
) -> None:
    pictures = TrackPictures()
    shots = [shot(astronaut, frame=n, quality=0.9 - n / 9) for n in range(3)]
    fusion = ShotFusion(Copier(), DEFAULT_CALIBRATION, scale=4, burst=burst)
    export = TrackExport(FaceFolder(tmp_path), Examiner(), fusion, scale=4, most=2)
    export.write(1, TrackShots(shots, shots), pictures)
    assert pictures.fused is not None
    assert pictures.fused["jointly"] is jointly
    assert all("jointly" not in one for one in pictures.best)


def test_one_shot_is_not_fused(astronaut: np.ndarray, tmp_path: Path) -> None:
    pictures = export(tmp_path, 1, [shot(astronaut)], most=3)
    assert len(pictures.best) == 1
    assert pictures.fused is None
    names = sorted(path.name for path in (tmp_path / "faces").iterdir())
    assert names == ["track0001_best1.png", "track0001_best1_occlusion.png"]


def test_the_alignment_of_a_patch_differs_only_by_a_shift(astronaut: np.ndarray) -> None:
    alignment = estimate_alignment(POINTS)
    one = shot(astronaut)
    shift = one.patch.alignment.matrix[:, :2] - alignment.matrix[:, :2]
    assert isinstance(one.patch.alignment, Alignment)
    np.testing.assert_allclose(shift, 0.0, atol=1e-12)


@pytest.mark.parametrize(("width", "side"), [(9.0, 128), (100.2, 401), (300.0, 1024)])
def test_pictures_are_enlarged_within_limits(width: float, side: int) -> None:
    assert picture_side(width, 4) == side


@pytest.mark.parametrize(
    ("given", "frames"),
    [
        ([(0, 0.9, "masked"), (1, 0.3, "bare"), (2, 0.8, "masked")], [1]),
        ([(0, 0.2, "bare"), (1, 0.9, "masked"), (2, 0.4, "unsure"), (3, 0.3, "bare")], [3, 0, 2]),
        ([(0, 0.2, "unsure"), (1, 0.9, "masked"), (2, 0.4, "unsure")], [1, 2, 0]),
        ([(4, 0.2, "bare"), (4, 0.9, "unsure"), (8, 0.1, "unsure")], [4, 8]),
        ([(4, 0.2, "unsure"), (4, 0.9, "masked"), (8, 0.1, "masked")], [4, 8]),
        ([(0, 0.2, "masked"), (1, 0.9, "masked")], [1, 0]),
        ([(0, 0.1, "bare"), *((n, 0.5 + n / 99, "unsure") for n in range(1, 5)),
          (9, 0.99, "masked")], [0, 4, 3]),
    ],
)  # fmt: skip
def test_no_mask_is_removed_in_the_best_shots_of_a_person_seen_bare(
    given: list[tuple[int, float, MaskState]], frames: list[int], astronaut: np.ndarray
) -> None:
    best_shots = BestShots(3)
    offer(best_shots, astronaut, *given[: len(given) // 2])
    resumed = BestShots(3)
    resumed.restore(best_shots.snapshot())
    offer(resumed, astronaut, *given[len(given) // 2 :])
    seen_bare = any(mask == "bare" for _, _, mask in given)
    shots = resumed.pop(1, seen_bare=seen_bare)
    assert [one.frame for one in shots.best] == frames
    kept = len(shots.best)
    assert shots.fusible[:kept] == shots.best
    assert "bare" not in {one.mask for one in shots.fusible[kept:]}
    assert seen_bare or not shots.fusible[kept:]
    # Another person may get the number of a track that has ended.
    offer(resumed, astronaut, (30, 0.5, "masked"))
    assert [one.frame for one in resumed.pop(1, seen_bare=False).best] == [30]


def test_masked_shots_of_a_person_seen_bare_are_kept_to_be_fused(astronaut: np.ndarray) -> None:
    best_shots = BestShots(3)
    given = [(0, 0.2, "bare"), (1, 0.9, "masked"), (2, 0.4, "unsure"), (3, 0.5, "masked")]
    offer(best_shots, astronaut, *given)
    shots = best_shots.pop(1, seen_bare=True)
    assert [one.frame for one in shots.best] == [0, 2]
    assert [one.frame for one in shots.fusible] == [0, 2, 1, 3]


@pytest.mark.parametrize("mask", ["masked", "unsure", "bare"])
def test_occlusion_maps_are_as_large_as_a_face(
    mask: MaskState, astronaut: np.ndarray, tmp_path: Path
) -> None:
    one = shot(astronaut, mask=mask)
    covered = one.occlusion.copy()
    covered[:64] = 0.0
    pictures = export(tmp_path, 1, [replace(one, occlusion=covered)], most=1)
    (best,) = pictures.best
    assert (best["mask"], best["covered"], best["seconds"]) == (mask, one.covered, (0.0,))
    path = tmp_path / best["occlusion"]["file"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == best["occlusion"]["sha256"]
    with Pillow.open(path) as picture:
        levels = np.asarray(picture)
    side = one.side(4)
    assert levels.shape == (side, side)
    assert levels[: side // 2 - 8].max() == 0
    lower = levels[side // 2 + 8 :]
    assert lower.min() == lower.max() == pytest.approx(230 if mask == "masked" else 0, abs=1)


class Judge(DoubtEstimator):
    """Finds the shots reliable whose crops it is told, and counts what it restores."""

    def __init__(self, reliable: Callable[[int], bool], *, possible: bool = True) -> None:
        self.restored, self._reliable, self._possible = 0, reliable, possible

    def can_keep(self, conditions: FaceConditions, part: RestoredPart) -> bool:
        return self._possible

    def estimate(
        self,
        crop: np.ndarray,
        conditions: FaceConditions,
        part: RestoredPart = "all",
        *,
        seen: np.ndarray | None = None,
    ) -> Doubt:
        self.restored += 1
        share = 0.5 if self._reliable(self.restored) else 0.0
        mean = replace(face(), occlusion=np.full((128, 128), 0.25, np.float32), part=part)
        levels = np.full((128, 128), 24, np.uint8)
        return Doubt(mean, np.zeros((128, 128), np.float32), levels, 24, 0.9, share)


def judged(
    folder: Path, shots: list[Shot], judge: Judge, *, most: int
) -> tuple[TrackPictures, list[str]]:
    pictures, export = TrackPictures(), exporter(folder, most=most, examiner=Examiner(judge))
    export.write(1, TrackShots(shots, shots), pictures)
    return pictures, [one["file"] for one in pictures.best]


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("fused_reliable", [True, False])
def test_unreliable_shots_are_not_written_and_the_fused_face_is_judged(
    astronaut: np.ndarray, tmp_path: Path, most: int, fused_reliable: bool
) -> None:
    shots = [shot(astronaut, frame=frame, quality=0.9 - frame / 9) for frame in range(6)]
    examined = most + (most > 1)
    judge = Judge(lambda number: number != 2 if number <= examined else fused_reliable)
    pictures, files = judged(tmp_path, shots, judge, most=most)
    assert len(files) == most
    assert judge.restored == examined + 1
    assert pictures.unreliable == (most > 1)
    assert (pictures.fused is not None) == fused_reliable
    if pictures.fused is not None:
        assert pictures.fused["frames"] == tuple(range(6))
        assert pictures.fused["doubt"] is None


class SureJudge(Judge):
    """Finds nothing reliable in faces of which it is not sure whether they are bare."""

    def can_keep(self, conditions: FaceConditions, part: RestoredPart) -> bool:
        return conditions.mask != "unsure"


@pytest.mark.parametrize("unsure", [{1, 2}, {0}, {3, 9, 10}])
def test_the_fused_shots_do_not_depend_on_the_number_of_written_ones(
    astronaut: np.ndarray, tmp_path: Path, unsure: set[int]
) -> None:
    random = np.random.default_rng(4)
    shots = []
    for frame in range(12):
        noisy = np.clip(astronaut + random.normal(0, 6, astronaut.shape), 0, 255)
        mask: MaskState = "unsure" if frame in unsure else "bare"
        quality = 0.9 - frame / 20
        shots.append(shot(noisy.astype(np.uint8), frame=frame, quality=quality, mask=mask))
    found = []
    for most in (1, 2, 8):
        judge = SureJudge(lambda number: number != 1)
        folder = tmp_path / str(most)
        folder.mkdir()
        pictures = TrackPictures(bare=crop(astronaut, estimate_alignment(POINTS)))
        export = exporter(folder, most=most, examiner=Examiner(judge))
        export.write(1, TrackShots(shots, shots[:8]), pictures)
        assert pictures.fused is not None
        found.append(pictures.fused)
    assert found[0] == found[1] == found[2]
    assert found[0]["frames"] == tuple(frame for frame in range(8) if frame not in unsure)


@pytest.mark.parametrize(("first", "second"), [(10, "bare"), (2, "bare"), (10, "unsure")])
def test_masked_shots_beside_a_bare_one_are_fused_whatever_is_written(
    astronaut: np.ndarray, first: int, second: MaskState
) -> None:
    given: list[tuple[int, float, MaskState]] = [
        *((n, 0.5 + n / 99, "bare") for n in range(first)),
        *((n, 0.5 + n / 99, second) for n in range(first, 10)),
        *((n, 0.6 + n / 99, "unsure") for n in range(10)),
        *((20 + n, 0.4 + n / 99, "masked") for n in range(10)),
    ]
    chosen = []
    for limit in (8, 9, 20):
        best_shots = BestShots(limit)
        offer(best_shots, astronaut, *given)
        chosen.append([one.frame for one in best_shots.pop(1, seen_bare=True).fusible])
    assert chosen[0] == chosen[1] == chosen[2]
    assert chosen[0] == [*range(9, 1, -1), *range(29, 21, -1)]


def test_what_cannot_be_reliable_is_not_restored_again(
    astronaut: np.ndarray, tmp_path: Path
) -> None:
    judge = Judge(lambda number: True, possible=False)
    shots = [shot(astronaut, frame=frame) for frame in range(4)]
    pictures, files = judged(tmp_path, shots, judge, most=3)
    assert (files, pictures.unreliable, judge.restored, pictures.fused) == ([], 4, 0, None)


@pytest.mark.parametrize("mask", ["bare", "unsure"])
def test_shots_that_show_nothing_restored_are_written_without_repeats(
    astronaut: np.ndarray, tmp_path: Path, mask: MaskState
) -> None:
    one = shot(astronaut, mask=mask)
    kept = replace(one, face=replace(one.face, part="covered"))
    judge = Judge(lambda number: False, possible=False)
    pictures, files = judged(tmp_path, [kept, kept], judge, most=1)
    assert (len(files), pictures.unreliable, judge.restored) == (1, 0, 0)
    assert pictures.best[0]["doubt"] is None
    assert pictures.fused is not None


def test_the_occlusion_map_of_a_judged_shot_is_that_of_its_picture(
    astronaut: np.ndarray,
) -> None:
    examiner = Examiner(Judge(lambda number: True))
    examined = examiner.examine(shot(astronaut, mask="masked")).shot
    assert examined.covered == 0.5  # that of the record
    assert examined.occlusion == pytest.approx(0.25)
    assert examiner.covered(examined.occlusion) == pytest.approx(0.25, abs=0.01)
