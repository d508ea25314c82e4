"""What can be changed of a community later."""

from typing import Any

from homeassistant.config_entries import ConfigFlowResult, OptionsFlow
from homeassistant.const import CONF_NAME, Platform
from homeassistant.helpers.selector import (
    EntitySelector,
    EntitySelectorConfig,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    TextSelector,
)
import probatio

from apis_core.model.errors import ConfigError
from apis_core.model.limits import check_limits
from apis_core.model.policy import Policy
from apis_core.model.unit_plan import UnitPlan

from . import unit_form
from .const import CONF_ALIASES, CONF_KIND, CONF_POLICY, CONF_SENSORS, CONF_UNIT_ID, KIND_NODE, POWERS, UNIT
from .unit_flow import lines, sentences

SENSORS_SCHEMA = probatio.Schema(
    {probatio.Optional(CONF_NAME): TextSelector()}
    | {probatio.Optional(power): EntitySelector(EntitySelectorConfig(domain=Platform.SENSOR, device_class="power")) for power in POWERS}
)


class ApisOptionsFlow(OptionsFlow):
    """What a community has agreed on, and the sensors that know more of a house than its device."""

    def __init__(self) -> None:
        """No unit has been chosen."""
        self._unit_id = ""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask what to change."""
        if self.config_entry.data[CONF_KIND] == KIND_NODE:
            return self.async_show_menu(step_id="init", menu_options=["policy", "sensors"])
        return await self.async_step_sensors()

    async def async_step_policy(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """What the community has agreed on; its units end in order and begin anew with it."""
        before, _ = Policy.from_json(dict(self.config_entry.options[CONF_POLICY]))
        errors: dict[str, str] = {}
        problems = ""
        if user_input is not None:
            try:
                policy = unit_form.policy_of(user_input, before)
                units = [UnitPlan.from_json(dict(each.data[UNIT])) for each in self.config_entry.get_subentries_of_type(UNIT)]
                found = tuple(problem for unit in units for problem in check_limits(unit.hardware, policy, unit.unit_id))
            except ConfigError as error:
                errors, problems = {"base": "bad_limits"}, sentences(error)
            else:
                if not found:
                    return self.async_create_entry(data={**self.config_entry.options, CONF_POLICY: policy.to_json()})
                errors, problems = {"base": "bad_limits"}, lines(found)
        shown = self.add_suggested_values_to_schema(unit_form.POLICY_SCHEMA, user_input or unit_form.policy_values(before))
        return self.async_show_form(step_id="policy", data_schema=shown, errors=errors, description_placeholders={"problems": problems})

    async def async_step_sensors(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask whose house it is."""
        if user_input is not None:
            self._unit_id = user_input[CONF_UNIT_ID]
            return await self.async_step_unit_sensors()
        units = self.config_entry.runtime_data.coordinator.data.units if hasattr(self.config_entry, "runtime_data") else ()
        if not units:
            return self.async_abort(reason="not_loaded")
        options = [SelectOptionDict(value=unit.unit_id, label=unit.name) for unit in units]
        schema = probatio.Schema({probatio.Required(CONF_UNIT_ID): SelectSelector(SelectSelectorConfig(options=options))})
        return self.async_show_form(step_id="sensors", data_schema=schema, last_step=False)

    async def async_step_unit_sensors(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """The house's own sensors."""
        options = self.config_entry.options
        sensors: dict[str, dict[str, str]] = dict(options.get(CONF_SENSORS, {}))
        aliases: dict[str, str] = {key: name for key, name in options.get(CONF_ALIASES, {}).items() if key != self._unit_id}
        if user_input is not None:
            sensors[self._unit_id] = {power: user_input[power] for power in POWERS if power in user_input}
            if user_input.get(CONF_NAME):
                aliases[self._unit_id] = user_input[CONF_NAME]
            return self.async_create_entry(data={**options, CONF_SENSORS: sensors, CONF_ALIASES: aliases})
        values = {**sensors.get(self._unit_id, {}), CONF_NAME: options.get(CONF_ALIASES, {}).get(self._unit_id, "")}
        shown = self.add_suggested_values_to_schema(SENSORS_SCHEMA, values)
        return self.async_show_form(step_id="unit_sensors", data_schema=shown, description_placeholders={"unit": self._unit_id})
