"""Find where an MPEG transport stream ends in a file.

Its packets have one size and begin with a sync byte. FFmpeg skips whatever else it meets, such as a
recording of another format that was appended, without a word. A stream of hours is not read for
this: packets are checked at some places, and the end is searched between two of them.

Sources: ITU-T H.222.0, 2.4.3.2 (transport packets); Blu-ray Disc Association, BD-ROM part 3 (source
packets of 192 bytes); ETSI TR 101 290 (five sync bytes for synchronisation).
"""

from __future__ import annotations

import re
from typing import BinaryIO

_SYNC = 0x47
_IN_ROW = 5
"""Number of packets in a row by which a stream is recognised."""

LEAD = 4 + (_IN_ROW - 1) * 204 + 1
"""Number of bytes that are needed to recognise a stream."""

_PLACES = 256
"""Number of places at which a stream is checked, beside its end."""


class TransportStream:
    """The structure of a transport stream, see `elements.Layout`.

    Args:
        packet: Number of bytes of a packet.
        before: How many of them precede the sync byte.

    """

    searched = True
    continuous = True

    def __init__(self, packet: int, before: int) -> None:
        self._packet = packet
        self._before = before
        rest = b"[\\x00-\\xff]{%d}\x47" % (packet - 1)
        self._row = re.compile(b"\x47" + rest * (_IN_ROW - 1))
        """Begins with the sync byte, for which a regular expression is searched fast."""

    def starts(self, head: bytes) -> bool:
        """Whether a stream starts with these bytes."""
        return self._row.match(head, self._before) is not None

    def find(self, data: bytes, start: int) -> int | None:
        """Return where the next stream may start in `data`, None if nowhere."""
        match = self._row.search(data, start + self._before)
        return None if match is None else match.start() - self._before

    def follow(self, stream: BinaryIO, position: int, size: int) -> int:
        """Return where the packets end that start at a position.

        Args:
            stream: The file.
            position: Where a stream starts.
            size: Number of bytes of the file.

        """
        packet, before = self._packet, self._before
        count = (size - position) // packet

        def is_intact(number: int) -> bool:
            """Whether there are packets from a number on, up to five."""
            first = min(number, max(0, count - 2))
            stream.seek(position + first * packet)
            data = stream.read(min(_IN_ROW, count - first) * packet)
            return set(data[before::packet]) == {_SYNC}

        places = [count * place // _PLACES for place in range(1, _PLACES)]
        intact, broken = 0, count
        for place in (*places, count - 1):
            if not is_intact(place):
                broken = place
                break
            intact = place
        else:
            return self._with_cut_packet(stream, position + count * packet, size, before)
        while broken - intact > 1:
            middle = (intact + broken) // 2
            if is_intact(middle):
                intact = middle
            else:
                broken = middle
        # The last five packets were intact together.
        return position + min(count, intact + _IN_ROW) * packet

    @staticmethod
    def _with_cut_packet(stream: BinaryIO, end: int, size: int, before: int) -> int:
        """Return the end with the packet that the end of the file cuts off, if there is one."""
        stream.seek(end)
        rest = stream.read(size - end)
        return size if len(rest) <= before or rest[before] == _SYNC else end


TRANSPORT_STREAMS = (TransportStream(188, 0), TransportStream(192, 4), TransportStream(204, 0))
"""Plain packets, source packets with their time of arrival, and packets with parity bytes."""
