"""Where messages come in: whatever is not a message of this cluster, of now and for the first time, is dropped and counted."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
import logging
from typing import Any

import orjson

from ..model.errors import MessageError
from ..model.safety_times import OLDEST_MESSAGE_S
from ..ports import Json

_LOGGER = logging.getLogger(__name__)
# A round of contact with a hundred deals takes a tenth of it.
LARGEST_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message on its way. `sent_wall_s` is the sender's wall clock, which in one machine is everybody's."""

    message_id: str
    sender: str
    subject: str
    sent_wall_s: float
    payload: Json

    def pack(self) -> bytes:
        """As it travels."""
        return orjson.dumps(
            {"id": self.message_id, "from": self.sender, "subject": self.subject, "sent": self.sent_wall_s, "payload": self.payload}
        )


class Port:
    """One unit's end of the wire."""

    def __init__(self, unit_id: str, wall_s: Callable[[], float]) -> None:
        """Nothing has come yet."""
        self._unit_id = unit_id
        self._wall_s = wall_s
        self._seen: OrderedDict[str, float] = OrderedDict()
        self.dropped: Counter[str] = Counter()

    def unpack(self, data: bytes, senders: Collection[str]) -> Envelope:
        """The message in `data`.

        Raises:
            MessageError: if it is dropped; it has been counted and, the first times, logged.

        """
        if len(data) > LARGEST_BYTES:
            raise self.drop("oversized", f"{len(data)} bytes, expected at most {LARGEST_BYTES}")
        try:
            envelope = _envelope(orjson.loads(data))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise self.drop("malformed", f"{error!r} in {data[:200]!r}") from error
        if envelope.sender not in senders:
            raise self.drop("unknown sender", f"{envelope.subject} from {envelope.sender!r:.80}")
        now_s = self._wall_s()
        age_s = now_s - envelope.sent_wall_s
        if not -OLDEST_MESSAGE_S <= age_s <= OLDEST_MESSAGE_S:
            raise self.drop(
                "stale", f"{envelope.subject} from {envelope.sender}, {age_s:.1f} s old, expected at most {OLDEST_MESSAGE_S:g} s"
            )
        self._forget(now_s - 2 * OLDEST_MESSAGE_S)
        if envelope.message_id in self._seen:
            raise self.drop("repeated", f"{envelope.subject} from {envelope.sender}")
        self._seen[envelope.message_id] = now_s
        return envelope

    def _forget(self, before_s: float) -> None:
        while self._seen and next(iter(self._seen.values())) < before_s:
            self._seen.popitem(last=False)

    def drop(self, kind: str, detail: str) -> MessageError:
        """Count a dropped message; the error to be raised for it."""
        self.dropped[kind] += 1
        count = self.dropped[kind]
        if count & (count - 1) == 0:
            # The first, second, fourth ...: a flood is told without being one.
            _LOGGER.warning("%s dropped a message (%s, number %d): %s", self._unit_id, kind, count, detail)
        return MessageError(f"{kind}: {detail}")


def _envelope(data: Any) -> Envelope:
    payload = data["payload"]
    if not isinstance(payload, dict):
        raise TypeError(f"payload: found {type(payload).__name__}, expected an object")
    message_id, sender, subject = data["id"], data["from"], data["subject"]
    if not all(isinstance(text, str) for text in (message_id, sender, subject)):
        raise TypeError("id, from, subject: expected texts")
    return Envelope(message_id, sender, subject, float(data["sent"]), payload)
