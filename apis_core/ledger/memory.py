"""A ledger that nobody needs after the run: what a simulation counts is handed on, nothing is written down."""

from collections.abc import Callable, Mapping
from datetime import datetime

from ..model.converter import Reading
from ..model.deal import Deal, SideEnergy
from ..model.errors import ErrorReport
from ..ports import Json


class MemoryLedger:
    """See Ledger. A deal that has ended and was told on is forgotten."""

    trouble = ""

    def __init__(self, unit_id: str, on_ended: Callable[[Deal], None], on_error: Callable[[ErrorReport, datetime], None]) -> None:
        """`on_ended` gets each record of a deal in which this unit gives, once it has ended; the last one is the final one."""
        self._unit_id = unit_id
        self._on_ended = on_ended
        self._on_error = on_error
        self._live: dict[str, Deal] = {}
        self._states: dict[str, Json] = {}
        self._scenarios: list[Json] = []

    async def record_deal(self, deal: Deal, account: Json | None = None) -> Deal:
        """See Ledger."""
        if account is not None:
            self._states["account"] = account
        if not deal.is_ended:
            self._live[deal.deal_id] = deal
            return deal
        self._live.pop(deal.deal_id, None)
        if deal.discharge_unit_id == self._unit_id:
            self._on_ended(deal)
        return deal

    async def record_reading(self, reading: Reading) -> None:
        """See Ledger."""

    async def record_error(self, report: ErrorReport, time: datetime) -> None:
        """See Ledger."""
        self._on_error(report, time)

    async def record_mode(self, scope: str, mode: str | None, who: str, time: datetime) -> None:
        """See Ledger."""

    async def record_scenario(self, scenario: Json, who: str, time: datetime) -> None:
        """See Ledger."""
        self._scenarios.append({"time": time.isoformat(), "who": who, "scenario": scenario})

    async def scenarios(self) -> tuple[Json, ...]:
        """See Ledger."""
        return tuple(self._scenarios)

    async def deals(self, start: datetime | None = None, end: datetime | None = None) -> tuple[Deal, ...]:
        """See Ledger: those that have not ended."""
        found = sorted(self._live.values(), key=lambda deal: (deal.create_time, deal.deal_id))
        return tuple(d for d in found if (start is None or d.create_time >= start) and (end is None or d.create_time < end))

    async def open_deals(self) -> tuple[Deal, ...]:
        """See Ledger."""
        return await self.deals()

    async def energy(self) -> Mapping[str, SideEnergy]:
        """See Ledger."""
        return {deal_id: deal.side_energy(self._unit_id) for deal_id, deal in self._live.items()}

    async def state(self, key: str) -> Json | None:
        """See Ledger."""
        return self._states.get(key)

    async def set_state(self, key: str, value: Json) -> None:
        """See Ledger."""
        self._states[key] = value

    async def flush(self) -> None:
        """See Ledger."""
