"""A unit's mirror of the shared store: deals, requests to stop them, the community's mode, alerts."""

import asyncio
from collections.abc import AsyncIterator, Callable
import contextlib
from decimal import Decimal
import logging

from ..model.deal import Deal
from ..model.errors import MessageError, StoreConflictError
from ..model.modes import OperationMode
from ..ports import Entry, Json, Store
from ..rules import admission
from ..rules.modes import global_mode

_LOGGER = logging.getLogger(__name__)
DEAL, STOP, ISOLATED, BAN, UNIT = "deal.", "stop.", "isolated.", "ban.", "unit."
MARKS = (ISOLATED, BAN, UNIT)
MODE, ALERT, LEASE, CHARTER = "mode", "alert", "lease.gridMaster", "charter"


def _everything(_key: str) -> bool:
    return True


class Board:
    """What the store holds, as far as this unit has seen it; whoever is interested is woken by its changes."""

    def __init__(self, store: Store, policy_mode: Callable[[], str]) -> None:
        """Empty until `run` has begun. `policy_mode`: the mode where nobody has set one."""
        self._store = store
        self._policy_mode = policy_mode
        self._entries: dict[str, Entry] = {}
        self._by_unit: dict[str, set[str]] = {}
        self._parsed: dict[str, tuple[int, Deal]] = {}
        # Grows with every change; what was worked out from the entries holds until it does.
        self.version = 0
        # The same of what is said of units.
        self.marks_version = 0
        self._deals: tuple[Deal, ...] | None = None
        self._open: tuple[Deal, ...] | None = None
        self._agreed_a: Decimal | None = None
        self._own: dict[str, tuple[Deal, ...]] = {}
        self._listeners: dict[asyncio.Event, Callable[[str], bool]] = {}

    async def run(self) -> None:
        """Follow the store until cancelled."""
        entries: AsyncIterator[Entry] = self._store.watch("")
        async with contextlib.aclosing(entries) as watched:  # type: ignore[type-var]
            async for entry in watched:
                self.note(entry)
                if entry.value is None and self.value(entry.key) is None:
                    # Everything older has been delivered by now: the tombstone has done its work.
                    self._entries.pop(entry.key, None)

    def note(self, entry: Entry, deal: Deal | None = None) -> None:
        """Take over one change, one's own before the store tells it, unless a newer one was seen. `deal`: what its value says."""
        known = self._entries.get(entry.key)
        if known is not None and known.revision >= entry.revision:
            return
        self._entries[entry.key] = entry
        self.version += 1
        if entry.key.startswith(DEAL):
            self._deals = self._open = self._agreed_a = None
            self._own.clear()
            if deal is not None:
                self._parsed[entry.key] = (entry.revision, deal)
        elif entry.key.startswith(MARKS):
            self.marks_version += 1
        if entry.value is None:
            self._parsed.pop(entry.key, None)
            for keys in self._by_unit.values():
                keys.discard(entry.key)
        elif entry.key.startswith(DEAL):
            for unit_id in (entry.value.get("chargeUnitId"), entry.value.get("dischargeUnitId")):
                self._by_unit.setdefault(str(unit_id), set()).add(entry.key)
        for listener, concerns in self._listeners.items():
            if concerns(entry.key):
                listener.set()

    def wake(self) -> None:
        """Let every listener look again."""
        for listener in self._listeners:
            listener.set()

    def listen(self, concerns: Callable[[str], bool] = _everything) -> asyncio.Event:
        """An event that is set at each change of a key that `concerns` its listener, who clears it."""
        event = asyncio.Event()
        self._listeners[event] = concerns
        return event

    def unlisten(self, event: asyncio.Event) -> None:
        """No longer set it."""
        self._listeners.pop(event, None)

    def deals(self) -> tuple[Deal, ...]:
        """All deals in the store, ended ones that are not yet settled included; oldest first."""
        if self._deals is None:
            found = (self._deal(key) for key in self._entries if key.startswith(DEAL))
            self._deals = tuple(sorted((deal for deal in found if deal is not None), key=lambda d: (d.create_time, d.deal_id)))
        return self._deals

    def open_deals(self) -> tuple[Deal, ...]:
        """Those that have not ended, oldest first."""
        if self._open is None:
            self._open = tuple(deal for deal in self.deals() if not deal.is_ended)
        return self._open

    def lasting_deals(self) -> tuple[Deal, ...]:
        """Those that the line has to carry beside one that is agreed now: what is being stopped is off before another begins."""
        return tuple(deal for deal in self.open_deals() if deal.stop_time is None)

    def agreed_a(self) -> Decimal:
        """What those take of the line together [A]."""
        if self._agreed_a is None:
            self._agreed_a = admission.agreed_a(self.lasting_deals())
        return self._agreed_a

    def own_deals(self, unit_id: str) -> tuple[Deal, ...]:
        """A unit's deals that have not ended."""
        own = self._own.get(unit_id)
        if own is None:
            found = (self._deal(key) for key in sorted(self._by_unit.get(unit_id, ())))
            own = self._own[unit_id] = tuple(deal for deal in found if deal is not None and not deal.is_ended)
        return own

    def deal(self, deal_id: str) -> Deal | None:
        """One deal."""
        return self._deal(DEAL + deal_id)

    def entry(self, deal_id: str) -> Entry:
        """A deal as stored; deleted where there is none."""
        return self._entries.get(DEAL + deal_id) or Entry(DEAL + deal_id, None, 0)

    def said_by(self, record: Json) -> Deal | None:
        """What a record says, if it is the one that is known here."""
        key = DEAL + str(record.get("dealId"))
        entry = self._entries.get(key)
        return self._deal(key) if entry is not None and (entry.value is record or entry.value == record) else None

    def revision(self, deal_id: str) -> int:
        """The revision of a deal as seen; 0 if there is none."""
        entry = self._entries.get(DEAL + deal_id)
        return 0 if entry is None else entry.revision

    def stop_reasons(self) -> dict[str, str]:
        """Deals that somebody asked to stop, with the reasons."""
        return {
            key.removeprefix(STOP): "; ".join(entry.value.get("reasons", ()))
            for key, entry in self._entries.items()
            if key.startswith(STOP) and entry.value
        }

    @property
    def mode(self) -> OperationMode:
        """The community's mode."""
        stored = self.value(MODE)
        return global_mode(stored.get("mode") if stored else None, self._policy_mode())

    @property
    def alert(self) -> Json | None:
        """What keeps the community from new deals now, if anything."""
        return self.value(ALERT)

    def value(self, key: str) -> Json | None:
        """Any value of the store."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def keys(self, prefix: str) -> tuple[str, ...]:
        """The keys with a value that begin so."""
        return tuple(key for key, entry in self._entries.items() if key.startswith(prefix) and entry.value is not None)

    async def ask_to_stop(self, deal_id: str, reason: str) -> None:
        """Add a reason why a deal should end; the Grid Master ends it in order."""
        key = STOP + deal_id
        while True:
            entry = await self._store.get(key)
            reasons = list((entry.value or {}).get("reasons", ())) if entry is not None else []
            if reason in reasons:
                return
            try:
                if entry is None:
                    await self._store.create(key, {"reasons": [reason]})
                else:
                    await self._store.update(key, {"reasons": [*reasons, reason]}, entry.revision)
            except StoreConflictError:
                continue
            return

    def _deal(self, key: str) -> Deal | None:
        entry = self._entries.get(key)
        if entry is None or entry.value is None:
            return None
        known = self._parsed.get(key)
        if known is not None and known[0] == entry.revision:
            return known[1]
        try:
            deal = Deal.from_json(entry.value)
        except MessageError as error:
            _LOGGER.warning("%s was ignored: %s", key, error)
            return None
        self._parsed[key] = (entry.revision, deal)
        return deal
