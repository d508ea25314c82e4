"""Whether a daemon or a driver is older than what is known of: they are updated where they run."""

from collections.abc import Iterable
from typing import override

from awesomeversion import AwesomeVersion
from homeassistant.components.update import UpdateDeviceClass, UpdateEntity, UpdateEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from apis_core.model.version import VERSION
from apis_core.model.view import UnitView

from .const import CONF_KIND, KIND_DAEMON
from .coordinator import ApisConfigEntry, ApisCoordinator
from .entity import ApisEntity, ApisUnitEntity, Part, async_add_unit_entities

PARALLEL_UPDATES = 0
NODE = UpdateEntityDescription(
    key="node_version", translation_key="node_version", device_class=UpdateDeviceClass.FIRMWARE, entity_category=EntityCategory.DIAGNOSTIC
)
DRIVER = UpdateEntityDescription(
    key="driver_version",
    translation_key="driver_version",
    device_class=UpdateDeviceClass.FIRMWARE,
    entity_category=EntityCategory.DIAGNOSTIC,
)


async def async_setup_entry(hass: HomeAssistant, entry: ApisConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback) -> None:
    """Set up what tells of versions: the daemon's, and each driver's that says its own."""
    if entry.data[CONF_KIND] == KIND_DAEMON:
        async_add_entities([ApisNodeUpdate(entry, NODE)])

    def drivers(unit: UnitView) -> list[ApisDriverUpdate]:
        return [ApisDriverUpdate(hass, entry, unit, DRIVER, Part.CONVERTER)]

    await async_add_unit_entities(entry, async_add_entities, drivers, lambda unit: bool(unit.driver_version))


class ApisNodeUpdate(ApisEntity, UpdateEntity):
    """The version of the node that the community runs in."""

    @property
    @override
    def installed_version(self) -> str | None:
        return self.coordinator.data.version or None

    @property
    @override
    def latest_version(self) -> str | None:
        return newest(_seen(self.coordinator))


class ApisDriverUpdate(ApisUnitEntity, UpdateEntity):
    """The version of the driver that a unit's converter is behind."""

    @property
    @override
    def installed_version(self) -> str | None:
        return self.unit.driver_version or None

    @property
    @override
    def latest_version(self) -> str | None:
        return newest(_seen(self.coordinator))


def _seen(coordinator: ApisCoordinator) -> Iterable[str]:
    """One number is the whole suite's: what this integration is made for, the node's, and the drivers'."""
    return VERSION, coordinator.data.version, *(unit.driver_version for unit in coordinator.data.units)


def newest(versions: Iterable[str]) -> str | None:
    """The newest of those that are versions."""
    return max((str(version) for version in map(AwesomeVersion, filter(None, versions)) if version.valid), key=AwesomeVersion, default=None)
