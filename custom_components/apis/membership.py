"""Units that run here follow the subentries: one that comes, changes or goes leaves the others as they are."""

import asyncio
from typing import Any

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr, issue_registry as ir

from apis_core.community import Community
from apis_core.model.errors import ApisError
from apis_core.model.unit_plan import UnitPlan

from .const import CONF_ALIASES, CONF_KIND, CONF_POINT_VALUE, DOMAIN, KIND_NODE, LOGGER, UNIT, WHO
from .coordinator import ApisConfigEntry

NOT_TAKEN = "unit_not_taken"


@callback
def async_follow_subentries(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Compare the subentries with the units that run after each change; anything else that was changed begins the entry anew."""
    running, lock = _wanted(entry), asyncio.Lock()
    settings = _settings(entry)

    async def async_changed(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
        nonlocal running
        async with lock:
            wanted = _wanted(entry)
            if _settings(entry) != settings or (not wanted and running):
                hass.config_entries.async_schedule_reload(entry.entry_id)
                return
            if wanted != running:
                running = await _async_apply(hass, entry, running, wanted)

    entry.async_on_unload(entry.add_update_listener(async_changed))


def _settings(entry: ApisConfigEntry) -> tuple[Any, ...]:
    """What cannot be changed while it runs."""
    at_once = (CONF_POINT_VALUE, CONF_ALIASES)
    return dict(entry.data), {key: value for key, value in entry.options.items() if key not in at_once}, entry.title


def _wanted(entry: ApisConfigEntry) -> dict[str, UnitPlan]:
    if entry.data[CONF_KIND] != KIND_NODE:
        return {}
    plans = (UnitPlan.from_json(dict(each.data[UNIT])) for each in entry.get_subentries_of_type(UNIT))
    return {plan.unit_id: plan for plan in plans}


async def _async_apply(
    hass: HomeAssistant, entry: ApisConfigEntry, running: dict[str, UnitPlan], wanted: dict[str, UnitPlan]
) -> dict[str, UnitPlan]:
    """Make the units that run those that are wanted; what then runs. One that cannot be taken is told of and left as it was."""
    community, coordinator = entry.runtime_data.community, entry.runtime_data.coordinator
    now = dict(running)
    for unit_id in sorted(set(running) | set(wanted)):
        plan = wanted.get(unit_id)
        if plan == running.get(unit_id):
            continue
        issue_id = f"{NOT_TAKEN}_{entry.entry_id}_{unit_id}"
        try:
            await _async_change(community, unit_id, plan, is_new=unit_id not in running)
        except (ApisError, TimeoutError) as error:
            LOGGER.warning("%s could not be taken over: %s", unit_id, error)
            placeholders = {"unit": unit_id, "community": entry.title, "reason": str(error)}
            ir.async_create_issue(
                hass,
                DOMAIN,
                issue_id,
                is_fixable=False,
                severity=ir.IssueSeverity.ERROR,
                translation_key=NOT_TAKEN,
                translation_placeholders=placeholders,
            )
            continue
        ir.async_delete_issue(hass, DOMAIN, issue_id)
        if plan is None:
            del now[unit_id]
        else:
            now[unit_id] = plan
            if unit_id in running:
                _async_rename(hass, entry, plan)
    await coordinator.async_refresh()
    return now


async def _async_change(community: Community, unit_id: str, plan: UnitPlan | None, *, is_new: bool) -> None:
    if plan is None:
        await community.remove_unit(unit_id, WHO)
    elif is_new:
        await community.add_unit(plan, WHO)
    else:
        await community.update_unit(plan, WHO)


@callback
def _async_rename(hass: HomeAssistant, entry: ApisConfigEntry, plan: UnitPlan) -> None:
    registry = dr.async_get(hass)
    device = registry.async_get_device_by_identifier((DOMAIN, f"{entry.entry_id}_{plan.unit_id}"), entry.entry_id)
    if device is not None:
        registry.async_update_device(device.id, name=plan.name or plan.unit_id)
