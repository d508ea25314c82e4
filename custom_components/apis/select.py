"""Modes to choose."""

from typing import override

from homeassistant.components.select import SelectEntity, SelectEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import Unauthorized
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from apis_core.model.modes import OperationMode

from .const import PRESETS
from .coordinator import ApisConfigEntry
from .entity import ApisEntity, ApisUnitEntity, Part, async_add_unit_entities, async_do
from .helpers import async_is_admin, async_who

PARALLEL_UPDATES = 1
FOLLOW = "follow"
COMMUNITY_MODE = SelectEntityDescription(
    key="community_mode",
    translation_key="community_mode",
    options=[str(mode) for mode in (OperationMode.AUTONOMOUS, OperationMode.HETERONOMOUS, OperationMode.STOP, OperationMode.MANUAL)],
)
PRESET = SelectEntityDescription(key="scenario_preset", translation_key="scenario_preset", options=list(PRESETS))
UNIT_MODE = SelectEntityDescription(
    key="unit_mode",
    translation_key="unit_mode",
    options=[FOLLOW, str(OperationMode.HETERONOMOUS), str(OperationMode.STOP)],
)


async def async_setup_entry(hass: HomeAssistant, entry: ApisConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback) -> None:
    """Set up the selects."""
    async_add_entities([ApisCommunityMode(entry, COMMUNITY_MODE)])
    await async_add_unit_entities(entry, async_add_entities, lambda unit: [ApisUnitMode(hass, entry, unit, UNIT_MODE, Part.UNIT)])
    await async_add_unit_entities(entry, async_add_entities, lambda unit: [ApisPreset(hass, entry, unit, PRESET, Part.UNIT)])


class ApisCommunityMode(ApisEntity, SelectEntity):
    """The mode of the whole community. Manual, and going on after an emergency stop, are an administrator's."""

    @property
    @override
    def current_option(self) -> str | None:
        return self.coordinator.data.mode if self.coordinator.data.mode in self.options else None

    @override
    async def async_select_option(self, option: str) -> None:
        resumes = self.coordinator.data.alert is not None and option != OperationMode.STOP
        if (resumes or option == OperationMode.MANUAL) and not await async_is_admin(self.hass, self._context):
            raise Unauthorized(context=self._context)
        await async_do(self.coordinator.community.set_mode(OperationMode(option), None, await async_who(self.hass, self._context)))
        await self.coordinator.async_refresh()


class ApisUnitMode(ApisUnitEntity, SelectEntity):
    """A unit's own mode, or that it follows the community."""

    @property
    @override
    def current_option(self) -> str | None:
        mode = self.unit.local_mode or FOLLOW
        return mode if mode in self.options else None

    @override
    async def async_select_option(self, option: str) -> None:
        mode = None if option == FOLLOW else OperationMode(option)
        await async_do(self.coordinator.community.set_mode(mode, self.unit_id, await async_who(self.hass, self._context)))
        await self.coordinator.async_refresh()


class ApisPreset(ApisUnitEntity, SelectEntity):
    """The shipped scenario that a unit lives by; unknown while it is one of the unit's own."""

    @property
    @override
    def current_option(self) -> str | None:
        return self.unit.preset if self.unit.preset in self.options else None

    @override
    async def async_select_option(self, option: str) -> None:
        await async_do(self.coordinator.community.set_preset(self.unit_id, option, await async_who(self.hass, self._context)))
        await self.coordinator.async_refresh()
