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
def test_every_packet_gets_times_that_a_decoder_can_keep(order: list[int], last: int) -> None:
    depth = depth_of(order)
    lead = depth * 5
    found = list(assign_decoding_times([(pts, str(pts)) for pts in order], depth, lead, last))
    shown = sorted(order)
    assert [item.payload for item in found] == [str(pts) for pts in order]
    assert [item.pts for item in found] == order
    assert all(early.dts < late.dts for early, late in pairwise(found))
    assert all(item.dts <= item.pts for item in found)
    assert found[0].dts == shown[0] - lead
    ends = {item.pts: item.pts + item.duration for item in found}
    assert [ends[pts] for pts in shown] == [*shown[1:], shown[-1] + last]


@given(streams())
def test_the_depth_is_the_least_that_will_do(order: list[int]) -> None:
    ranks = {pts: rank for rank, pts in enumerate(sorted(order))}
    assert depth_of(order) == max(index - ranks[pts] for index, pts in enumerate(order))


def test_only_a_few_packets_are_held_back() -> None:
    taken = 0

    def endless():
        nonlocal taken
        while True:
            for place in (0, 3, 1, 2):
                taken += 1
                yield (taken - 1) // 4 * 4 + place, None

    for number, _ in enumerate(assign_decoding_times(endless(), 2, 2, 1)):
        assert taken - number < 8
        if number == 1000:
            break


def test_nothing_gives_nothing() -> None:
    assert list(assign_decoding_times([], 2, 2, 1)) == []
