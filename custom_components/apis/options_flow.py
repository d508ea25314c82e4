"""What can be changed of a community later."""

from typing import Any

from homeassistant.config_entries import ConfigFlowResult, OptionsFlow
from homeassistant.const import CONF_NAME, Platform
from homeassistant.helpers.selector import (
    EntitySelector,
    EntitySelectorConfig,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
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

from . import energy_sources, unit_form
from .const import (
    CONF_ALIASES,
    CONF_KIND,
    CONF_POINT_VALUE,
    CONF_POLICY,
    CONF_SENSORS,
    CONF_UNIT_ID,
    CONF_UNITS,
    KIND_NODE,
    POWERS,
    UNIT,
)
from .unit_flow import lines, sentences

SENSORS_SCHEMA = probatio.Schema(
    {probatio.Optional(CONF_NAME): TextSelector()}
    | {probatio.Optional(power): EntitySelector(EntitySelectorConfig(domain=Platform.SENSOR, device_class="power")) for power in POWERS}
)


class ApisOptionsFlow(OptionsFlow):
    """What a community has agreed on, the sensors that know more of a house, what points are worth, and the Energy dashboard."""

    def __init__(self) -> None:
        """No unit has been chosen."""
        self._unit_id = ""
        self._chosen: list[str] = []

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask what to change."""
        is_node = self.config_entry.data[CONF_KIND] == KIND_NODE
        return self.async_show_menu(step_id="init", menu_options=[*(["policy"] if is_node else []), "sensors", "points", "energy"])

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
        units = self._units()
        if not units:
            return self.async_abort(reason="not_loaded")
        schema = probatio.Schema({probatio.Required(CONF_UNIT_ID): SelectSelector(SelectSelectorConfig(options=units))})
        return self.async_show_form(step_id="sensors", data_schema=schema, last_step=False)

    async def async_step_unit_sensors(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """The house's own sensors."""
        options = self.config_entry.options
        sensors: dict[str, dict[str, str]] = dict(options.get(CONF_SENSORS, {}))
        aliases: dict[str, str] = {key: name for key, name in options.get(CONF_ALIASES, {}).items() if key != self._unit_id}
        if user_input is not None:
            sensors = {key: known for key, known in sensors.items() if key != self._unit_id}
            own: dict[str, str] = {power: user_input[power] for power in POWERS if power in user_input}
            if own:
                sensors[self._unit_id] = own
            if user_input.get(CONF_NAME):
                aliases[self._unit_id] = user_input[CONF_NAME]
            return self.async_create_entry(data={**options, CONF_SENSORS: sensors, CONF_ALIASES: aliases})
        values = {**sensors.get(self._unit_id, {}), CONF_NAME: options.get(CONF_ALIASES, {}).get(self._unit_id, "")}
        shown = self.add_suggested_values_to_schema(SENSORS_SCHEMA, values)
        return self.async_show_form(step_id="unit_sensors", data_schema=shown, description_placeholders={"unit": self._unit_id})

    async def async_step_points(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """What a point is worth; hours that were written keep what it was worth then."""
        options = {key: value for key, value in self.config_entry.options.items() if key != CONF_POINT_VALUE}
        if user_input is not None:
            return self.async_create_entry(data={**options, **user_input})
        currency = self.hass.config.currency
        value = NumberSelector(NumberSelectorConfig(min=0.0, step="any", mode=NumberSelectorMode.BOX, unit_of_measurement=currency))
        schema = probatio.Schema({probatio.Optional(CONF_POINT_VALUE): value})
        shown = self.add_suggested_values_to_schema(schema, dict(self.config_entry.options))
        return self.async_show_form(step_id="points", data_schema=shown, description_placeholders={"currency": currency})

    async def async_step_energy(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask whose energy the dashboard is to show."""
        units = self._units()
        if not units:
            return self.async_abort(reason="not_loaded")
        if self.config_entry.runtime_data.coordinator.data.acceleration != 1.0:
            return self.async_abort(reason="accelerated")
        if user_input is not None:
            self._chosen = user_input[CONF_UNITS]
            return await self.async_step_energy_sources()
        known = SelectSelector(SelectSelectorConfig(options=units, multiple=True))
        schema = probatio.Schema({probatio.Required(CONF_UNITS, default=[unit["value"] for unit in units[:1]]): known})
        return self.async_show_form(step_id="energy", data_schema=schema, last_step=False)

    async def async_step_energy_sources(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show what would be added, and add it."""
        missing = await energy_sources.async_missing(self.hass, self.config_entry, self._chosen)
        if not missing:
            return self.async_abort(reason="nothing_to_add")
        if user_input is not None:
            await energy_sources.async_add(self.hass, self.config_entry, self._chosen)
            return self.async_abort(reason="added")
        symbols = {"battery": "🔋", "grid": "⚡"}
        sources = "\n".join(f"- {symbols[source['type']]} {source.get('name', '')}" for source in missing)
        return self.async_show_form(step_id="energy_sources", description_placeholders={"sources": sources})

    def _units(self) -> list[SelectOptionDict]:
        """The units to choose from; none while the community does not run."""
        units = self.config_entry.runtime_data.coordinator.data.units if hasattr(self.config_entry, "runtime_data") else ()
        return [SelectOptionDict(value=unit.unit_id, label=unit.name) for unit in units]
