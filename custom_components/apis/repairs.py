"""What a person can mend: an emergency stop that has to be released, units that do not answer, and what does not fit together."""

from collections.abc import Iterator
from typing import Any, override

from homeassistant.components.repairs import ConfirmRepairFlow, RepairsFlow
from homeassistant.components.repairs.models import RepairsFlowResult
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util

from apis_core.model.scenario import Scenario
from apis_core.model.version import VERSION
from apis_core.model.view import Snapshot

from .const import DOMAIN, UNIT
from .coordinator import ApisConfigEntry
from .entity import async_do
from .helpers import async_who

STOPPED, UNREACHABLE, NO_GRID_MASTER = "stopped", "unit_unreachable", "no_grid_master"
TWIN, OTHER_VERSION, OTHER_POLICY = "twin_unit", "other_version", "other_policy"
CLOCK_SKEW, SCENARIO_GAP = "clock_skew", "scenario_gap"
FIXABLE = (STOPPED, OTHER_POLICY, SCENARIO_GAP)
# Scenarios change at minutes, and hours are counted by the node's clock: this much goes unnoticed.
SKEW_S = 30.0
SKEW_OVER_S = 20.0
# A new Grid Master is found within seconds; a community that has none for so long has a problem.
NO_MASTER_S = 90.0
SHARING_MODES = ("autonomous", "heteronomous")
type Found = dict[str, tuple[str, dict[str, str]]]


@callback
def async_watch(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Open a problem once, and close it at the first look that does not find it."""
    coordinator, opened = entry.runtime_data.coordinator, dict[str, tuple[str, dict[str, str]]]()
    led_at = dt_util.utcnow()

    @callback
    def async_look() -> None:
        nonlocal led_at
        if not coordinator.last_update_success:
            return
        snapshot, now = coordinator.data, dt_util.utcnow()
        if snapshot.grid_master is not None or snapshot.mode not in SHARING_MODES:
            led_at = now
        found = _problems(hass, entry, snapshot)
        skew_s = coordinator.clock_skew_s
        was_told = f"{CLOCK_SKEW}_{entry.entry_id}" in opened
        if skew_s is not None and abs(skew_s) > (SKEW_OVER_S if was_told else SKEW_S):
            found[f"{CLOCK_SKEW}_{entry.entry_id}"] = CLOCK_SKEW, {"community": entry.title, "seconds": f"{round(abs(skew_s), -1):.0f}"}
        if (now - led_at).total_seconds() > NO_MASTER_S:
            found[f"{NO_GRID_MASTER}_{entry.entry_id}"] = NO_GRID_MASTER, {"community": entry.title}
        for issue_id in opened.keys() - found.keys():
            ir.async_delete_issue(hass, DOMAIN, issue_id)
        for issue_id in (each for each, what in found.items() if opened.get(each) != what):
            key, placeholders = found[issue_id]
            ir.async_create_issue(
                hass,
                DOMAIN,
                issue_id,
                is_fixable=key in FIXABLE,
                severity=ir.IssueSeverity.ERROR if key == STOPPED else ir.IssueSeverity.WARNING,
                translation_key=key,
                translation_placeholders=placeholders,
                data={"entry_id": entry.entry_id, "problem": key, "unit": placeholders.get("unit", "")},
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


def _problems(hass: HomeAssistant, entry: ApisConfigEntry, snapshot: Snapshot) -> Found:
    """Everything that is wrong with a community now, by the problem's id."""
    found: Found = {}
    if snapshot.alert is not None:
        found[f"{STOPPED}_{entry.entry_id}"] = STOPPED, {"community": entry.title, "reason": snapshot.alert}
    units = {unit.unit_id: (unit.name, unit.alive) for unit in snapshot.units}
    # A unit that runs here and could not even be opened is in no snapshot.
    absent = {str(each.unique_id): (each.title, False) for each in entry.get_subentries_of_type(UNIT)}
    for unit_id, (name, alive) in {**absent, **units}.items():
        if not alive:
            found[f"{UNREACHABLE}_{entry.entry_id}_{unit_id}"] = UNREACHABLE, {"unit": name, "community": entry.title}
    for each in snapshot.units:
        if each.scenario_gap:
            placeholders = {"unit": each.unit_id, "name": each.name, "community": entry.title, "times": each.scenario_gap}
            found[f"{SCENARIO_GAP}_{entry.entry_id}_{each.unit_id}"] = SCENARIO_GAP, placeholders
    for other, unit in _twins(hass, entry, snapshot):
        found[f"{TWIN}_{entry.entry_id}_{unit}"] = TWIN, {"unit": unit, "community": entry.title, "other": other}
    ours = ".".join(VERSION.split(".")[:2])
    if snapshot.version and ".".join(snapshot.version.split(".")[:2]) != ours:
        placeholders = {"community": entry.title, "theirs": snapshot.version, "ours": VERSION}
        found[f"{OTHER_VERSION}_{entry.entry_id}"] = OTHER_VERSION, placeholders
    if entry.runtime_data.coordinator.has_other_policy:
        found[f"{OTHER_POLICY}_{entry.entry_id}"] = OTHER_POLICY, {"community": entry.title}
    return found


def _twins(hass: HomeAssistant, entry: ApisConfigEntry, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Units whose device another community of this Home Assistant drives as well: that community, and the unit."""
    mine = {(unit.unit_id, unit.device_url) for unit in snapshot.units if unit.device_url}
    for other in hass.config_entries.async_entries(DOMAIN):
        if other.entry_id == entry.entry_id or other.state is not ConfigEntryState.LOADED:
            continue
        theirs = {(unit.unit_id, unit.device_url) for unit in other.runtime_data.coordinator.data.units}
        for unit_id, _ in sorted(mine & theirs):
            yield other.title, unit_id


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
            try:
                await async_do(entry.runtime_data.community.resume(who))
            except HomeAssistantError as error:
                return _aborted(self, error)
            await entry.runtime_data.coordinator.async_refresh()
        return await super().async_step_confirm(user_input)


class PolicyFlow(ConfirmRepairFlow):
    """Ends the units in order and begins anew with the policy that was entered."""

    def __init__(self, entry_id: str) -> None:
        """For one community."""
        self._entry_id = entry_id

    @override
    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Begin anew once it is confirmed."""
        if user_input is not None:
            self.hass.config_entries.async_schedule_reload(self._entry_id)
        return await super().async_step_confirm(user_input)


class GapFlow(ConfirmRepairFlow):
    """Lets each part of a unit's scenario hold until the next one begins."""

    def __init__(self, entry_id: str, unit_id: str) -> None:
        """For one unit."""
        self._entry_id = entry_id
        self._unit_id = unit_id

    @override
    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Give the unit the scenario without gaps once it is confirmed: a new version of it."""
        if user_input is not None:
            entry: ApisConfigEntry | None = self.hass.config_entries.async_get_known_entry(self._entry_id)
            assert entry is not None
            community, who = entry.runtime_data.community, await async_who(self.hass, None)
            try:
                scenario: Scenario = await async_do(community.scenario(self._unit_id))
                await async_do(community.set_scenario(self._unit_id, scenario.without_gaps(), who))
            except HomeAssistantError as error:
                return _aborted(self, error)
            await entry.runtime_data.coordinator.async_refresh()
        return await super().async_step_confirm(user_input)


def _aborted(flow: RepairsFlow, error: HomeAssistantError) -> RepairsFlowResult:
    """What was wanted was not done; the problem stays, and can be tried again."""
    return flow.async_abort(reason=error.translation_key or "no_answer", description_placeholders=error.translation_placeholders)


async def async_create_fix_flow(hass: HomeAssistant, issue_id: str, data: dict[str, Any] | None) -> RepairsFlow:
    """The way to mend a problem."""
    assert data is not None
    entry_id = str(data["entry_id"])
    if data["problem"] == SCENARIO_GAP:
        return GapFlow(entry_id, str(data["unit"]))
    return PolicyFlow(entry_id) if data["problem"] == OTHER_POLICY else ResumeFlow(entry_id)
