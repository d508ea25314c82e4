"""Triggers: what becomes of deals, a battery below its target, another Grid Master."""

from collections.abc import Mapping
from typing import ClassVar, override

from homeassistant.components.binary_sensor import DOMAIN as BINARY_SENSOR
from homeassistant.components.event import DOMAIN as EVENT
from homeassistant.components.sensor import DOMAIN as SENSOR
from homeassistant.const import STATE_ON, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers.automation import DomainSpec
from homeassistant.helpers.trigger import (
    EntityTriggerBase,
    NotTriggeredReasonReporter,
    StatelessEntityTriggerBase,
    Trigger,
    make_entity_target_state_trigger,
)

from .event import ABORTED, COMPLETED, STARTED
from .helpers import async_of_kind
from .sensor import LAST_UNIT_ID


class DealTrigger(StatelessEntityTriggerBase):
    """One step in the life of a deal."""

    _domain_specs: Mapping[str, DomainSpec] = {EVENT: DomainSpec()}
    _step: ClassVar[str]

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        return async_of_kind(self._hass, super().entity_filter(entities), "deal")

    @override
    def is_valid_state(self, state: State, report_not_triggered: NotTriggeredReasonReporter) -> bool:
        return state.attributes.get("event_type") == self._step


class DealStarted(DealTrigger):
    """Energy begins to flow."""

    _step = STARTED


class DealCompleted(DealTrigger):
    """A deal has reached its amount."""

    _step = COMPLETED


class DealAborted(DealTrigger):
    """A deal has ended before."""

    _step = ABORTED


class EnergyBelowTarget(make_entity_target_state_trigger({BINARY_SENSOR: DomainSpec()}, STATE_ON)):  # type: ignore[misc]
    """A battery holds less than its scenario wants, for some time if asked so."""

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        return async_of_kind(self._hass, super().entity_filter(entities), "below_target")


class GridMasterChanged(EntityTriggerBase):
    """Another unit leads: not the same one by another name, and also when nobody led for a moment."""

    _domain_specs: Mapping[str, DomainSpec] = {SENSOR: DomainSpec()}
    _excluded_from_states: ClassVar[frozenset[str]] = frozenset({STATE_UNAVAILABLE})

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        return async_of_kind(self._hass, super().entity_filter(entities), "grid_master")

    @override
    def is_valid_transition(self, from_state: State, to_state: State) -> bool:
        last = from_state.attributes.get(LAST_UNIT_ID)
        return last is not None and last != to_state.attributes.get(LAST_UNIT_ID)


TRIGGERS: dict[str, type[Trigger]] = {
    "deal_started": DealStarted,
    "deal_completed": DealCompleted,
    "deal_aborted": DealAborted,
    "energy_below_target": EnergyBelowTarget,
    "grid_master_changed": GridMasterChanged,
}


async def async_get_triggers(hass: HomeAssistant) -> dict[str, type[Trigger]]:
    """The triggers."""
    return TRIGGERS
