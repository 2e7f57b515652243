import json
from pathlib import Path
from typing import Any

from jdsr_cli.evidence import FaceRecord
from jdsr_cli.restoration.frame import Refusal
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.stages.alignment import TOO_SHORT
from jdsr_cli.restoration.summary import Counts, FaceCounter, TrackPictures

SMALL = Refusal("too small", "the face is 6 px wide")
SHORT = Refusal(TOO_SHORT, "seen in fewer than 2 frames in a row")


def record(track: int, frame: int, **changes: Any) -> FaceRecord:
    values: dict[str, Any] = {
        "frame": frame,
        "pts": 40 * frame,
        "seconds": frame / 25,
        "face": 1,
        "track": track,
        "bridged": False,
        "box": (0.0, 0.0, 9.0, 9.0),
        "points": ((1.0, 1.0),) * 5,
        "score": 0.9,
        "eye_distance": 4.0,
        "status": "restored",
    }
    return FaceRecord(**(values | changes))


def filled() -> FaceCounter:
    counter = FaceCounter()
    counter.add(record(1, 0), None)
    counter.add(record(1, 1, bridged=True, mask="masked"), None)
    counter.add(record(2, 1), SMALL)
    counter.add(record(3, 1), SHORT)
    counter.add(record(1, 2), SMALL)
    return counter


def test_unsure_masks_are_counted_separately() -> None:
    counter = FaceCounter()
    for frame, mask in enumerate(("masked", "unsure", "unsure", "bare")):
        counter.add(record(1, frame, mask=mask), None)
    counts = Counts(4, 4, **counter.counts())
    assert (counts.faces_masked, counts.faces_unsure, counts.faces_restored) == (1, 2, 4)
    again = FaceCounter()
    again.load(counter.state())
    track = again.close(1, TrackPictures())
    assert track is not None
    assert (track.masked, track.unsure) == (1, 2)


def test_unreliable_shots_are_summed_over_tracks_and_resumed_runs() -> None:
    counter = filled()
    counter.close(1, TrackPictures(unreliable=3))
    again = FaceCounter()
    again.load(json.loads(json.dumps(counter.state())))
    track = again.close(2, TrackPictures(unreliable=2))
    again.close(3, TrackPictures())
    assert track is not None
    assert track.unreliable == 2
    assert Counts(3, 3, **again.counts()).unreliable == 5


def test_faces_and_tracks_are_counted() -> None:
    counts = Counts(3, 3, **filled().counts())
    counts.check(Path("clip.mp4"))
    assert (counts.faces_found, counts.faces_bridged) == (4, 1)
    assert (counts.faces_restored, counts.faces_masked, counts.faces_refused) == (2, 1, 3)
    assert counts.refusals == {"too short": 1, "too small": 2}
    assert counts.tracks == 2


def test_a_track_is_recorded_once_with_all_its_frames() -> None:
    counter = filled()
    track = counter.close(1, TrackPictures(best=({"file": "a.png"},)))
    assert track is not None
    read = json.loads(track.to_json())
    assert (read["first_frame"], read["last_frame"], read["last_seconds"]) == (0, 2, 0.08)
    assert (read["seen"], read["bridged"], read["restored"], read["masked"]) == (2, 1, 2, 1)
    assert read["refused"] == {"too small": 1}
    assert read["best"] == [{"file": "a.png"}]
    assert counter.close(1, TrackPictures()) is None
    assert counter.counts() == filled().counts() | {"unreliable": 0}


def test_a_counter_continues_from_its_state(tmp_path: Path) -> None:
    Snapshot(filled().state()).write(tmp_path / "state.npz", "run")
    other, expected = FaceCounter(), filled()
    other.load(Snapshot.read(tmp_path / "state.npz", "run").values)
    for counter in (other, expected):
        counter.add(record(2, 3), None)
        counter.add(record(4, 3), None)
    assert other.counts() == expected.counts()
    for number in (1, 2, 3, 4):
        assert other.close(number, TrackPictures()) == expected.close(number, TrackPictures())
