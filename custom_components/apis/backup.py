"""A backup has whole files of every community that runs here."""

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant

from .const import DOMAIN


async def async_pre_backup(hass: HomeAssistant) -> None:
    """Bring the ledgers up to date; they go on being written, which a restored one makes up for by asking the devices."""
    for entry in hass.config_entries.async_entries(DOMAIN):
        if entry.state is ConfigEntryState.LOADED:
            await entry.runtime_data.community.checkpoint()


async def async_post_backup(hass: HomeAssistant) -> None:
    """Nothing was held up."""
