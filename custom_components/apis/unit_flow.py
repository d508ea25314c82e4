"""Units that run here: what is asked about each, and what proves it."""

from collections.abc import Sequence
from typing import Any

from homeassistant.config_entries import ConfigSubentryData, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.helpers.aiohttp_client import async_get_clientsession

from apis_core import app
from apis_core.model.errors import ApisError, ConfigError, Problem
from apis_core.model.policy import Policy
from apis_core.model.unit_plan import UnitPlan

from . import unit_form
from .const import CONF_IDENTITY, CONF_KIND, CONF_POLICY, CONF_UNIT_ID, DOMAIN, KIND_NODE, UNIT


def subentry_data(plan: UnitPlan, identity: str = "") -> ConfigSubentryData:
    """A unit as the subentry that it is. `identity`: of the driver that announced itself, if one did."""
    return ConfigSubentryData(
        data={UNIT: plan.to_json(), CONF_IDENTITY: identity}, subentry_type=UNIT, title=plan.name or plan.unit_id, unique_id=plan.unit_id
    )


def lines(problems: Sequence[Problem]) -> str:
    """Problems as a list that a form shows."""
    return "\n".join(f"- {problem}" for problem in problems)


def sentences(error: ConfigError) -> str:
    """Every problem of an error, as a list that a form shows."""
    return lines(error.problems)


def is_driven(hass: HomeAssistant, plan: UnitPlan, but: str = "") -> bool:
    """Whether a unit of this Home Assistant drives the same device; `but`: the unit's own subentry."""
    entries = [
        entry
        for entry in hass.config_entries.async_entries(DOMAIN, include_ignore=False, include_disabled=False)
        if entry.data[CONF_KIND] == KIND_NODE
    ]
    others = [each for entry in entries for each in entry.subentries.values() if each.subentry_id != but]
    return any(plan.drives_the_same(UnitPlan.from_json(dict(each.data[UNIT]))) for each in others)


async def async_unit_errors(hass: HomeAssistant, plan: UnitPlan, policy: Policy, but: str = "") -> tuple[dict[str, str], str]:
    """What is wrong with a unit, proved by asking its device, and the sentences about it."""
    if is_driven(hass, plan, but):
        return {"base": "twin"}, ""
    try:
        await app.probe_unit(async_get_clientsession(hass), plan, policy)
    except ConfigError as error:
        return {"base": "bad_limits"}, sentences(error)
    except (ApisError, TimeoutError) as error:
        return {"base": "device_silent"}, f"- {error}"
    return {}, ""


class UnitFlow(ConfigSubentryFlow):
    """A unit that runs here: added, or changed."""

    def __init__(self) -> None:
        """Nothing has been entered."""
        self._unit: dict[str, Any] = {}

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Where a new unit is."""
        if user_input is not None and not self._is_known(user_input):
            return await self._async_go_on(user_input)
        known = [str(each.unique_id) for each in self._get_entry().subentries.values()]
        return self._show_unit(user_input or unit_form.next_unit(known), {} if user_input is None else {CONF_UNIT_ID: "already_there"})

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Where a unit is now; its id stays."""
        before = self._before
        assert before is not None
        if user_input is not None:
            return await self._async_go_on({**user_input, CONF_UNIT_ID: before.unit_id})
        return self._show_unit(unit_form.unit_values(before), {})

    def _show_unit(self, values: dict[str, Any], errors: dict[str, str], problems: str = "") -> SubentryFlowResult:
        shown = self.add_suggested_values_to_schema(unit_form.UNIT_SCHEMA, values)
        step_id = "user" if self._before is None else "reconfigure"
        return self.async_show_form(
            step_id=step_id, data_schema=shown, errors=errors, description_placeholders={"problems": problems}, last_step=False
        )

    async def async_step_limits(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """What the unit can do."""
        errors: dict[str, str] = {}
        problems, before = "", self._before
        schema = unit_form.NEW_LIMITS_SCHEMA if before is None else unit_form.LIMITS_SCHEMA
        if user_input is not None:
            try:
                plan = unit_form.plan_of(self._unit, user_input, before)
            except ConfigError as error:
                errors, problems = {"base": "bad_limits"}, sentences(error)
            else:
                policy, _ = Policy.from_json(dict(self._get_entry().options[CONF_POLICY]))
                own = "" if before is None else self._get_reconfigure_subentry().subentry_id
                errors, problems = await async_unit_errors(self.hass, plan, policy, own)
                if not errors:
                    return self._finish(plan)
                if errors["base"] == "device_silent":
                    return self._show_unit(self._unit, errors, problems)
        values = user_input or unit_form.limit_values(before.hardware if before is not None else app.sample_hardware())
        return self.async_show_form(
            step_id="limits",
            data_schema=self.add_suggested_values_to_schema(schema, values),
            errors=errors,
            description_placeholders={"problems": problems},
            last_step=True,
        )

    async def _async_go_on(self, unit: dict[str, Any]) -> SubentryFlowResult:
        self._unit = unit
        return await self.async_step_limits()

    def _finish(self, plan: UnitPlan) -> SubentryFlowResult:
        data = subentry_data(plan)
        if self._before is None:
            return self.async_create_entry(title=data["title"], data=data["data"], unique_id=data["unique_id"])
        return self.async_update_and_abort(
            self._get_entry(), self._get_reconfigure_subentry(), title=data["title"], data_updates={UNIT: plan.to_json()}
        )

    @property
    def _before(self) -> UnitPlan | None:
        """The unit as it was; None for a new one."""
        return None if self.source == "user" else UnitPlan.from_json(dict(self._get_reconfigure_subentry().data[UNIT]))

    def _is_known(self, unit: dict[str, Any]) -> bool:
        return any(each.unique_id == unit[CONF_UNIT_ID].strip() for each in self._get_entry().subentries.values())
