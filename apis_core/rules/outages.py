"""When a unit could not share, and whether that was a fault or meant so."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

# Whoever was not looked at for longer was not there.
TOLERANCE_S = 180.0
KEPT = timedelta(days=31)
DAYS = (1, 7, 30)


class Cause(StrEnum):
    """Why a unit cannot share."""

    FAULT = "fault"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Outage:
    """From the last good look, or from where it was meant so, to the first good one; `end` None: it lasts."""

    start: datetime
    end: datetime | None
    cause: Cause


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a unit: in service `since`, last looked at when it was `seen`, and whether it ended in order then."""

    since: datetime
    seen: datetime
    outages: tuple[Outage, ...] = ()
    is_closed: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        outages = [[each.start.isoformat(), each.end and each.end.isoformat(), str(each.cause)] for each in self.outages]
        return {"since": self.since.isoformat(), "seen": self.seen.isoformat(), "outages": outages, "closed": self.is_closed}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read the JSON form."""

        def moment(text: str) -> datetime:
            return datetime.fromisoformat(text)

        outages = tuple(Outage(moment(start), moment(end) if end else None, Cause(cause)) for start, end, cause in data["outages"])
        return cls(moment(data["since"]), moment(data["seen"]), outages, bool(data["closed"]))


def looked(record: Record | None, now: datetime, cause: Cause | None) -> Record:
    """The record after one more look, which found why the unit cannot share, or that it can (None)."""
    if record is None:
        return Record(now, now, () if cause is None else (Outage(now, None, cause),))
    if now <= record.seen:
        # A clock that was set back tells of no time at all.
        return replace(record, is_closed=False)
    unseen = (now - record.seen).total_seconds() > TOLERANCE_S
    outages = record.outages
    if unseen:
        outages = _begun(outages, record.seen, Cause.PLANNED if record.is_closed else Cause.FAULT)
    if cause is None:
        outages = _ended(outages, now)
    elif not outages or outages[-1].end is not None or outages[-1].cause is not cause:
        began = record.seen if cause is Cause.FAULT and not unseen and not _is_open(outages) else now
        outages = _begun(outages, began, cause)
    kept = tuple(each for each in outages if each.end is None or each.end > now - KEPT)
    return Record(record.since, now, kept)


def shares(record: Record, now: datetime, days: int) -> dict[str, float] | None:
    """Parts of the last days, or of the time in service if that is shorter, in percent: `available`, `fault`, `planned`."""
    start = max(record.since, now - timedelta(days=days))
    whole_s = (now - start).total_seconds()
    if whole_s <= 0:
        return None
    outages = record.outages
    if (now - record.seen).total_seconds() > TOLERANCE_S and not _is_open(outages):
        outages = (*outages, Outage(record.seen, None, Cause.PLANNED if record.is_closed else Cause.FAULT))
    found = dict.fromkeys(Cause, 0.0)
    for each in outages:
        end = min(now, each.end or now)
        found[each.cause] += max(0.0, (end - max(start, each.start)).total_seconds())
    percent = {str(cause): 100 * down_s / whole_s for cause, down_s in found.items()}
    return {"available": max(0.0, 100 - sum(percent.values())), **percent}


def _is_open(outages: tuple[Outage, ...]) -> bool:
    return bool(outages) and outages[-1].end is None


def _ended(outages: tuple[Outage, ...], at: datetime) -> tuple[Outage, ...]:
    return (*outages[:-1], replace(outages[-1], end=at)) if _is_open(outages) else outages


def _begun(outages: tuple[Outage, ...], at: datetime, cause: Cause) -> tuple[Outage, ...]:
    if _is_open(outages) and outages[-1].cause is cause:
        return outages
    return (*_ended(outages, at), Outage(at, None, cause))
