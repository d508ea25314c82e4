"""Devices and the entities on them: the community, its units, and each unit's converter and battery."""

import asyncio
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any, override

from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import AnyDeviceEntry, ChildDeviceInfo, DeviceEntryType, DeviceInfo
from homeassistant.helpers.entity import EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from apis_core.model.errors import ApisError, CommandRefusedError
from apis_core.model.view import UnitView

from .const import CONF_KIND, DOMAIN, KIND_TRIAL, UNIT
from .coordinator import ApisConfigEntry, ApisCoordinator

MANUFACTURER = "APIS"


class Part(StrEnum):
    """What of a unit an entity belongs to."""

    UNIT = "unit"
    CONVERTER = "converter"
    BATTERY = "battery"


def _unit_identifier(entry: ApisConfigEntry, unit_id: str) -> tuple[str, str]:
    return DOMAIN, f"{entry.entry_id}_{unit_id}"


def community_device(entry: ApisConfigEntry) -> DeviceInfo:
    """The community as a device."""
    model = "Community to try" if entry.data[CONF_KIND] == KIND_TRIAL else "Community"
    return DeviceInfo(
        identifiers={(DOMAIN, entry.entry_id)},
        name=entry.title,
        manufacturer=MANUFACTURER,
        model=model,
        sw_version=entry.runtime_data.coordinator.data.version or None,
        entry_type=DeviceEntryType.SERVICE,
    )


def unit_device(hass: HomeAssistant, entry: ApisConfigEntry, unit: UnitView) -> DeviceInfo:
    """A unit as a device below its community."""
    community_id = dr.async_get_device_id_by_identifier(hass, (DOMAIN, entry.entry_id), config_entry_id=entry.entry_id)
    return DeviceInfo(
        identifiers={_unit_identifier(entry, unit.unit_id)},
        name=unit.name,
        manufacturer=MANUFACTURER,
        model=f"Unit ({unit.driver})" if unit.driver else "Unit",
        configuration_url=unit.device_url or None,
        serial_number=unit.serial_number if unit.serial_number not in ("", "NA") else None,
        sw_version=entry.runtime_data.coordinator.data.version or None,
        via_device_id=community_id,
    )


async def async_register_devices(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Make the community and its units known before their entities, so that each finds what it belongs to."""
    dr.async_get(hass).async_get_or_create(config_entry_id=entry.entry_id, **community_device(entry))
    for unit in entry.runtime_data.coordinator.data.units:
        _async_register_unit(hass, entry, unit)
        # Others have their turn between two houses.
        await asyncio.sleep(0)


@callback
def _async_register_unit(hass: HomeAssistant, entry: ApisConfigEntry, unit: UnitView) -> None:
    subentry_id = subentry_of(entry, unit.unit_id)
    dr.async_get(hass).async_get_or_create(config_entry_id=entry.entry_id, config_subentry_id=subentry_id, **unit_device(hass, entry, unit))


def _is_registered(entry: ApisConfigEntry, unit_id: str) -> bool:
    registry = dr.async_get(entry.runtime_data.coordinator.hass)
    return registry.async_get_device_by_identifier(_unit_identifier(entry, unit_id), entry.entry_id) is not None


def subentry_of(entry: ApisConfigEntry, unit_id: str) -> str | None:
    """The subentry that a unit is, where units run here."""
    found = (each.subentry_id for each in entry.get_subentries_of_type(UNIT) if each.unique_id == unit_id)
    return next(found, None)


def unit_of_device(entry: ApisConfigEntry, device: AnyDeviceEntry) -> str | None:
    """The unit that a device is, or is a part of."""
    prefix = f"{entry.entry_id}_"
    for domain, identifier in device.identifiers:
        if domain == DOMAIN and identifier.startswith(prefix):
            return identifier.removeprefix(prefix).partition("/")[0]
    return None


class ApisEntity(CoordinatorEntity[ApisCoordinator]):
    """An entity of the community."""

    _attr_has_entity_name = True

    def __init__(self, entry: ApisConfigEntry, description: EntityDescription) -> None:
        """Belong to the community."""
        super().__init__(entry.runtime_data.coordinator)
        self.entity_description = description
        self._attr_unique_id = f"{entry.entry_id}_{description.key}"
        self._attr_device_info = community_device(entry)


class ApisUnitEntity(CoordinatorEntity[ApisCoordinator]):
    """An entity of a unit, its converter or its battery."""

    _attr_has_entity_name = True

    def __init__(self, hass: HomeAssistant, entry: ApisConfigEntry, unit: UnitView, description: EntityDescription, part: Part) -> None:
        """Belong to a part of a unit."""
        super().__init__(entry.runtime_data.coordinator, unit.unit_id)
        self.entity_description = description
        self.unit_id = unit.unit_id
        self._attr_unique_id = f"{entry.entry_id}_{unit.unit_id}_{description.key}"
        if part is Part.UNIT:
            self._attr_device_info = unit_device(hass, entry, unit)
        else:
            domain, identifier = _unit_identifier(entry, unit.unit_id)
            parent_id = dr.async_get_device_id_by_identifier(hass, (domain, identifier), config_entry_id=entry.entry_id)
            self._attr_device_info = ChildDeviceInfo(
                identifiers={(domain, f"{identifier}/{part}")}, parent_device_id=parent_id, translation_key=part
            )

    @property
    def unit(self) -> UnitView:
        """The unit as it is now; only asked for while it is there."""
        unit = self.coordinator.unit(self.unit_id)
        assert unit is not None
        return unit

    @property
    @override
    def available(self) -> bool:
        unit = self.coordinator.unit(self.unit_id) if super().available else None
        return unit is not None and unit.alive


async def async_add_unit_entities[T: ApisUnitEntity](
    entry: ApisConfigEntry,
    add: AddConfigEntryEntitiesCallback,
    make: Callable[[UnitView], list[T]],
    when: Callable[[UnitView], bool] = lambda _unit: True,
) -> None:
    """Add the entities of every unit there is, and of each that comes later. `when`: not before this is so of a unit."""
    known: set[str] = set()

    def new_units() -> list[UnitView]:
        units = entry.runtime_data.coordinator.data.units
        gone = known.difference(unit.unit_id for unit in units)
        # One that comes back, as after a restart of its node, still has its entities; they go with its device.
        known.difference_update(unit_id for unit_id in gone if not _is_registered(entry, unit_id))
        new = [unit for unit in units if unit.unit_id not in known and when(unit)]
        known.update(unit.unit_id for unit in new)
        return new

    @callback
    def async_look() -> None:
        for unit in new_units():
            _async_register_unit(entry.runtime_data.coordinator.hass, entry, unit)
            add(make(unit), config_subentry_id=subentry_of(entry, unit.unit_id))

    for unit in new_units():
        add(make(unit), config_subentry_id=subentry_of(entry, unit.unit_id))
        await asyncio.sleep(0)
    entry.async_on_unload(entry.runtime_data.coordinator.async_add_listener(async_look))


async def async_do(work: Coroutine[Any, Any, Any]) -> Any:
    """Do something to the community; a refusal is the person's to mend, anything else a failure."""
    try:
        return await work
    except CommandRefusedError as error:
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="refused", translation_placeholders={"reason": str(error)}
        ) from error
    except (ApisError, TimeoutError) as error:
        raise HomeAssistantError(
            translation_domain=DOMAIN, translation_key="no_answer", translation_placeholders={"error": str(error)}
        ) from error
