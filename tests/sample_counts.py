"""Consistent counts of a run, for the tests that print them."""

from jdsr_cli.restoration import Counts

COUNTS = Counts(
    frames_read=1,
    frames_written=1,
    tracks=4,
    faces_found=5,
    faces_bridged=1,
    faces_restored=3,
    faces_refused=3,
    faces_masked=1,
    refusals={"too small": 2, "outside": 1},
)
