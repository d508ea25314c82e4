"""Whether a unit takes part in sharing."""

from typing import Any, override

from homeassistant.components.switch import SwitchEntity, SwitchEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from apis_core.model.modes import OperationMode

from .coordinator import ApisConfigEntry
from .entity import ApisUnitEntity, Part, async_add_unit_entities, async_do
from .helpers import async_who

PARALLEL_UPDATES = 1
SHARE = SwitchEntityDescription(key="take_part", translation_key="take_part")


async def async_setup_entry(hass: HomeAssistant, entry: ApisConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback) -> None:
    """Set up the switches."""
    await async_add_unit_entities(entry, async_add_entities, lambda unit: [ApisShareSwitch(hass, entry, unit, SHARE, Part.UNIT)])


class ApisShareSwitch(ApisUnitEntity, SwitchEntity):
    """On: the unit follows the community. Off: it finishes its deals and starts none, which is one of its own modes."""

    @property
    @override
    def is_on(self) -> bool:
        return self.unit.local_mode is None

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        await self._set(None)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        await self._set(OperationMode.HETERONOMOUS)

    async def _set(self, mode: OperationMode | None) -> None:
        await async_do(self.coordinator.community.set_mode(mode, self.unit_id, await async_who(self.hass, self._context)))
        await self.coordinator.async_refresh()
