"""What a run leaves behind: hours of houses, deals, errors; and their digest."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
import hashlib

import numpy as np
import orjson

from ..emulator.leap import LeapingEngine
from ..emulator.line import Array
from ..model.deal import Deal
from ..model.errors import ErrorReport
from .options import Options


@dataclass(frozen=True, slots=True)
class Hour:
    """Where all houses stand at the end of an hour: charge [Wh], and what has flowed since the start [Wh], shape (N,) each."""

    elapsed_s: float
    energy_wh: Array
    totals_wh: dict[str, Array]

    @classmethod
    def of(cls, engine: LeapingEngine) -> Hour:
        """The houses now."""
        return cls(engine.elapsed_s, engine.energy_wh.copy(), engine.totals_wh)


@dataclass(frozen=True, slots=True)
class Result:
    """A run's outcome. `hours` begins with the state before the first hour."""

    options: Options
    hours: tuple[Hour, ...]
    deals: tuple[Deal, ...]
    errors: tuple[tuple[datetime, ErrorReport], ...]

    def local(self, hour: Hour) -> datetime:
        """When that was where the houses are."""
        start = self.options.start.replace(tzinfo=self.options.zone)
        return (start.astimezone(UTC) + timedelta(seconds=hour.elapsed_s)).astimezone(self.options.zone)

    @property
    def digest(self) -> str:
        """SHA-256 of everything that happened, in order: two runs with the same are the same."""
        digest = hashlib.sha256()
        for hour in self.hours:
            digest.update(np.ascontiguousarray(hour.energy_wh).tobytes())
            for name in sorted(hour.totals_wh):
                digest.update(hour.totals_wh[name].tobytes())
        for deal in self.deals:
            digest.update(orjson.dumps(deal.to_json()))
        for time, report in self.errors:
            digest.update(f"{time.isoformat()} {report}".encode())
        return digest.hexdigest()
