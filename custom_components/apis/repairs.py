"""What a person can mend: an emergency stop that has to be released, and units that do not answer."""

from typing import Any, override

from homeassistant.components.repairs import ConfirmRepairFlow, RepairsFlow
from homeassistant.components.repairs.models import RepairsFlowResult
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from apis_core.model.modes import OperationMode

from .const import DOMAIN
from .coordinator import ApisConfigEntry
from .entity import async_do
from .helpers import async_who

STOPPED, UNREACHABLE, NO_GRID_MASTER = "stopped", "unit_unreachable", "no_grid_master"


@callback
def async_watch(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Open a problem once, and close it at the first look that does not find it."""
    coordinator, opened = entry.runtime_data.coordinator, set[str]()

    @callback
    def async_look() -> None:
        found: dict[str, tuple[str, dict[str, str]]] = {}
        if coordinator.last_update_success:
            snapshot = coordinator.data
            if snapshot.alert is not None:
                found[f"{STOPPED}_{entry.entry_id}"] = STOPPED, {"community": entry.title, "reason": snapshot.alert}
            for unit in snapshot.units:
                if not unit.alive:
                    found[f"{UNREACHABLE}_{entry.entry_id}_{unit.unit_id}"] = UNREACHABLE, {"unit": unit.name, "community": entry.title}
        else:
            return
        for issue_id in opened - set(found):
            ir.async_delete_issue(hass, DOMAIN, issue_id)
        for issue_id in set(found) - opened:
            key, placeholders = found[issue_id]
            ir.async_create_issue(
                hass,
                DOMAIN,
                issue_id,
                is_fixable=key == STOPPED,
                severity=ir.IssueSeverity.ERROR if key == STOPPED else ir.IssueSeverity.WARNING,
                translation_key=key,
                translation_placeholders=placeholders,
                data={"entry_id": entry.entry_id},
            )
        opened.clear()
        opened.update(found)

    @callback
    def async_close() -> None:
        for issue_id in opened:
            ir.async_delete_issue(hass, DOMAIN, issue_id)

    async_look()
    entry.async_on_unload(coordinator.async_add_listener(async_look))
    entry.async_on_unload(async_close)


class ResumeFlow(ConfirmRepairFlow):
    """Lets the community share again after an emergency stop; the repairs page is an administrator's."""

    def __init__(self, entry_id: str) -> None:
        """For one community."""
        self._entry_id = entry_id

    @override
    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Resume once it is confirmed."""
        if user_input is not None:
            entry: ApisConfigEntry | None = self.hass.config_entries.async_get_known_entry(self._entry_id)
            assert entry is not None
            who = await async_who(self.hass, None)
            await async_do(entry.runtime_data.community.set_mode(OperationMode.AUTONOMOUS, None, who))
            await entry.runtime_data.coordinator.async_refresh()
        return await super().async_step_confirm(user_input)


async def async_create_fix_flow(hass: HomeAssistant, issue_id: str, data: dict[str, Any] | None) -> RepairsFlow:
    """The way to mend a problem."""
    assert data is not None
    return ResumeFlow(str(data["entry_id"]))
