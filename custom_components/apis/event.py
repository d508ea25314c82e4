"""The life of deals as events: of each unit, and of the community."""

from collections.abc import Mapping
from typing import Any, override

from homeassistant.components.event import EventEntity, EventEntityDescription
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from apis_core.model.deal import Deal
from apis_core.model.view import Event

from .const import EVENT_DEAL
from .coordinator import ApisConfigEntry, names_of
from .entity import ApisEntity, ApisUnitEntity, Part, async_add_unit_entities

PARALLEL_UPDATES = 0
CREATED, STARTED, PROGRESS, COMPLETED, ABORTED = "created", "started", "progress", "completed", "aborted"
DEAL = EventEntityDescription(key="deal", translation_key="deal", event_types=[CREATED, STARTED, PROGRESS, COMPLETED, ABORTED])


async def async_setup_entry(hass: HomeAssistant, entry: ApisConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback) -> None:
    """Set up the events."""
    async_add_entities([ApisCommunityDeals(entry, DEAL)])
    await async_add_unit_entities(entry, async_add_entities, lambda unit: [ApisUnitDeals(hass, entry, unit, DEAL, Part.UNIT)])


def _read(event: Event) -> tuple[str, Deal] | None:
    """What has become of which deal; None for what is no step that people care for."""
    if event.kind == "progress":
        return PROGRESS, Deal.from_json(event.data["deal"])
    if event.kind != "deal" or "deal" not in event.data:
        return None
    deal, state = Deal.from_json(event.data["deal"]), str(event.data.get("state"))
    if state == "ended":
        return (COMPLETED if deal.is_completed else ABORTED), deal
    return (state, deal) if state in (CREATED, STARTED) else None


def _attributes(deal: Deal, names: Mapping[str, str]) -> dict[str, Any]:
    giver, taker = deal.discharge_unit_id, deal.charge_unit_id
    reason = deal.scram_reason or deal.abort_reason
    return {
        "deal_id": deal.deal_id,
        "from": giver,
        "to": taker,
        "from_name": names.get(giver, giver),
        "to_name": names.get(taker, taker),
        "amount_wh": deal.amount_wh,
        "exchanged_wh": round(deal.cumulate_amount_wh, 2),
        "percent": min(100, round(100 * deal.cumulate_amount_wh / deal.amount_wh)),
        **({"point_per_wh": deal.point_per_wh} if deal.point_per_wh is not None else {}),
        **({"reason": reason} if reason else {}),
    }


class ApisCommunityDeals(ApisEntity, EventEntity):
    """What happens to the community's deals."""

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.async_listen(self._async_take))

    @callback
    def _async_take(self, event: Event) -> None:
        if (found := _read(event)) is None:
            return
        kind, deal = found
        attributes = _attributes(deal, names_of(self.coordinator.data))
        self._trigger_event(kind, attributes)
        self.async_write_ha_state()
        if kind == PROGRESS:
            # The activity tells of beginnings and ends.
            return
        self.hass.bus.async_fire(EVENT_DEAL, {"type": kind, **attributes})


class ApisUnitDeals(ApisUnitEntity, EventEntity):
    """What happens to a unit's deals."""

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.async_listen(self._async_take))

    @callback
    def _async_take(self, event: Event) -> None:
        found = _read(event)
        if found is None or self.unit_id not in found[1].unit_ids:
            return
        kind, deal = found
        attributes = _attributes(deal, names_of(self.coordinator.data))
        direction, side = ("giving", "to") if deal.discharge_unit_id == self.unit_id else ("receiving", "from")
        partner = {"partner": attributes[side], "partner_name": attributes[f"{side}_name"]}
        self._trigger_event(kind, {**attributes, "direction": direction, **partner})
        self.async_write_ha_state()
