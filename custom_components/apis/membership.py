"""Units that run here follow the subentries: one that comes, changes or goes leaves the others as they are."""

import asyncio
from typing import Any

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr, issue_registry as ir

from apis_core.community import Community
from apis_core.model.errors import ApisError
from apis_core.model.unit_plan import UnitPlan

from .const import CONF_ALIASES, CONF_KIND, CONF_POINT_VALUE, CONF_SENSORS, DOMAIN, KIND_NODE, LOGGER, UNIT, WHO
from .coordinator import ApisConfigEntry

NOT_TAKEN = "unit_not_taken"


@callback
def async_follow_subentries(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Compare the subentries with the units that run after each change; anything else that was changed begins the entry anew."""
    running, lock = _wanted(entry), asyncio.Lock()
    settings = _settings(entry)
    refused: set[str] = set()

    async def async_changed(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
        nonlocal running
        async with lock:
            wanted = _wanted(entry)
            if _settings(entry) != settings or (not wanted and running):
                hass.config_entries.async_schedule_reload(entry.entry_id)
                return
            _async_rename(hass, (DOMAIN, entry.entry_id), entry, entry.title)
            running = await _async_apply(hass, entry, running, wanted)
            now_refused = {unit_id for unit_id in running.keys() | wanted.keys() if running.get(unit_id) != wanted.get(unit_id)}
            # Whoever takes a change back has no problem with it any more.
            for unit_id in refused - now_refused:
                ir.async_delete_issue(hass, DOMAIN, _not_taken(entry, unit_id))
            refused.clear()
            refused.update(now_refused)
            await entry.runtime_data.coordinator.async_refresh()

    @callback
    def async_close() -> None:
        for unit_id in refused:
            ir.async_delete_issue(hass, DOMAIN, _not_taken(entry, unit_id))

    entry.async_on_unload(entry.add_update_listener(async_changed))
    entry.async_on_unload(async_close)


def _not_taken(entry: ApisConfigEntry, unit_id: str) -> str:
    return f"{NOT_TAKEN}_{entry.entry_id}_{unit_id}"


def _settings(entry: ApisConfigEntry) -> tuple[Any, ...]:
    """What cannot be changed while it runs."""
    at_once = (CONF_POINT_VALUE, CONF_ALIASES, CONF_SENSORS)
    return dict(entry.data), {key: value for key, value in entry.options.items() if key not in at_once}


def _wanted(entry: ApisConfigEntry) -> dict[str, UnitPlan]:
    if entry.data[CONF_KIND] != KIND_NODE:
        return {}
    plans = (UnitPlan.from_json(dict(each.data[UNIT])) for each in entry.get_subentries_of_type(UNIT))
    return {plan.unit_id: plan for plan in plans}


async def _async_apply(
    hass: HomeAssistant, entry: ApisConfigEntry, running: dict[str, UnitPlan], wanted: dict[str, UnitPlan]
) -> dict[str, UnitPlan]:
    """Make the units that run those that are wanted; what then runs. One that cannot be taken is told of and left as it was."""
    community, now = entry.runtime_data.community, dict(running)
    for unit_id in sorted(set(running) | set(wanted)):
        plan = wanted.get(unit_id)
        if plan == running.get(unit_id):
            continue
        try:
            await _async_change(community, unit_id, plan, is_new=unit_id not in running)
        except (ApisError, TimeoutError) as error:
            LOGGER.warning("%s could not be taken over: %s", unit_id, error)
            placeholders = {"unit": unit_id, "community": entry.title, "reason": str(error)}
            ir.async_create_issue(
                hass,
                DOMAIN,
                _not_taken(entry, unit_id),
                is_fixable=False,
                severity=ir.IssueSeverity.ERROR,
                translation_key=NOT_TAKEN,
                translation_placeholders=placeholders,
            )
            continue
        if plan is None:
            del now[unit_id]
        else:
            now[unit_id] = plan
            if unit_id in running:
                _async_rename(hass, (DOMAIN, f"{entry.entry_id}_{unit_id}"), entry, plan.name or unit_id)
    return now


async def _async_change(community: Community, unit_id: str, plan: UnitPlan | None, *, is_new: bool) -> None:
    if plan is None:
        await community.remove_unit(unit_id, WHO)
    elif is_new:
        await community.add_unit(plan, WHO)
    else:
        await community.update_unit(plan, WHO)


@callback
def _async_rename(hass: HomeAssistant, identifier: tuple[str, str], entry: ApisConfigEntry, name: str) -> None:
    registry = dr.async_get(hass)
    device = registry.async_get_device_by_identifier(identifier, entry.entry_id)
    if device is not None and device.name != name:
        registry.async_update_device(device.id, name=name)
