"""The two figures of a scenario: ask below, offer above."""

from dataclasses import dataclass
from typing import Literal, override

from homeassistant.components.number import NumberEntity, NumberEntityDescription, NumberMode
from homeassistant.const import UnitOfRatio
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import ApisConfigEntry
from .entity import ApisUnitEntity, Part, async_add_unit_entities, async_do
from .helpers import async_who

PARALLEL_UPDATES = 1


@dataclass(frozen=True, kw_only=True)
class EdgeNumber(NumberEntityDescription):
    """One edge of a unit's scenario: the attribute that shows it, and the argument that moves it, have the same name."""

    edge: Literal["request_below_pct", "offer_above_pct"]


def _edge(key: str, edge: Literal["request_below_pct", "offer_above_pct"]) -> EdgeNumber:
    return EdgeNumber(
        key=key,
        translation_key=key,
        native_min_value=1,
        native_max_value=99,
        native_step=1,
        native_unit_of_measurement=UnitOfRatio.PERCENTAGE,
        mode=NumberMode.SLIDER,
        edge=edge,
    )


NUMBERS = (_edge("request_below", "request_below_pct"), _edge("offer_above", "offer_above_pct"))


async def async_setup_entry(hass: HomeAssistant, entry: ApisConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback) -> None:
    """Set up the numbers."""
    await async_add_unit_entities(
        entry, async_add_entities, lambda unit: [ApisEdge(hass, entry, unit, each, Part.UNIT) for each in NUMBERS]
    )


class ApisEdge(ApisUnitEntity, NumberEntity):
    """An edge of the unit's scenario; not available for a scenario that cannot be said in two figures."""

    entity_description: EdgeNumber

    @property
    @override
    def available(self) -> bool:
        return super().available and self.native_value is not None

    @property
    @override
    def native_value(self) -> float | None:
        unit = self.coordinator.unit(self.unit_id)
        return None if unit is None else getattr(unit, self.entity_description.edge)

    @override
    async def async_set_native_value(self, value: float) -> None:
        edges: dict[str, float | None] = {"request_below_pct": None, "offer_above_pct": None, self.entity_description.edge: value}
        who = await async_who(self.hass, self._context)
        await async_do(
            self.coordinator.community.move_edges(
                self.unit_id, request_below_pct=edges["request_below_pct"], offer_above_pct=edges["offer_above_pct"], who=who
            )
        )
        await self.coordinator.async_refresh()
