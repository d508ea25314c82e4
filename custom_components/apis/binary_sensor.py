"""What is so or is not."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import override

from homeassistant.components.binary_sensor import BinarySensorDeviceClass, BinarySensorEntity, BinarySensorEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from apis_core.model.view import UnitView

from .coordinator import OLD_S, ApisConfigEntry
from .entity import ApisUnitEntity, Part, async_add_unit_entities

PARALLEL_UPDATES = 0
NO_ALARM, HEAVY_ALARM = "No alarm", "Heavy alarm"


@dataclass(frozen=True, kw_only=True)
class UnitBinarySensor(BinarySensorEntityDescription):
    """Something of a unit that is so or is not; None: unknown.

    `always`: shown of a unit that does not answer too. `exists`: whether the unit's device knows it at all; None: each does.
    """

    is_on: Callable[[UnitView], bool | None]
    part: Part = Part.UNIT
    always: bool = False
    exists: Callable[[UnitView], bool] | None = None


def _answers(unit: UnitView) -> bool:
    """Whether the unit is there and its device was read a moment ago."""
    return unit.alive and unit.reading_age_s is not None and unit.reading_age_s < OLD_S


def _has_alarm(unit: UnitView) -> bool | None:
    """Whether the device tells of an alarm; an emulated one tells of a light one all the time, as the original's does."""
    if unit.alarm is None:
        return None
    return unit.alarm == HEAVY_ALARM or (unit.alarm != NO_ALARM and not unit.is_simulated)


def _is_below_target(unit: UnitView) -> bool | None:
    """Whether the battery holds less than the unit's scenario asks for; unknown where that cannot be said in a figure."""
    if unit.state_of_charge_pct is None or unit.request_below_pct is None:
        return None
    return unit.state_of_charge_pct < unit.request_below_pct


BINARY_SENSORS = (
    UnitBinarySensor(
        key="sharing",
        translation_key="sharing",
        device_class=BinarySensorDeviceClass.RUNNING,
        is_on=lambda unit: unit.converter_mode not in (None, "WAIT"),
    ),
    UnitBinarySensor(key="below_target", translation_key="below_target", is_on=_is_below_target, part=Part.BATTERY),
    UnitBinarySensor(
        key="exchange_permitted",
        translation_key="exchange_permitted",
        entity_category=EntityCategory.DIAGNOSTIC,
        part=Part.BATTERY,
        is_on=lambda unit: None if unit.permission is None else unit.permission != "denied",
    ),
    UnitBinarySensor(
        key="alarm",
        translation_key="alarm",
        device_class=BinarySensorDeviceClass.PROBLEM,
        entity_category=EntityCategory.DIAGNOSTIC,
        part=Part.CONVERTER,
        is_on=_has_alarm,
    ),
    UnitBinarySensor(
        key="problem",
        device_class=BinarySensorDeviceClass.PROBLEM,
        entity_category=EntityCategory.DIAGNOSTIC,
        is_on=lambda unit: not _answers(unit) or unit.alarm == HEAVY_ALARM,
        always=True,
    ),
    UnitBinarySensor(
        key="driver_problem",
        translation_key="driver_problem",
        device_class=BinarySensorDeviceClass.PROBLEM,
        entity_category=EntityCategory.DIAGNOSTIC,
        part=Part.CONVERTER,
        is_on=lambda unit: unit.driver_health["status"] != "good" if unit.driver_health else None,
        exists=lambda unit: bool(unit.driver_version),
    ),
    UnitBinarySensor(
        key="connectivity",
        device_class=BinarySensorDeviceClass.CONNECTIVITY,
        entity_category=EntityCategory.DIAGNOSTIC,
        is_on=_answers,
        always=True,
    ),
)


async def async_setup_entry(hass: HomeAssistant, entry: ApisConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback) -> None:
    """Set up the binary sensors."""

    def states(wanted: Iterable[UnitBinarySensor]) -> Callable[[UnitView], list[ApisBinarySensor]]:
        return lambda unit: [ApisBinarySensor(hass, entry, unit, each, each.part) for each in wanted]

    await async_add_unit_entities(entry, async_add_entities, states([each for each in BINARY_SENSORS if each.exists is None]))
    for each in BINARY_SENSORS:
        if each.exists is not None:
            await async_add_unit_entities(entry, async_add_entities, states([each]), each.exists)


class ApisBinarySensor(ApisUnitEntity, BinarySensorEntity):
    """Something of a unit that is so or is not."""

    entity_description: UnitBinarySensor

    @property
    @override
    def available(self) -> bool:
        known = self.coordinator.last_update_success and self.coordinator.unit(self.unit_id) is not None
        return known if self.entity_description.always else super().available

    @property
    @override
    def is_on(self) -> bool | None:
        return self.entity_description.is_on(self.unit)
