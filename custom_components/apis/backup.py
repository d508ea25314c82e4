"""A backup has whole files of every community that runs here, and a mark by which they are known once they are restored."""

from collections.abc import Callable
from pathlib import Path

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant

from apis_core import kept

from .const import CONF_KIND, DOMAIN, KIND_DAEMON
from .coordinator import ApisConfigEntry
from .helpers import data_dir

# Lies there only while a backup is made: whoever finds it at a start has files of a backup.
MARK = "backup"


async def async_pre_backup(hass: HomeAssistant) -> None:
    """Bring the ledgers up to date; they go on being written, beside the files that are copied."""
    for entry in _entries(hass):
        if entry.state is ConfigEntryState.LOADED:
            await entry.runtime_data.community.checkpoint(hold=True)
            await _async_mark(hass, entry, Path.touch)


async def async_post_backup(hass: HomeAssistant) -> None:
    """What goes on here comes from no backup."""
    for entry in _entries(hass):
        if entry.state is ConfigEntryState.LOADED:
            await entry.runtime_data.community.checkpoint()
        await _async_mark(hass, entry, lambda mark: mark.unlink(missing_ok=True))


async def async_settle_restored(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Let no deal go on that ran when a backup was made. Raises ApisError, OSError."""
    if await _async_mark(hass, entry, Path.exists):
        await kept.settle_restored(data_dir(hass, entry))
        await _async_mark(hass, entry, Path.unlink)


def _entries(hass: HomeAssistant) -> list[ApisConfigEntry]:
    return [
        entry
        for entry in hass.config_entries.async_entries(DOMAIN, include_ignore=False, include_disabled=False)
        if entry.data[CONF_KIND] != KIND_DAEMON
    ]


async def _async_mark[T](hass: HomeAssistant, entry: ApisConfigEntry, work: Callable[[Path], T]) -> T:
    return await hass.async_add_executor_job(work, data_dir(hass, entry) / MARK)
