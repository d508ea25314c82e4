"""What a unit wishes for through the days, and what it has exchanged."""

import contextlib
from datetime import datetime, timedelta
from typing import override

from homeassistant.components.calendar import CalendarEntity, CalendarEntityDescription, CalendarEvent
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from apis_core.model.agenda import occurrences
from apis_core.model.deal import Deal
from apis_core.model.errors import ApisError
from apis_core.model.scenario import Scenario, TimeBand

from .coordinator import ApisConfigEntry
from .entity import ApisUnitEntity, Part, async_add_unit_entities, async_do

PARALLEL_UPDATES = 1
SCAN_INTERVAL = timedelta(minutes=5)
AGENDA = CalendarEntityDescription(key="agenda", translation_key="agenda")


async def async_setup_entry(hass: HomeAssistant, entry: ApisConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback) -> None:
    """Set up the calendars; houses whose time runs faster have no today."""
    if entry.runtime_data.coordinator.data.acceleration == 1.0:
        await async_add_unit_entities(entry, async_add_entities, lambda unit: [ApisAgenda(hass, entry, unit, AGENDA, Part.UNIT)])


class ApisAgenda(ApisUnitEntity, CalendarEntity):
    """The time bands of a unit's scenario, and its deals of the past."""

    _scenario: Scenario | None = None

    @property
    @override
    def should_poll(self) -> bool:
        """A scenario is asked for now and then."""
        return True

    async def async_update(self) -> None:
        """Look at what the unit lives by; what it was at the last look holds while the unit does not answer."""
        with contextlib.suppress(ApisError, TimeoutError):
            self._scenario = await self.coordinator.community.scenario(self.unit_id)

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        self.async_schedule_update_ha_state(force_refresh=True)

    @property
    @override
    def event(self) -> CalendarEvent | None:
        """The band that holds now, or the next one."""
        now = dt_util.now()
        return next(iter(self._bands(now, now + timedelta(days=2))), None)

    @override
    async def async_get_events(self, hass: HomeAssistant, start_date: datetime, end_date: datetime) -> list[CalendarEvent]:
        """Time bands, and deals as far as there are any yet."""
        self._scenario = await async_do(self.coordinator.community.scenario(self.unit_id))
        start, end = dt_util.as_utc(start_date), dt_util.as_utc(end_date)
        deals: tuple[Deal, ...] = await async_do(self.coordinator.community.deals(start - timedelta(days=1), end, self.unit_id))
        shown = [self._deal(deal) for deal in deals if deal.start_time is not None]
        return [
            *self._bands(start, end),
            *(event for event in shown if event.start_datetime_local < end and event.end_datetime_local > start),
        ]

    def _bands(self, start: datetime, end: datetime) -> list[CalendarEvent]:
        if self._scenario is None:
            return []
        found = occurrences(self._scenario, dt_util.as_utc(start), dt_util.as_utc(end), dt_util.get_default_time_zone())
        return [
            CalendarEvent(start=dt_util.as_local(begins), end=dt_util.as_local(ends), summary=_words(band)) for begins, ends, band in found
        ]

    def _deal(self, deal: Deal) -> CalendarEvent:
        names = {unit.unit_id: unit.name for unit in self.coordinator.data.units}
        giver, taker = (names.get(unit_id, unit_id) for unit_id in (deal.discharge_unit_id, deal.charge_unit_id))
        assert deal.start_time is not None
        ended = deal.deactivate_time or deal.stop_time or dt_util.utcnow()
        start = dt_util.as_local(deal.start_time)
        return CalendarEvent(
            start=start,
            end=max(dt_util.as_local(ended), start + timedelta(seconds=1)),
            summary=f"{giver} → {taker}: {deal.cumulate_amount_wh:.0f} Wh",
            description=deal.scram_reason or deal.abort_reason,
            uid=deal.deal_id,
        )


def _words(band: TimeBand) -> str:
    """What a unit asks for and offers in a part of the day, by the words that its scenario has for the battery."""
    wishes = [
        f"{status}: {direction} → {condition.limit_wh} Wh"
        for status, conditions in band.requests.items()
        for direction, condition in conditions.items()
    ]
    return "; ".join(wishes) or band.key
