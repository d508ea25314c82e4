"""What the Energy dashboard can show of a community: its statistics as sources, added beside those that are there."""

from collections.abc import Collection
from typing import cast

from homeassistant.components.energy.data import (
    BatterySourceType,
    EnergyPreferencesUpdate,
    GridSourceType,
    PowerConfig,
    SourceType,
    async_get_manager,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er

from apis_core.model.hourly import BATTERY_IN, BATTERY_OUT, LINE_IN, LINE_OUT, POINTS_EARNED, POINTS_PAID
from apis_core.model.view import UnitView

from .const import CONF_POINT_VALUE, DOMAIN
from .coordinator import ApisConfigEntry
from .statistics import statistic_id

WH_PER_KWH = 1000.0
# Which of a source's statistics says that it is there already.
KEYS = ("stat_energy_from", "stat_energy_to")
# Which of a grid's fields say what its energy costs or earns.
PRICES = (
    "stat_cost",
    "entity_energy_price",
    "number_energy_price",
    "stat_compensation",
    "entity_energy_price_export",
    "number_energy_price_export",
)


@callback
def sources_of(hass: HomeAssistant, entry: ApisConfigEntry, unit: UnitView) -> tuple[SourceType, ...]:
    """A unit's battery, and the community's line as one more grid; with what points are worth, where that is known."""

    def statistic(kind: str) -> str:
        return statistic_id(entry, unit.unit_id, kind)

    has_value = bool(entry.options.get(CONF_POINT_VALUE))
    line = GridSourceType(
        type="grid",
        stat_energy_from=statistic(LINE_IN),
        stat_energy_to=statistic(LINE_OUT),
        stat_cost=statistic(POINTS_PAID) if has_value else None,
        entity_energy_price=None,
        number_energy_price=None,
        stat_compensation=statistic(POINTS_EARNED) if has_value else None,
        entity_energy_price_export=None,
        number_energy_price_export=None,
        cost_adjustment_day=0.0,
        name=f"{unit.name}: {entry.title}",
    )
    battery = BatterySourceType(
        type="battery", stat_energy_from=statistic(BATTERY_OUT), stat_energy_to=statistic(BATTERY_IN), name=f"{unit.name}: {entry.title}"
    )
    registry = er.async_get(hass)
    charge = registry.async_get_entity_id("sensor", DOMAIN, f"{entry.entry_id}_{unit.unit_id}_state_of_charge")
    power = registry.async_get_entity_id("sensor", DOMAIN, f"{entry.entry_id}_{unit.unit_id}_battery_power")
    if charge is not None:
        battery["stat_soc"] = charge
    if power is not None:
        # The dashboard counts discharging as positive.
        battery["power_config"] = PowerConfig(stat_rate_inverted=power)
    if unit.capacity_wh:
        battery["capacity"] = unit.capacity_wh / WH_PER_KWH
    return battery, line


async def async_missing(hass: HomeAssistant, entry: ApisConfigEntry, unit_ids: Collection[str]) -> list[SourceType]:
    """The sources of some units that the dashboard does not have yet, or has without what they cost since points are worth something."""
    present = {source.get(key): source for source in await _async_present(hass) for key in KEYS}
    units = [unit for unit in entry.runtime_data.coordinator.data.units if unit.unit_id in unit_ids]
    ours = [(source, present.get(source.get(KEYS[0]))) for unit in units for source in sources_of(hass, entry, unit)]
    return [source for source, there in ours if there is None or (_is_free(there) and not _is_free(source))]


def _is_free(source: SourceType) -> bool:
    """Whether it is a grid of which nothing says what its energy costs or earns."""
    return source["type"] == "grid" and not any(source.get(key) for key in PRICES)


async def async_add(hass: HomeAssistant, entry: ApisConfigEntry, unit_ids: Collection[str]) -> int:
    """Add what is missing of some units to the dashboard, leaving all else as it is; how many sources came or got their costs."""
    missing = await async_missing(hass, entry, unit_ids)
    if missing:
        manager = await async_get_manager(hass)
        new = {str(source.get(KEYS[0])): source for source in missing}
        sources = [_with_costs(source, new.pop(str(source.get(KEYS[0])), None)) for source in await _async_present(hass)]
        sources += new.values()
        await manager.async_update(cast("EnergyPreferencesUpdate", {"energy_sources": sources}))
    return len(missing)


def _with_costs(source: SourceType, ours: SourceType | None) -> SourceType:
    """A source that is there, under the name a person gave it, with what ours says it costs and earns."""
    return source if ours is None else cast("SourceType", {**source, **{key: ours.get(key) for key in PRICES}})


async def _async_present(hass: HomeAssistant) -> list[SourceType]:
    manager = await async_get_manager(hass)
    return [] if manager.data is None else manager.data["energy_sources"]
