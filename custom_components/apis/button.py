"""The button everyone may press."""

from typing import override

from homeassistant.components.button import ButtonEntity, ButtonEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .coordinator import ApisConfigEntry
from .entity import ApisEntity, async_do
from .helpers import async_who

PARALLEL_UPDATES = 1
STOP_ALL = ButtonEntityDescription(key="stop_all", translation_key="stop_all")


async def async_setup_entry(hass: HomeAssistant, entry: ApisConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback) -> None:
    """Set up the button."""
    async_add_entities([ApisStopAll(entry, STOP_ALL)])


class ApisStopAll(ApisEntity, ButtonEntity):
    """Ends all deals in order, unit by unit, and starts none until somebody chooses another mode; says who could not be stopped."""

    @property
    @override
    def available(self) -> bool:
        """Also while the community does not show itself: who wants to stop it is to hear why that failed, not nothing."""
        return True

    @override
    async def async_press(self) -> None:
        failures: dict[str, str] = await async_do(self.coordinator.community.stop_all(await async_who(self.hass, self._context)))
        await self.coordinator.async_refresh()
        if failures:
            units = "; ".join(f"{unit_id}: {reason}" for unit_id, reason in failures.items())
            raise HomeAssistantError(
                translation_domain=DOMAIN, translation_key="not_all_stopped", translation_placeholders={"units": units}
            )
