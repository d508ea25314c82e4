"""Setting up a community: houses to try, units that run here, or a daemon that runs them elsewhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, override

from homeassistant.config_entries import (
    ConfigEntry,
    ConfigEntryState,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryData,
    ConfigSubentryFlow,
    OptionsFlow,
    SubentryFlowResult,
)
from homeassistant.const import CONF_CODE, CONF_NAME, CONF_TOKEN, CONF_URL, Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.aiohttp_client import async_get_clientsession
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
    TextSelectorConfig,
    TextSelectorType,
)
import probatio
from yarl import URL

from apis_core import app
from apis_core.model.errors import ApisError, CommandRefusedError, ConfigError, NotPairedError, Problem
from apis_core.model.limits import check_limits
from apis_core.model.policy import Policy
from apis_core.model.unit_plan import UnitPlan

from . import unit_form
from .const import (
    CONF_ALIASES,
    CONF_FOLDER,
    CONF_KIND,
    CONF_POLICY,
    CONF_SENSORS,
    CONF_UNIT_ID,
    CONF_UNITS,
    DOMAIN,
    KIND_DAEMON,
    KIND_NODE,
    KIND_TRIAL,
    LOGGER,
    POWERS,
    UNIT,
)

DEFAULT_UNITS = 4
DEFAULT_URL = "http://127.0.0.1:4391"
TRIAL_SCHEMA = probatio.Schema(
    {
        probatio.Required(CONF_NAME): TextSelector(),
        probatio.Required(CONF_UNITS, default=DEFAULT_UNITS): NumberSelector(
            NumberSelectorConfig(min=2, max=12, step=1, mode=NumberSelectorMode.SLIDER)
        ),
    }
)
DAEMON_SCHEMA = probatio.Schema(
    {
        probatio.Required(CONF_NAME): TextSelector(),
        probatio.Required(CONF_URL, default=DEFAULT_URL): TextSelector(TextSelectorConfig(type=TextSelectorType.URL)),
    }
)
NODE_SCHEMA = probatio.Schema({probatio.Required(CONF_NAME): TextSelector(), probatio.Optional(CONF_FOLDER): TextSelector()})
RECONFIGURE_SCHEMA = probatio.Schema({probatio.Required(CONF_URL): TextSelector(TextSelectorConfig(type=TextSelectorType.URL))})
PAIR_SCHEMA = probatio.Schema({probatio.Required(CONF_CODE): TextSelector()})
NOT_PAIRED = {"base": "not_paired"}
SENSORS_SCHEMA = probatio.Schema(
    {probatio.Optional(CONF_NAME): TextSelector()}
    | {probatio.Optional(power): EntitySelector(EntitySelectorConfig(domain=Platform.SENSOR, device_class="power")) for power in POWERS}
)


def _read_installation(folder: str) -> tuple[Policy, list[UnitPlan]]:
    """What an installation's files say. Raises ConfigError with every problem."""
    setups = app.load_setups(app.unit_folders(Path(folder)))
    return setups[0].settings.policy, [UnitPlan.of_files(setup.files) for setup in setups if setup.files is not None]


def _subentry(plan: UnitPlan) -> ConfigSubentryData:
    return ConfigSubentryData(data={UNIT: plan.to_json()}, subentry_type=UNIT, title=plan.name or plan.unit_id, unique_id=plan.unit_id)


def _lines(problems: Sequence[Problem]) -> str:
    return "\n".join(f"- {problem}" for problem in problems)


def _sentences(error: ConfigError) -> str:
    return _lines(error.problems)


def _is_driven(hass: HomeAssistant, plan: UnitPlan, but: str = "") -> bool:
    """Whether a community of this Home Assistant drives the same device; `but`: the unit's own subentry."""
    entries = [entry for entry in hass.config_entries.async_entries(DOMAIN) if entry.data[CONF_KIND] == KIND_NODE]
    others = [each for entry in entries for each in entry.subentries.values() if each.subentry_id != but]
    known = [UnitPlan.from_json(dict(each.data[UNIT])) for each in others]
    return any((each.unit_id, each.device) == (plan.unit_id, plan.device) for each in known)


async def _async_unit_errors(hass: HomeAssistant, plan: UnitPlan, policy: Policy, but: str = "") -> tuple[dict[str, str], str]:
    """What is wrong with a unit, proved by asking its device, and the sentences about it."""
    if _is_driven(hass, plan, but):
        return {"base": "twin"}, ""
    try:
        await app.probe_unit(async_get_clientsession(hass), plan, policy)
    except ConfigError as error:
        return {"base": "bad_limits"}, _sentences(error)
    except (ApisError, TimeoutError) as error:
        return {"base": "device_silent"}, f"- {error}"
    return {}, ""


class ApisConfigFlow(ConfigFlow, domain=DOMAIN):
    """One entry is one community."""

    VERSION = 1

    def __init__(self) -> None:
        """Nothing has been entered."""
        self._name = self._url = ""
        self._unit: dict[str, Any] = {}

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(cls, config_entry: ConfigEntry) -> dict[str, type[ConfigSubentryFlow]]:
        """Units are subentries where they run here; otherwise they come and go by themselves."""
        return {UNIT: UnitFlow} if config_entry.data[CONF_KIND] == KIND_NODE else {}

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry) -> OptionsFlow:
        """What can be changed later."""
        return ApisOptionsFlow()

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask which way in."""
        return self.async_show_menu(step_id="user", menu_options=[KIND_TRIAL, KIND_NODE, KIND_DAEMON])

    async def async_step_trial(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Emulated houses within Home Assistant."""
        if user_input is not None:
            self._async_abort_entries_match({CONF_KIND: KIND_TRIAL})
            data = {CONF_KIND: KIND_TRIAL, CONF_UNITS: int(user_input[CONF_UNITS])}
            return self.async_create_entry(title=user_input[CONF_NAME], data=data)
        suggested = self.add_suggested_values_to_schema(TRIAL_SCHEMA, {CONF_NAME: "Houses to try"})
        return self.async_show_form(step_id=KIND_TRIAL, data_schema=suggested)

    async def async_step_node(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Units that run within Home Assistant: those of an installation's files, or a first one that is entered."""
        errors: dict[str, str] = {}
        problems = ""
        if user_input is not None:
            self._name = user_input[CONF_NAME]
            if not user_input.get(CONF_FOLDER):
                return await self.async_step_unit()
            try:
                policy, plans = await self.hass.async_add_executor_job(_read_installation, self.hass.config.path(user_input[CONF_FOLDER]))
            except ConfigError as error:
                errors, problems = {"base": "bad_files"}, _sentences(error)
            else:
                if any(_is_driven(self.hass, plan) for plan in plans):
                    return self.async_abort(reason="already_configured")
                return self._create_node(policy, plans)
        shown = self.add_suggested_values_to_schema(NODE_SCHEMA, user_input or {CONF_NAME: "Community"})
        placeholders = {"problems": problems, "config": self.hass.config.config_dir}
        return self.async_show_form(
            step_id=KIND_NODE, data_schema=shown, errors=errors, description_placeholders=placeholders, last_step=False
        )

    async def async_step_unit(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """The first unit."""
        if user_input is not None:
            self._unit = user_input
            return await self.async_step_limits()
        shown = self.add_suggested_values_to_schema(unit_form.UNIT_SCHEMA, unit_form.next_unit(()))
        return self.async_show_form(step_id="unit", data_schema=shown, last_step=False)

    async def async_step_limits(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """What the first unit can do."""
        errors: dict[str, str] = {}
        problems = ""
        if user_input is not None:
            policy = app.sample_policy()
            try:
                plan = unit_form.plan_of(self._unit, user_input, None)
            except ConfigError as error:
                errors, problems = {"base": "bad_limits"}, _sentences(error)
            else:
                errors, problems = await _async_unit_errors(self.hass, plan, policy)
                if not errors:
                    return self._create_node(policy, [plan])
                if errors["base"] == "device_silent":
                    return self.async_show_form(
                        step_id="unit",
                        data_schema=self.add_suggested_values_to_schema(unit_form.UNIT_SCHEMA, self._unit),
                        errors=errors,
                        last_step=False,
                    )
        values = user_input or unit_form.limit_values(app.sample_hardware())
        shown = self.add_suggested_values_to_schema(unit_form.NEW_LIMITS_SCHEMA, values)
        return self.async_show_form(
            step_id="limits", data_schema=shown, errors=errors, description_placeholders={"problems": problems}, last_step=True
        )

    def _create_node(self, policy: Policy, plans: Sequence[UnitPlan]) -> ConfigFlowResult:
        return self.async_create_entry(
            title=self._name,
            data={CONF_KIND: KIND_NODE},
            options={CONF_POLICY: policy.to_json()},
            subentries=[_subentry(plan) for plan in plans],
        )

    async def async_step_daemon(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Units that `apis node` runs elsewhere."""
        errors: dict[str, str] = {}
        if user_input is not None:
            self._name, self._url = user_input[CONF_NAME], user_input[CONF_URL].rstrip("/")
            self._async_abort_entries_match({CONF_URL: self._url})
            errors = await self._async_errors(self._url)
            if not errors:
                return self._create_daemon(None)
            if errors == NOT_PAIRED:
                return await self.async_step_pair()
        shown = self.add_suggested_values_to_schema(DAEMON_SCHEMA, user_input or {CONF_NAME: "Community"})
        return self.async_show_form(step_id=KIND_DAEMON, data_schema=shown, errors=errors)

    async def async_step_pair(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Trade the code that `apis pair` says for a token."""
        errors: dict[str, str] = {}
        if user_input is not None:
            token, errors = await self._async_trade(user_input[CONF_CODE])
            if not errors:
                return self._create_daemon(token)
        return self.async_show_form(step_id="pair", data_schema=PAIR_SCHEMA, errors=errors, description_placeholders={"url": self._url})

    async def _async_trade(self, code: str) -> tuple[str, dict[str, str]]:
        """A token for a code, and what is wrong."""
        community = app.connect_community(async_get_clientsession(self.hass), self._url)
        try:
            token = await community.pair(code.replace(" ", ""), self.hass.config.location_name or "Home Assistant")
        except CommandRefusedError:
            return "", {CONF_CODE: "wrong_code"}
        except ApisError, TimeoutError:
            return "", {"base": "cannot_connect"}
        return token, await self._async_errors(self._url, token)

    def _create_daemon(self, token: str | None) -> ConfigFlowResult:
        data = {CONF_KIND: KIND_DAEMON, CONF_URL: self._url} | ({} if token is None else {CONF_TOKEN: token})
        return self.async_create_entry(title=self._name, data=data)

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """The daemon has taken the pairing back."""
        self._url = entry_data[CONF_URL]
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Pair anew."""
        errors: dict[str, str] = {}
        if user_input is not None:
            token, errors = await self._async_trade(user_input[CONF_CODE])
            if not errors:
                entry = self._get_reauth_entry()
                done = self.async_update_and_abort(entry, data_updates={CONF_TOKEN: token})
                if entry.state is not ConfigEntryState.LOADED:
                    # One that is loaded sees by itself that its settings have changed.
                    self.hass.config_entries.async_schedule_reload(entry.entry_id)
                return done
        placeholders = {"url": self._url}
        return self.async_show_form(step_id="reauth_confirm", data_schema=PAIR_SCHEMA, errors=errors, description_placeholders=placeholders)

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Another address of the daemon."""
        entry = self._get_reconfigure_entry()
        if entry.data[CONF_KIND] != KIND_DAEMON:
            return self.async_abort(reason="nothing_to_change")
        errors: dict[str, str] = {}
        if user_input is not None:
            url = user_input[CONF_URL].rstrip("/")
            if any(other.entry_id != entry.entry_id and other.data.get(CONF_URL) == url for other in self._async_current_entries()):
                return self.async_abort(reason="already_configured")
            errors = await self._async_errors(url, entry.data.get(CONF_TOKEN))
            if not errors:
                return self.async_update_and_abort(entry, data_updates={CONF_URL: url})
        shown = self.add_suggested_values_to_schema(RECONFIGURE_SCHEMA, user_input or dict(entry.data))
        return self.async_show_form(step_id="reconfigure", data_schema=shown, errors=errors)

    async def _async_errors(self, url: str, token: str | None = None) -> dict[str, str]:
        """What is wrong with an address, proved by asking it."""
        try:
            parsed = URL(url)
        except ValueError:
            return {CONF_URL: "invalid_url"}
        if parsed.scheme not in ("http", "https") or not parsed.host:
            return {CONF_URL: "invalid_url"}
        try:
            snapshot = await app.connect_community(async_get_clientsession(self.hass), url, token).snapshot()
        except NotPairedError:
            return NOT_PAIRED
        except ApisError, TimeoutError:
            return {"base": "cannot_connect"}
        except Exception:  # noqa: BLE001 - whatever it was, the person can only try again
            LOGGER.exception("The answer of %s was not understood", url)
            return {"base": "unknown"}
        return {} if snapshot.units else {"base": "no_units"}


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

    def _show_unit(self, values: dict[str, Any], errors: dict[str, str]) -> SubentryFlowResult:
        shown = self.add_suggested_values_to_schema(unit_form.UNIT_SCHEMA, values)
        step_id = "user" if self._before is None else "reconfigure"
        return self.async_show_form(step_id=step_id, data_schema=shown, errors=errors, last_step=False)

    async def async_step_limits(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """What the unit can do."""
        errors: dict[str, str] = {}
        problems, before = "", self._before
        schema = unit_form.NEW_LIMITS_SCHEMA if before is None else unit_form.LIMITS_SCHEMA
        if user_input is not None:
            try:
                plan = unit_form.plan_of(self._unit, user_input, before)
            except ConfigError as error:
                errors, problems = {"base": "bad_limits"}, _sentences(error)
            else:
                policy, _ = Policy.from_json(dict(self._get_entry().options[CONF_POLICY]))
                own = "" if before is None else self._get_reconfigure_subentry().subentry_id
                errors, problems = await _async_unit_errors(self.hass, plan, policy, own)
                if not errors:
                    return self._finish(plan)
                if errors["base"] == "device_silent":
                    return self._show_unit(self._unit, errors)
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
        data = _subentry(plan)
        if self._before is None:
            return self.async_create_entry(title=data["title"], data=data["data"], unique_id=data["unique_id"])
        return self.async_update_and_abort(self._get_entry(), self._get_reconfigure_subentry(), title=data["title"], data=data["data"])

    @property
    def _before(self) -> UnitPlan | None:
        """The unit as it was; None for a new one."""
        return None if self.source == "user" else UnitPlan.from_json(dict(self._get_reconfigure_subentry().data[UNIT]))

    def _is_known(self, unit: dict[str, Any]) -> bool:
        return any(each.unique_id == unit[CONF_UNIT_ID].strip() for each in self._get_entry().subentries.values())


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
                errors, problems = {"base": "bad_limits"}, _sentences(error)
            else:
                if not found:
                    return self.async_create_entry(data={**self.config_entry.options, CONF_POLICY: policy.to_json()})
                errors, problems = {"base": "bad_limits"}, _lines(found)
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
