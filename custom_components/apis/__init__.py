"""Houses with batteries that trade energy with their neighbours by themselves."""

import contextlib
from datetime import UTC
from functools import partial
from importlib import import_module
from pathlib import Path
import shutil

from homeassistant.const import CONF_URL, EVENT_HOMEASSISTANT_STOP, Platform
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import ConfigEntryNotReady
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.device_registry import AnyDeviceEntry
from homeassistant.helpers.typing import ConfigType
from homeassistant.util import dt as dt_util

from apis_core import app
from apis_core.community import Community
from apis_core.model.errors import ApisError

from .const import CONF_FOLDER, CONF_KIND, CONF_UNITS, DOMAIN, KIND_DAEMON, KIND_NODE, KIND_TRIAL
from .coordinator import ApisConfigEntry, ApisCoordinator, ApisData
from .entity import async_register_devices, unit_of_device
from .repairs import async_watch
from .services import async_setup_services

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)
PLATFORMS = [Platform.BINARY_SENSOR, Platform.BUTTON, Platform.EVENT, Platform.NUMBER, Platform.SELECT, Platform.SENSOR, Platform.SWITCH]


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Set up the actions."""
    async_setup_services(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Open the community, show it, and follow it."""
    stack = contextlib.AsyncExitStack()
    try:
        community = await _async_open(hass, entry, stack)
        coordinator = ApisCoordinator(hass, entry, community)
        await coordinator.async_config_entry_first_refresh()
        entry.runtime_data = ApisData(community=community, coordinator=coordinator, stack=stack)
        async_register_devices(hass, entry)
        await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    except BaseException:
        await stack.aclose()
        raise
    async_watch(hass, entry)
    entry.async_create_background_task(hass, coordinator.async_follow(), f"{DOMAIN} {entry.title}")

    async def async_stop(_event: Event) -> None:
        """Put the converters to wait before Home Assistant is gone."""
        await stack.aclose()

    entry.async_on_unload(hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, async_stop))


async def _async_open(hass: HomeAssistant, entry: ApisConfigEntry, stack: contextlib.AsyncExitStack) -> Community:
    """The entry's community: within this process, or a daemon's."""
    try:
        if entry.data[CONF_KIND] == KIND_DAEMON:
            return app.connect_community(async_get_clientsession(hass), entry.data[CONF_URL])
        if entry.data[CONF_KIND] == KIND_NODE:
            setups = await hass.async_add_executor_job(load_installation, entry.data[CONF_FOLDER])
            return await stack.enter_async_context(app.open_community(setups, data_dir(hass, entry)))
        # Physics and arrays are loaded beside the event loop.
        await hass.async_add_import_executor_job(import_module, "apis_core.trial")
        zone = await dt_util.async_get_time_zone(hass.config.time_zone) or UTC
        return await stack.enter_async_context(app.open_trial_community(data_dir(hass, entry), zone, int(entry.data[CONF_UNITS])))
    except (ApisError, OSError) as error:
        raise ConfigEntryNotReady(
            translation_domain=DOMAIN, translation_key="no_answer", translation_placeholders={"error": str(error)}
        ) from error


async def async_unload_entry(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Let go of the community; converters in this process are in wait then."""
    await hass.config_entries.async_unload_platforms_or_raise(entry, PLATFORMS)
    await entry.runtime_data.stack.aclose()


async def async_remove_entry(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Remove what the houses to try have left behind."""
    if entry.data[CONF_KIND] == KIND_TRIAL:
        await hass.async_add_executor_job(partial(shutil.rmtree, data_dir(hass, entry), ignore_errors=True))


async def async_remove_config_entry_device(hass: HomeAssistant, entry: ApisConfigEntry, device: AnyDeviceEntry) -> bool:
    """A device may go when its unit has gone."""
    unit_id = unit_of_device(entry, device)
    return unit_id is not None and entry.runtime_data.coordinator.unit(unit_id) is None


def load_installation(folder: str) -> tuple[app.UnitSetup, ...]:
    """The units of an installation's files. Raises ConfigError with every problem."""
    return app.load_setups(app.unit_folders(Path(folder)))


def data_dir(hass: HomeAssistant, entry: ApisConfigEntry) -> Path:
    """Where a community within Home Assistant keeps its ledger."""
    return Path(hass.config.path(DOMAIN, entry.entry_id))
