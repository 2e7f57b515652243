"""Decoding times and durations of packets whose presentation times alone are known.

A decoder takes packets in another order than a viewer sees them, so a file holds two times for
each: when it is decoded and when it is shown. Encoders that start anew for every segment know
nothing of each other, so decoding times are made here, once for the whole stream: that of
packet `i` is the `i`-th smallest time of presentation, moved back by the depth of reordering.
They increase strictly, and none lies after its own presentation, at any frame rate.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Payload = TypeVar("Payload")

_REORDER_WINDOW = 64
"""Packets looked back on for reordering; no codec holds more than 16 pictures back."""


@dataclass
class ReorderDepth:
    """Finds by how many packets decoding has to run ahead of presentation.

    Attributes:
        depth: Largest number of packets that are shown after a packet decoded later.

    """

    depth: int = 0
    _recent: deque[int] = field(default_factory=lambda: deque(maxlen=_REORDER_WINDOW))

    def add(self, pts: int) -> None:
        """Take in the presentation time of the next packet in order of decoding."""
        self.depth = max(self.depth, sum(earlier > pts for earlier in self._recent))
        self._recent.append(pts)


@dataclass(frozen=True)
class Timed(Generic[Payload]):
    """A packet with all its times, in ticks.

    Attributes:
        payload: The packet.
        pts: When it is shown.
        dts: When it is decoded.
        duration: How long it is shown.

    """

    payload: Payload
    pts: int
    dts: int
    duration: int


def timed(
    packets: Iterable[tuple[int, Payload]], depth: int, lead: int, last_duration: int
) -> Iterator[Timed[Payload]]:
    """Yield packets with their decoding times and durations, holding back only a few.

    Args:
        packets: Presentation time and packet, in order of decoding; no time twice.
        depth: Their depth of reordering, from `ReorderDepth`.
        lead: Ticks from the first decoding to the first presentation, see `Survey.lead`; at least
            `depth`.
        last_duration: How long the last one is shown.

    """
    early: list[int] = []
    waiting: deque[tuple[int, Payload]] = deque()
    decoding: deque[int] = deque()
    following: dict[int, int] = {}
    previous: int | None = None

    def settle() -> None:
        """Move the earliest time on: nothing that is still to come can lie before it."""
        nonlocal previous
        pts = heapq.heappop(early)
        if previous is None:
            decoding.extend(pts - lead + lead * number // depth for number in range(depth))
        else:
            following[previous] = pts
        decoding.append(pts)
        previous = pts

    def ready() -> Iterator[Timed[Payload]]:
        while waiting and waiting[0][0] in following:
            pts, payload = waiting.popleft()
            yield Timed(payload, pts, decoding.popleft(), following.pop(pts) - pts)

    for pts, payload in packets:
        waiting.append((pts, payload))
        heapq.heappush(early, pts)
        if len(early) > depth:
            settle()
            yield from ready()
    while early:
        settle()
    if previous is not None:
        following[previous] = previous + last_duration
    yield from ready()
