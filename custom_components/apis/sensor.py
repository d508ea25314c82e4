"""What the community and its units show as figures and words."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity, SensorEntityDescription, SensorStateClass
from homeassistant.const import (
    EntityCategory,
    UnitOfElectricCurrent,
    UnitOfElectricPotential,
    UnitOfEnergy,
    UnitOfPower,
    UnitOfRatio,
    UnitOfTemperature,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.restore_state import ExtraStoredData, RestoreEntity
from homeassistant.helpers.typing import StateType
from homeassistant.util import dt as dt_util

from apis_core.model.view import Snapshot, UnitView

from .coordinator import ApisConfigEntry
from .day import Day
from .entity import ApisEntity, ApisUnitEntity, Part, async_add_unit_entities

PARALLEL_UPDATES = 0
MODES = ["autonomous", "heteronomous", "stop", "manual"]
CONVERTER_MODES = ["wait", "voltage_reference", "charge", "discharge"]
ROLES = ["member", "voltage_reference", "grid_master", "grid_master_and_voltage_reference"]
MEASUREMENT, INCREASING = SensorStateClass.MEASUREMENT, SensorStateClass.TOTAL_INCREASING
DIAGNOSTIC = EntityCategory.DIAGNOSTIC
POINTS = "points"
DAYS = (1, 7, 30)


@dataclass(frozen=True, kw_only=True)
class UnitSensor(SensorEntityDescription):
    """A figure of a unit. `exists`: whether the unit's device knows it at all; None: each does."""

    value: Callable[[UnitView], StateType | datetime]
    part: Part = Part.UNIT
    exists: Callable[[UnitView], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class CommunitySensor(SensorEntityDescription):
    """A figure of the community."""

    value: Callable[[Snapshot], StateType]


@dataclass(frozen=True, kw_only=True)
class DaySensor(SensorEntityDescription):
    """A figure of the present day."""

    value: Callable[[Day, Snapshot], StateType]


def _role(unit: UnitView) -> str:
    return ROLES[2 * unit.is_grid_master + unit.is_voltage_reference]


def _total(name: str) -> Callable[[UnitView], StateType]:
    return lambda unit: unit.totals.get(name)


def _energy(key: str, total: str, part: Part = Part.UNIT, *, enabled: bool = True) -> UnitSensor:
    return UnitSensor(
        key=key,
        translation_key=key,
        device_class=SensorDeviceClass.ENERGY,
        state_class=INCREASING,
        native_unit_of_measurement=UnitOfEnergy.WATT_HOUR,
        suggested_unit_of_measurement=UnitOfEnergy.KILO_WATT_HOUR,
        suggested_display_precision=2,
        part=part,
        value=_total(total),
        entity_registry_enabled_default=enabled,
    )


def _counter(key: str, total: str) -> UnitSensor:
    return UnitSensor(
        key=key,
        translation_key=key,
        state_class=INCREASING,
        entity_category=DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value=_total(total),
    )


def _power(key: str, value: Callable[[UnitView], StateType], part: Part = Part.UNIT, *, sometimes: bool = False) -> UnitSensor:
    return UnitSensor(
        key=key,
        translation_key=key,
        device_class=SensorDeviceClass.POWER,
        state_class=MEASUREMENT,
        native_unit_of_measurement=UnitOfPower.WATT,
        suggested_display_precision=0,
        part=part,
        value=value,
        exists=(lambda unit: value(unit) is not None) if sometimes else None,
    )


def _of_driver(key: str, value: Callable[[Mapping[str, Any]], int]) -> UnitSensor:
    """A figure that a driver counts of itself."""
    return UnitSensor(
        key=key,
        translation_key=key,
        state_class=INCREASING,
        entity_category=DIAGNOSTIC,
        part=Part.CONVERTER,
        value=lambda unit: value(unit.driver_health) if unit.driver_health else None,
        exists=lambda unit: bool(unit.driver_version),
    )


def _availability(part: str, days: int) -> UnitSensor:
    """What part of the last days a unit could share, or could not."""
    key = f"{part}_{days}d"

    def value(unit: UnitView) -> StateType:
        return unit.availability.get(str(days), {}).get(part)

    return UnitSensor(
        key=key,
        translation_key=key,
        state_class=MEASUREMENT,
        native_unit_of_measurement=UnitOfRatio.PERCENTAGE,
        suggested_display_precision=1,
        entity_category=DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value=value,
    )


UNIT_SENSORS = (
    UnitSensor(key="status", translation_key="status", value=lambda unit: unit.status),
    UnitSensor(key="mode", translation_key="mode", device_class=SensorDeviceClass.ENUM, options=MODES, value=lambda unit: unit.mode),
    UnitSensor(key="role", translation_key="role", device_class=SensorDeviceClass.ENUM, options=ROLES, value=_role),
    UnitSensor(
        key="next_scenario_change",
        translation_key="next_scenario_change",
        device_class=SensorDeviceClass.TIMESTAMP,
        entity_category=DIAGNOSTIC,
        value=lambda unit: unit.next_change,
    ),
    UnitSensor(key="active_deals", translation_key="active_deals", state_class=MEASUREMENT, value=lambda unit: unit.active_deals),
    UnitSensor(
        key="free_slots",
        translation_key="free_slots",
        state_class=MEASUREMENT,
        entity_category=DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value=lambda unit: unit.free_slots,
    ),
    _energy("energy_received", "received_wh"),
    _energy("energy_shared", "shared_wh"),
    _energy("energy_lost", "loss_wh", enabled=False),
    UnitSensor(
        key="points_earned",
        translation_key="points_earned",
        native_unit_of_measurement=POINTS,
        state_class=INCREASING,
        suggested_display_precision=0,
        value=_total("points_earned"),
    ),
    UnitSensor(
        key="points_paid",
        translation_key="points_paid",
        native_unit_of_measurement=POINTS,
        state_class=INCREASING,
        suggested_display_precision=0,
        value=_total("points_paid"),
    ),
    _counter("deals_completed", "completed"),
    _counter("deals_aborted", "aborted"),
    _counter("deals_scrammed", "scrammed"),
    *(_availability(part, days) for days in DAYS for part in ("available", "fault", "planned")),
    _power("solar_power", lambda unit: unit.solar_w, sometimes=True),
    _power("load_power", lambda unit: unit.load_w, sometimes=True),
    _power("mains_power", lambda unit: unit.mains_w, sometimes=True),
    UnitSensor(
        key="last_error",
        translation_key="last_error",
        entity_category=DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value=lambda unit: unit.last_error[:255] or None,
    ),
    _of_driver("driver_trips", lambda health: int(health["trips"])),
    _of_driver("line_failures", lambda health: int(health["line"]["failures"])),
    UnitSensor(
        key="converter_mode",
        translation_key="converter_mode",
        device_class=SensorDeviceClass.ENUM,
        options=CONVERTER_MODES,
        part=Part.CONVERTER,
        value=lambda unit: None if unit.converter_mode is None else unit.converter_mode.lower(),
    ),
    _power("grid_power", lambda unit: unit.grid_power_w, Part.CONVERTER),
    UnitSensor(
        key="grid_current",
        translation_key="grid_current",
        device_class=SensorDeviceClass.CURRENT,
        state_class=MEASUREMENT,
        native_unit_of_measurement=UnitOfElectricCurrent.AMPERE,
        suggested_display_precision=2,
        entity_category=DIAGNOSTIC,
        part=Part.CONVERTER,
        value=lambda unit: unit.grid_current_a,
    ),
    UnitSensor(
        key="grid_voltage",
        translation_key="grid_voltage",
        device_class=SensorDeviceClass.VOLTAGE,
        state_class=MEASUREMENT,
        native_unit_of_measurement=UnitOfElectricPotential.VOLT,
        suggested_display_precision=0,
        entity_category=DIAGNOSTIC,
        part=Part.CONVERTER,
        value=lambda unit: unit.grid_voltage_v,
    ),
    UnitSensor(
        key="converter_temperature",
        device_class=SensorDeviceClass.TEMPERATURE,
        state_class=MEASUREMENT,
        native_unit_of_measurement=UnitOfTemperature.CELSIUS,
        suggested_display_precision=0,
        entity_category=DIAGNOSTIC,
        entity_registry_enabled_default=False,
        part=Part.CONVERTER,
        value=lambda unit: unit.temperature_c,
    ),
    UnitSensor(
        key="state_of_charge",
        device_class=SensorDeviceClass.BATTERY,
        state_class=MEASUREMENT,
        native_unit_of_measurement=UnitOfRatio.PERCENTAGE,
        suggested_display_precision=0,
        part=Part.BATTERY,
        value=lambda unit: unit.state_of_charge_pct,
    ),
    UnitSensor(
        key="stored_energy",
        translation_key="stored_energy",
        device_class=SensorDeviceClass.ENERGY_STORAGE,
        state_class=MEASUREMENT,
        native_unit_of_measurement=UnitOfEnergy.WATT_HOUR,
        suggested_unit_of_measurement=UnitOfEnergy.KILO_WATT_HOUR,
        suggested_display_precision=2,
        part=Part.BATTERY,
        value=lambda unit: unit.remaining_wh,
    ),
    _power("battery_power", lambda unit: unit.battery_power_w, Part.BATTERY),
    UnitSensor(
        key="battery_voltage",
        device_class=SensorDeviceClass.VOLTAGE,
        state_class=MEASUREMENT,
        native_unit_of_measurement=UnitOfElectricPotential.VOLT,
        suggested_display_precision=1,
        entity_category=DIAGNOSTIC,
        entity_registry_enabled_default=False,
        part=Part.BATTERY,
        value=lambda unit: unit.battery_voltage_v,
    ),
    UnitSensor(
        key="battery_current",
        device_class=SensorDeviceClass.CURRENT,
        state_class=MEASUREMENT,
        native_unit_of_measurement=UnitOfElectricCurrent.AMPERE,
        suggested_display_precision=1,
        entity_category=DIAGNOSTIC,
        entity_registry_enabled_default=False,
        part=Part.BATTERY,
        value=lambda unit: unit.battery_current_a,
    ),
    _energy("battery_charged", "charged_wh", Part.BATTERY),
    _energy("battery_discharged", "discharged_wh", Part.BATTERY),
)

GRID_MASTER = SensorEntityDescription(key="grid_master", translation_key="grid_master")
LAST_UNIT_ID = "last_unit_id"
COMMUNITY_SENSORS = (
    CommunitySensor(
        key="active_deals",
        translation_key="active_deals",
        state_class=MEASUREMENT,
        value=lambda snapshot: len(snapshot.deals),
    ),
    CommunitySensor(
        key="members",
        translation_key="members",
        state_class=MEASUREMENT,
        entity_category=DIAGNOSTIC,
        value=lambda snapshot: sum(unit.alive for unit in snapshot.units),
    ),
    CommunitySensor(
        key="energy_shared",
        translation_key="energy_shared",
        device_class=SensorDeviceClass.ENERGY,
        state_class=INCREASING,
        native_unit_of_measurement=UnitOfEnergy.WATT_HOUR,
        suggested_unit_of_measurement=UnitOfEnergy.KILO_WATT_HOUR,
        suggested_display_precision=2,
        value=lambda snapshot: snapshot.shared_wh,
    ),
    CommunitySensor(
        key="acceleration",
        translation_key="acceleration",
        entity_category=DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value=lambda snapshot: snapshot.acceleration,
    ),
)

DAY_SENSORS = (
    DaySensor(
        key="energy_shared_today",
        translation_key="energy_shared_today",
        device_class=SensorDeviceClass.ENERGY,
        state_class=SensorStateClass.TOTAL_INCREASING,
        native_unit_of_measurement=UnitOfEnergy.WATT_HOUR,
        suggested_unit_of_measurement=UnitOfEnergy.KILO_WATT_HOUR,
        suggested_display_precision=2,
        value=lambda day, snapshot: day.shared_wh(snapshot),
    ),
    DaySensor(
        key="self_sufficiency",
        translation_key="self_sufficiency",
        state_class=MEASUREMENT,
        native_unit_of_measurement=UnitOfRatio.PERCENTAGE,
        suggested_display_precision=0,
        value=lambda day, _snapshot: day.self_sufficiency_pct,
    ),
)


async def async_setup_entry(hass: HomeAssistant, entry: ApisConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback) -> None:
    """Set up the sensors."""
    async_add_entities([ApisGridMaster(entry, GRID_MASTER)])
    async_add_entities(ApisCommunitySensor(entry, description) for description in COMMUNITY_SENSORS)
    if entry.runtime_data.coordinator.data.acceleration == 1.0:
        async_add_entities(ApisDaySensor(entry, description) for description in DAY_SENSORS)

    def figures(wanted: Iterable[UnitSensor]) -> Callable[[UnitView], list[ApisUnitSensor]]:
        return lambda unit: [ApisUnitSensor(hass, entry, unit, each, each.part) for each in wanted]

    await async_add_unit_entities(entry, async_add_entities, figures([each for each in UNIT_SENSORS if each.exists is None]))
    for each in UNIT_SENSORS:
        if each.exists is not None:
            # A device that is silent at first, and a sensor that comes later than this, are known then.
            await async_add_unit_entities(entry, async_add_entities, figures([each]), each.exists)


class ApisCommunitySensor(ApisEntity, SensorEntity):
    """A figure of the community."""

    entity_description: CommunitySensor

    @property
    @override
    def native_value(self) -> StateType:
        return self.entity_description.value(self.coordinator.data)


class ApisGridMaster(ApisEntity, SensorEntity):
    """Who leads, by the name that people know; and by its id who leads or led last, which stays while nobody does."""

    def __init__(self, entry: ApisConfigEntry, description: SensorEntityDescription) -> None:
        """Whoever leads now."""
        super().__init__(entry, description)
        self._attr_extra_state_attributes = {LAST_UNIT_ID: self.coordinator.data.grid_master}

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        if self.coordinator.data.grid_master is not None:
            self._attr_extra_state_attributes = {LAST_UNIT_ID: self.coordinator.data.grid_master}
        super()._handle_coordinator_update()

    @property
    @override
    def native_value(self) -> StateType:
        master = self.coordinator.data.grid_master
        return next((unit.name for unit in self.coordinator.data.units if unit.unit_id == master), master)


@dataclass
class KeptDay(ExtraStoredData):
    """The day's sums as they survive a restart."""

    day: Day

    @override
    def as_dict(self) -> dict[str, Any]:
        return self.day.kept()


class ApisDaySensor(ApisEntity, RestoreEntity, SensorEntity):
    """A figure of the present day, which goes on after a restart; unavailable where no house tells what it needs."""

    entity_description: DaySensor

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        kept = await self.async_get_last_extra_data()
        if kept is not None:
            self.coordinator.day.restore(kept.as_dict(), dt_util.now())

    @property
    @override
    def extra_restore_state_data(self) -> ExtraStoredData:
        return KeptDay(self.coordinator.day)

    @property
    @override
    def available(self) -> bool:
        return super().available and self.native_value is not None

    @property
    @override
    def native_value(self) -> StateType:
        return self.entity_description.value(self.coordinator.day, self.coordinator.data)


class ApisUnitSensor(ApisUnitEntity, SensorEntity):
    """A figure of a unit."""

    entity_description: UnitSensor

    @property
    @override
    def native_value(self) -> StateType | datetime:
        value, description = self.entity_description.value(self.unit), self.entity_description
        digits = description.suggested_display_precision
        if digits is None or not isinstance(value, float) or description.state_class is not MEASUREMENT:
            return value
        # What nobody sees is not worth a row: a measurement changes when what is shown changes.
        return round(value, digits - 3 if description.suggested_unit_of_measurement == UnitOfEnergy.KILO_WATT_HOUR else digits)
