"""Finds frames in what comes in on a line, whatever else comes with them."""

from collections.abc import Collection, Mapping
import struct

from .codec import COMMANDS, FRAME_OVERHEAD, HEADER_LENGTH, REFUSED, Frame, checksum

# Which numbers of data bytes an answer of each code may have: the values, or a refusal's error code.
ANSWER_LENGTHS: Mapping[int, frozenset[int]] = {
    **{code: frozenset(command.data.length() for command in COMMANDS if command.code == code) for code in {c.code for c in COMMANDS}},
    **{command.code | REFUSED: frozenset((2,)) for command in COMMANDS},
}


class Parser:
    """Takes bytes as they come and gives back the frames among them.

    A frame counts if everything about it is right: start, a length that its code may have, both addresses and the checksum.
    What cannot be one is passed over byte by byte, so that junk before a frame never costs the frame. An apparent beginning
    that is still incomplete waits for more, but holds nothing up that is complete behind it.
    """

    def __init__(self, start: int, lengths: Mapping[int, Collection[int]], addresses: tuple[int, int]) -> None:
        """`lengths`: the numbers of data bytes that each code may have."""
        self._start = start
        self._lengths = lengths
        self._addresses = bytes(addresses)
        self._buffer = bytearray()
        # The longest beginning that can still become a frame; older bytes are of no use.
        self._longest = FRAME_OVERHEAD + max(max(each) for each in lengths.values())

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now."""
        self._buffer += data
        found: list[Frame] = []
        position = 0
        while (position := self._buffer.find(self._start, position)) >= 0:
            frame = self._frame_at(position)
            if frame is None:
                position += 1
                continue
            found.append(frame)
            del self._buffer[: position + FRAME_OVERHEAD + len(frame.data)]
            position = 0
        if len(self._buffer) > self._longest:
            del self._buffer[: -self._longest]
        return found

    def reset(self) -> None:
        """Forget what has come so far."""
        self._buffer.clear()

    def _frame_at(self, position: int) -> Frame | None:
        head = self._buffer[position : position + HEADER_LENGTH]
        if len(head) < HEADER_LENGTH or head[2:4] != self._addresses or head[1] not in self._lengths.get(head[4], ()):
            return None
        end = position + FRAME_OVERHEAD + head[1]
        body = bytes(self._buffer[position:end])
        if len(body) < FRAME_OVERHEAD + head[1]:
            return None
        if struct.unpack("<H", body[-2:])[0] != checksum(body[2:-2]):
            return None
        return Frame(head[0], head[2], head[3], head[4], body[HEADER_LENGTH:-2])
