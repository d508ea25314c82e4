"""Times as the original writes them (`uuuu/MM/dd-HH:mm:ss`, local, whole seconds) and as units tell each other (ISO, UTC).

Between our own nodes times travel as ISO 8601 in UTC with microseconds: a local time is ambiguous for one hour a year.
Files, faces and the original's protocols get the original's form in the unit's zone.
"""

from datetime import UTC, datetime, tzinfo
from functools import lru_cache

from .errors import MessageError

ORIGINAL_FORM = "%Y/%m/%d-%H:%M:%S"
NEVER = "--"


def format_time(moment: datetime, zone: tzinfo | None) -> str:
    """`moment` in the original's form in `zone`, or ISO in UTC where `zone` is None."""
    if zone is None:
        return _iso(moment if moment.tzinfo is UTC else moment.astimezone(UTC))
    return moment.astimezone(zone).strftime(ORIGINAL_FORM)


@lru_cache
def _iso(moment: datetime) -> str:
    # A deal's times are written with each of its changes.
    return moment.isoformat(timespec="microseconds")


def parse_time(text: str, zone: tzinfo | None) -> datetime:
    """The UTC time that `text` (either form; local ones in `zone`) means.

    Raises:
        MessageError: if it is neither form, or local without a zone.

    """
    try:
        if "/" not in text:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError
            return moment.astimezone(UTC)
        if zone is None:
            raise ValueError
        return datetime.strptime(text.partition(".")[0], ORIGINAL_FORM).replace(tzinfo=zone).astimezone(UTC)
    except ValueError, OverflowError:
        raise MessageError(f"time: found {text!r}, expected uuuu/MM/dd-HH:mm:ss or an ISO time with its offset") from None
