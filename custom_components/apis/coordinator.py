"""What a community shows, kept up to date: told of what happens, looked at now and then for what only drifts."""

import asyncio
from collections.abc import Callable, Mapping
import contextlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import ATTR_UNIT_OF_MEASUREMENT, STATE_UNAVAILABLE, STATE_UNKNOWN, UnitOfPower
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed, HomeAssistantError
from homeassistant.helpers.debounce import Debouncer
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util
from homeassistant.util.unit_conversion import PowerConverter

from apis_core.community import Community
from apis_core.model.errors import ApisError, NotPairedError
from apis_core.model.policy import Policy
from apis_core.model.view import Event, Snapshot, UnitView

from .const import CONF_KIND, CONF_POLICY, CONF_SENSORS, DOMAIN, KIND_DAEMON, LOGGER, POWERS
from .day import Day

type ApisConfigEntry = ConfigEntry[ApisData]

# While energy flows people watch; otherwise only charge and temperature drift.
SHARING_INTERVAL = timedelta(seconds=5)
QUIET_INTERVAL = timedelta(seconds=30)
RECONNECT_S = 10.0
AFTER_EVENT_S = 0.3
# So many units are told of at once: some hundred entities.
AT_ONCE = 8
# A reading that is older is none.
OLD_S = 60.0
DAY_S = 86_400.0
DAY = timedelta(days=1)


@dataclass(kw_only=True)
class ApisData:
    """What belongs to a config entry while it is loaded."""

    community: Community
    coordinator: ApisCoordinator
    stack: contextlib.AsyncExitStack


class ApisCoordinator(DataUpdateCoordinator[Snapshot]):
    """Keeps the snapshot of a community, and passes its events on."""

    config_entry: ApisConfigEntry

    def __init__(self, hass: HomeAssistant, entry: ApisConfigEntry, community: Community) -> None:
        """Nothing is known yet."""
        super().__init__(
            hass,
            LOGGER,
            config_entry=entry,
            name=DOMAIN,
            update_interval=QUIET_INTERVAL,
            request_refresh_debouncer=Debouncer(hass, LOGGER, cooldown=AFTER_EVENT_S, immediate=False),
        )
        self.community = community
        self._answered = True
        self._shown: dict[str, UnitView] = {}
        self.day = Day()
        self.has_other_policy: bool | None = None
        # How far a daemon's clock is ahead of ours [s], where it is a clock of the day.
        self.clock_skew_s: float | None = None
        self._event_listeners: list[Callable[[Event], None]] = []
        self._end_listeners: list[CALLBACK_TYPE] = []

    @override
    async def _async_update_data(self) -> Snapshot:
        """Look at the community."""
        try:
            snapshot = await self.community.snapshot()
        except NotPairedError as error:
            raise ConfigEntryAuthFailed(translation_domain=DOMAIN, translation_key="not_paired") from error
        except (ApisError, TimeoutError) as error:
            raise UpdateFailed(
                translation_domain=DOMAIN, translation_key="no_answer", translation_placeholders={"error": str(error)}
            ) from error
        self.update_interval = SHARING_INTERVAL if snapshot.deals else QUIET_INTERVAL
        sensors: Mapping[str, Mapping[str, str]] = self.config_entry.options.get(CONF_SENSORS, {})
        units = tuple(self._with_sensors(unit, sensors.get(unit.unit_id, {})) for unit in snapshot.units)
        snapshot = replace(snapshot, units=units)
        await self._compare_policy()
        if snapshot.acceleration == 1.0:
            now = dt_util.now()
            # Nobody looked from here when the day began: its deals are in the ledger.
            shared_wh = 0.0 if self.day.date else await self._async_shared(dt_util.start_of_local_day(now))
            self.day.look(now, snapshot, shared_wh)
            if self.config_entry.data[CONF_KIND] == KIND_DAEMON:
                skew_s = (snapshot.time - dt_util.utcnow()).total_seconds()
                # Emulated houses have a calendar of their own.
                self.clock_skew_s = None if abs(skew_s) > DAY_S and all(unit.is_simulated for unit in units) else skew_s
        return snapshot

    async def _async_shared(self, since: datetime) -> float:
        """What deals that have ended since then have brought the line [Wh]."""
        try:
            deals = await self.community.deals(dt_util.as_utc(since) - DAY)
        except ApisError, TimeoutError:
            return 0.0
        ended = (deal for deal in deals if deal.deactivate_time is not None and deal.deactivate_time >= since)
        return sum(deal.side_energy(deal.discharge_unit_id).grid_wh for deal in ended)

    async def _compare_policy(self) -> None:
        """Whether the units work by another policy than the one that was entered here; asked once, at the beginning."""
        if self.has_other_policy is None and CONF_POLICY in self.config_entry.options:
            agreed = (await self.community.policy()).to_json()
            entered = Policy.from_json(dict(self.config_entry.options[CONF_POLICY]))[0].to_json()
            members = ("memberUnitIds", "largeCapacityUnitIds")
            self.has_other_policy = any(agreed[key] != entered[key] for key in agreed if key not in members)

    def _with_sensors(self, unit: UnitView, sensors: Mapping[str, str]) -> UnitView:
        """The unit, with what a person's own sensors know of its house."""
        known = {f"{power}_w": self._watts(sensors[power]) for power in POWERS if power in sensors}
        # Whoever looks wants to know whether what is shown is so now.
        return replace(unit, alive=unit.alive and unit.answers, **known)  # type: ignore[arg-type]

    def _watts(self, entity_id: str) -> float | None:
        state = self.hass.states.get(entity_id)
        if state is None or state.state in (STATE_UNAVAILABLE, STATE_UNKNOWN):
            return None
        try:
            unit = state.attributes.get(ATTR_UNIT_OF_MEASUREMENT)
            return PowerConverter.convert(float(state.state), unit, UnitOfPower.WATT)
        except ValueError, HomeAssistantError:
            return None

    async def async_follow(self) -> None:
        """Listen to the community's events until cancelled; ask again when it is back."""
        seen: int | None = None
        while True:
            try:
                async for event in self.community.subscribe(seen):
                    seen = event.sequence
                    for listener in list(self._event_listeners):
                        listener(event)
                    await self.async_request_refresh()
            except ApisError, TimeoutError:
                pass
            except Exception:  # noqa: BLE001 - one event is not worth all that come after it
                LOGGER.exception("An event could not be told")
            await self.async_request_refresh()
            await asyncio.sleep(RECONNECT_S)

    @callback
    def async_listen(self, listener: Callable[[Event], None]) -> CALLBACK_TYPE:
        """Call for each event; the returned function ends it."""
        self._event_listeners.append(listener)
        return lambda: self._event_listeners.remove(listener)

    @callback
    def async_at_end(self, listener: CALLBACK_TYPE) -> CALLBACK_TYPE:
        """Call once the entry is unloaded; the returned function takes that back."""
        self._end_listeners.append(listener)

        def take_back() -> None:
            if listener in self._end_listeners:
                self._end_listeners.remove(listener)

        return take_back

    @callback
    def async_end(self) -> None:
        """The entry is unloaded: whoever follows it from elsewhere has to know."""
        for listener in list(self._end_listeners):
            listener()

    @callback
    @override
    def async_update_listeners(self) -> None:
        """Tell who shows the community, and of the units those that look different now; many of them unit by unit.

        A hundred houses have thousands of entities: nobody else would get a turn while all of them were written.
        """
        if self.data is None:
            return
        answers, present = self.last_update_success, {unit.unit_id: _appearance(unit) for unit in self.data.units}
        everybody = answers != self._answered
        changed = {unit_id for unit_id in present.keys() | self._shown.keys() if present.get(unit_id) != self._shown.get(unit_id)}
        self._answered, self._shown = answers, present
        by_unit: dict[str, list[Callable[[], None]]] = {}
        listeners = cast("list[tuple[Callable[[], None], str | None]]", list(self._listeners.values()))
        for update, unit_id in listeners:
            if unit_id is None:
                update()
            elif everybody or unit_id in changed:
                by_unit.setdefault(unit_id, []).append(update)
        if len(by_unit) <= AT_ONCE:
            for updates in by_unit.values():
                _tell(updates)
        else:
            name = f"{DOMAIN} {self.config_entry.title}: units"
            self.config_entry.async_create_background_task(self.hass, self._async_tell(list(by_unit.values())), name)

    async def _async_tell(self, by_unit: list[list[Callable[[], None]]]) -> None:
        known = {update for update, _ in self._listeners.values()}
        for updates in by_unit:
            _tell([update for update in updates if update in known])
            await asyncio.sleep(0)
            known = {update for update, _ in self._listeners.values()}

    def unit(self, unit_id: str) -> UnitView | None:
        """A unit as it is now, or None if it is gone."""
        return next((unit for unit in self.data.units if unit.unit_id == unit_id), None)


def names_of(snapshot: Snapshot) -> dict[str, str]:
    """What people call the units, by their ids."""
    return {unit.unit_id: unit.name for unit in snapshot.units}


def _tell(updates: list[Callable[[], None]]) -> None:
    for update in updates:
        update()


def _appearance(unit: UnitView) -> UnitView:
    """The unit without what passes by itself: the age of its reading counts as young or old."""
    age_s = unit.reading_age_s
    return replace(unit, reading_age_s=None if age_s is None else OLD_S * (age_s >= OLD_S))
