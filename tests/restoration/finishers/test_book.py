import json
from pathlib import Path
from typing import Any

from jdsr_cli.evidence import FaceRecord
from jdsr_cli.restoration.candidates import TOO_SHORT, Refusal
from jdsr_cli.restoration.finishers.book import Book
from jdsr_cli.restoration.journal import Snapshot

SMALL = Refusal("too small", "the face is 6 px wide")
SHORT = Refusal(TOO_SHORT, "seen in fewer than 2 frames in a row")


def record(track: int, frame: int, **changes: Any) -> FaceRecord:
    given: dict[str, Any] = {
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
    return FaceRecord(**(given | changes))


def filled() -> Book:
    book = Book()
    book.add(record(1, 0), None)
    book.add(record(1, 1, bridged=True, mask="masked"), None)
    book.add(record(2, 1), SMALL)
    book.add(record(3, 1), SHORT)
    book.add(record(1, 2), SMALL)
    return book


def test_unsure_masks_are_counted_apart() -> None:
    book = Book()
    for frame, mask in enumerate(("masked", "unsure", "unsure", "bare")):
        book.add(record(1, frame, mask=mask), None)
    counts = book.counts(4, 4)
    assert (counts.faces_masked, counts.faces_unsure, counts.faces_restored) == (1, 2, 4)
    again = Book()
    again.load(book.state())
    track = again.close(1)
    assert track is not None
    assert (track.masked, track.unsure) == (1, 2)


def test_faces_and_tracks_are_counted() -> None:
    counts = filled().counts(3, 3)
    counts.check(Path("clip.mp4"))
    assert (counts.faces_found, counts.faces_bridged) == (4, 1)
    assert (counts.faces_restored, counts.faces_masked, counts.faces_refused) == (2, 1, 3)
    assert counts.refusals == {"too short": 1, "too small": 2}
    assert counts.tracks == 2


def test_a_track_tells_of_its_whole_way_once() -> None:
    book = filled()
    assert book.open_tracks == [1, 2, 3]
    track = book.close(1, ({"file": "a.png"},), None)
    assert track is not None
    read = json.loads(track.to_json())
    assert (read["first_frame"], read["last_frame"], read["last_seconds"]) == (0, 2, 0.08)
    assert (read["seen"], read["bridged"], read["restored"], read["masked"]) == (2, 1, 2, 1)
    assert read["refused"] == {"too small": 1}
    assert read["best"] == [{"file": "a.png"}]
    assert book.close(1) is None
    assert book.open_tracks == [2, 3]
    assert book.counts(3, 3) == filled().counts(3, 3)


def test_a_book_goes_on_where_it_was(tmp_path: Path) -> None:
    filled().state().write(tmp_path / "state.npz")
    other, plain = Book(), filled()
    other.load(Snapshot.read(tmp_path / "state.npz"))
    for book in (other, plain):
        book.add(record(2, 3), None)
        book.add(record(4, 3), None)
    assert other.counts(4, 4) == plain.counts(4, 4)
    for number in (1, 2, 3, 4):
        assert other.close(number) == plain.close(number)
