"""Houses with batteries that trade energy with their neighbours by themselves."""

import contextlib
from datetime import UTC
from functools import partial
from importlib import import_module
from pathlib import Path
import shutil

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_TOKEN, CONF_URL, EVENT_HOMEASSISTANT_STOP, Platform
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import ConfigEntryError, ConfigEntryNotReady
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.device_registry import AnyDeviceEntry
from homeassistant.helpers.typing import ConfigType
from homeassistant.util import dt as dt_util, slugify

from apis_core import app, kept
from apis_core.community import Community
from apis_core.model.errors import ApisError, ConfigError
from apis_core.model.policy import Policy
from apis_core.model.unit_plan import UnitPlan

from . import statistics
from .backup import async_settle_restored
from .cards import async_setup_cards
from .const import CONF_KIND, CONF_POLICY, CONF_UNITS, DOMAIN, END_WITHIN_S, KIND_DAEMON, KIND_NODE, KIND_TRIAL, LOGGER, UNIT
from .coordinator import ApisConfigEntry, ApisCoordinator, ApisData
from .entity import async_register_devices, subentry_of, unit_of_device
from .helpers import data_dir
from .membership import async_follow_subentries
from .repairs import async_watch
from .services import async_setup_services, deal_record, write_deals
from .websocket import async_setup_websocket

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)
PLATFORMS = [
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.CALENDAR,
    Platform.EVENT,
    Platform.NUMBER,
    Platform.SELECT,
    Platform.SENSOR,
    Platform.SWITCH,
    Platform.UPDATE,
]


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Set up the actions, and what cards ask."""
    async_setup_services(hass)
    async_setup_websocket(hass)
    await async_setup_cards(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Open the community, show it, and follow it."""
    stack = contextlib.AsyncExitStack()
    try:
        community = await _async_open(hass, entry, stack)
        coordinator = ApisCoordinator(hass, entry, community)
        await coordinator.async_config_entry_first_refresh()
        entry.runtime_data = ApisData(community=community, coordinator=coordinator, stack=stack)
        await async_register_devices(hass, entry)
        await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    except BaseException:
        await stack.aclose()
        raise
    async_watch(hass, entry)
    async_follow_subentries(hass, entry)
    statistics.async_keep(hass, entry)
    entry.async_on_unload(coordinator.async_end)
    entry.async_create_background_task(hass, coordinator.async_follow(), f"{DOMAIN} {entry.title}")

    async def async_stop(_event: Event) -> None:
        """Put the converters to wait before Home Assistant is gone."""
        await stack.aclose()

    entry.async_on_unload(hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, async_stop))


async def _async_open(hass: HomeAssistant, entry: ApisConfigEntry, stack: contextlib.AsyncExitStack) -> Community:
    """The entry's community: within this process, or a daemon's."""
    try:
        if entry.data[CONF_KIND] == KIND_DAEMON:
            return app.connect_community(async_get_clientsession(hass), entry.data[CONF_URL], entry.data.get(CONF_TOKEN))
        await async_settle_restored(hass, entry)
        zone = await dt_util.async_get_time_zone(hass.config.time_zone) or UTC
        if entry.data[CONF_KIND] == KIND_NODE:
            policy, _ = Policy.from_json(dict(entry.options[CONF_POLICY]))
            folder = data_dir(hass, entry)
            opening = app.open_planned_community(_plans(entry), policy, zone, entry.entry_id, folder, end_within_s=END_WITHIN_S)
            return await stack.enter_async_context(opening)
        # Physics and arrays are loaded beside the event loop.
        await hass.async_add_import_executor_job(import_module, "apis_core.trial")
        return await stack.enter_async_context(app.open_trial_community(data_dir(hass, entry), zone, int(entry.data[CONF_UNITS])))
    except ConfigError as error:
        raise ConfigEntryError(
            translation_domain=DOMAIN, translation_key="bad_limits", translation_placeholders={"problems": str(error)}
        ) from error
    except (ApisError, OSError) as error:
        raise ConfigEntryNotReady(
            translation_domain=DOMAIN, translation_key="no_answer", translation_placeholders={"error": str(error)}
        ) from error


async def async_unload_entry(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Let go of the community; converters in this process are in wait then."""
    await hass.config_entries.async_unload_platforms_or_raise(entry, PLATFORMS)
    await entry.runtime_data.stack.aclose()


async def async_remove_entry(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Remove what the units that ran here have left behind, but for what they exchanged."""
    await statistics.async_forget(hass, entry)
    folder = data_dir(hass, entry)
    if entry.data[CONF_KIND] == KIND_NODE:
        name = f"{dt_util.now():%Y-%m-%d-%H%M%S}-{slugify(entry.title)}.json"
        await hass.async_add_executor_job(_archive, folder, folder.parent / "archive" / name)
    if entry.data[CONF_KIND] in (KIND_TRIAL, KIND_NODE):
        await hass.async_add_executor_job(partial(shutil.rmtree, folder, ignore_errors=True))


async def async_remove_config_entry_device(hass: HomeAssistant, entry: ApisConfigEntry, device: AnyDeviceEntry) -> bool:
    """A device may go when its unit has gone."""
    unit_id = unit_of_device(entry, device)
    if unit_id is None:
        return False
    if entry.state is ConfigEntryState.LOADED:
        return entry.runtime_data.coordinator.unit(unit_id) is None
    # Nobody can be asked: of the units that run here it is known which there are.
    return entry.data[CONF_KIND] == KIND_NODE and subentry_of(entry, unit_id) is None


def _plans(entry: ApisConfigEntry) -> list[UnitPlan]:
    """The units that run here. Raises ConfigEntryError if there are none."""
    plans = [UnitPlan.from_json(dict(each.data[UNIT])) for each in entry.get_subentries_of_type(UNIT)]
    if not plans:
        raise ConfigEntryError(translation_domain=DOMAIN, translation_key="no_units")
    return plans


def _archive(folder: Path, path: Path) -> None:
    """Keep what was exchanged; a ledger that cannot be read is kept as it is."""
    try:
        deals = kept.stored_deals(folder)
    except ApisError as error:
        LOGGER.warning("the ledger cannot be read, and is kept as it is: %s", error)
        shutil.copytree(folder, path.with_suffix(""))
        return
    if deals:
        write_deals(path, [deal_record(deal) for deal in deals])
