from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from jdsr_cli.media.writing.assembly import assign_decoding_times
from jdsr_cli.media.writing.segment_files import ReorderDepth


@st.composite
def streams(draw: st.DrawFn) -> list[int]:
    """Times in an order of decoding: increasing ones, of which some are decoded early."""
    steps = draw(st.lists(st.integers(1, 10**7), min_size=1, max_size=40))
    times = list(accumulate(steps, initial=draw(st.integers(-(10**9), 10**9))))
    for position in draw(st.lists(st.integers(0, len(times) - 1), max_size=10)):
        early = max(1, position - draw(st.integers(0, 7)))
        times.insert(min(early, position), times.pop(position))
    return times


def depth_of(order: list[int]) -> int:
    reordering = ReorderDepth()
    for pts in order:
        reordering.add(pts)
    return reordering.depth


@given(streams(), st.integers(1, 1000))
def test_decoding_times_increase_and_precede_presentation_times(
    order: list[int], last: int
) -> None:
    depth = depth_of(order)
    lead = depth * 5
    packets = list(assign_decoding_times([(pts, str(pts)) for pts in order], depth, lead, last))
    shown = sorted(order)
    assert [item.payload for item in packets] == [str(pts) for pts in order]
    assert [item.pts for item in packets] == order
    assert all(early.dts < late.dts for early, late in pairwise(packets))
    assert all(item.dts <= item.pts for item in packets)
    assert packets[0].dts == shown[0] - lead
    ends = {item.pts: item.pts + item.duration for item in packets}
    assert [ends[pts] for pts in shown] == [*shown[1:], shown[-1] + last]


@given(streams())
def test_the_depth_is_minimal(order: list[int]) -> None:
    ranks = {pts: rank for rank, pts in enumerate(sorted(order))}
    assert depth_of(order) == max(index - ranks[pts] for index, pts in enumerate(order))


def test_only_a_few_packets_are_buffered() -> None:
    taken = 0

    def endless():
        nonlocal taken
        while True:
            for position in (0, 3, 1, 2):
                taken += 1
                yield (taken - 1) // 4 * 4 + position, None

    for number, _ in enumerate(assign_decoding_times(endless(), 2, 2, 1)):
        assert taken - number < 8
        if number == 1000:
            break


def test_an_empty_stream_has_no_packets() -> None:
    assert list(assign_decoding_times([], 2, 2, 1)) == []
