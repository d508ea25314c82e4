"""Setting up a community: houses to try, units that run here, or a daemon that runs them elsewhere."""

from collections.abc import Mapping, Sequence
import contextlib
from pathlib import Path
from types import MappingProxyType
from typing import Any, override

from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentry,
    ConfigSubentryFlow,
    OptionsFlow,
)
from homeassistant.const import CONF_CODE, CONF_HOST, CONF_NAME, CONF_PORT, CONF_TOKEN, CONF_URL
from homeassistant.core import callback
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.selector import (
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
from homeassistant.helpers.service_info.hassio import HassioServiceInfo
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo
import probatio
from yarl import URL

from apis_core import app
from apis_core.model.errors import ApisError, CommandRefusedError, ConfigError, NotPairedError
from apis_core.model.policy import Policy
from apis_core.model.unit_plan import UnitPlan

from . import discovery, unit_form
from .const import (
    CONF_COMMUNITY,
    CONF_FOLDER,
    CONF_KIND,
    CONF_POLICY,
    CONF_UNIT_ID,
    CONF_UNITS,
    DOMAIN,
    KIND_DAEMON,
    KIND_NODE,
    KIND_TRIAL,
    LOGGER,
    UNIT,
)
from .discovery import Found
from .options_flow import ApisOptionsFlow
from .unit_flow import UnitFlow, async_unit_errors, is_driven, sentences, subentry_data

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


class ApisConfigFlow(ConfigFlow, domain=DOMAIN):
    """One entry is one community."""

    VERSION = 1

    def __init__(self) -> None:
        """Nothing has been entered."""
        self._name = self._url = ""
        self._found = discovery.NOTHING
        self._target: ConfigEntry | None = None
        self._unit: dict[str, Any] = {}

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(cls, config_entry: ConfigEntry) -> dict[str, type[ConfigSubentryFlow]]:
        """Units are subentries where they run here; otherwise they come and go by themselves."""
        # One that a person ignores says nothing of itself.
        return {UNIT: UnitFlow} if config_entry.data.get(CONF_KIND) == KIND_NODE else {}

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry) -> OptionsFlow:
        """What can be changed later."""
        return ApisOptionsFlow()

    @override
    async def async_step_zeroconf(self, discovery_info: ZeroconfServiceInfo) -> ConfigFlowResult:
        """Something announced itself on the network."""
        return await self._async_found(discovery.of_zeroconf(discovery_info))

    @override
    async def async_step_hassio(self, discovery_info: HassioServiceInfo) -> ConfigFlowResult:
        """An app announced itself."""
        return await self._async_found(discovery.of_app(discovery_info))

    async def _async_found(self, found: Found) -> ConfigFlowResult:
        """What announced itself: known at another address, or new."""
        if found.problem:
            return self.async_abort(reason=found.problem, description_placeholders={"api": found.api, "role": found.role})
        await self.async_set_unique_id(found.identity)
        if discovery.async_moved(self.hass, found):
            return self.async_abort(reason="already_configured")
        # What was entered with https stays: what announces itself names no scheme, and a token is not sent in the clear.
        known = self.hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, found.identity)
        is_private = known is not None and URL(str(known.data.get(CONF_URL, ""))).scheme == "https"
        self._abort_if_unique_id_configured(updates=None if is_private else {CONF_URL: found.url}, reload_on_update=False)
        self._found, self._url = found, found.url
        self.context["title_placeholders"] = {"name": f"{found.role}, {found.host}"}
        if found.role == "node":
            return await self.async_step_found_node()
        if found.role == "emulator":
            return await self.async_step_found_emulator()
        return await self.async_step_found_driver()

    async def async_step_found_node(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """A daemon: connect to it."""
        errors: dict[str, str] = {}
        if user_input is not None:
            self._name = user_input[CONF_NAME]
            errors = await self._async_errors(self._url)
            if not errors:
                return self._create_daemon(None)
            if errors == NOT_PAIRED:
                return await self.async_step_pair()
        return self._show_found("found_node", {}, errors)

    async def async_step_found_emulator(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """An emulator: run its units here."""
        try:
            there = await app.emulated_units(async_get_clientsession(self.hass), self._url)
        except ApisError, TimeoutError:
            return self.async_abort(reason="cannot_connect")
        plans = [plan for plan in there if not is_driven(self.hass, plan)]
        if not plans:
            return self.async_abort(reason="already_configured")
        if user_input is not None:
            self._name, chosen = user_input[CONF_NAME], [plan for plan in plans if plan.unit_id in user_input[CONF_UNITS]]
            if chosen:
                return self._create_node(app.sample_policy(), chosen)
        ids = [plan.unit_id for plan in plans]
        units = SelectSelector(SelectSelectorConfig(options=ids, multiple=True))
        errors = {} if user_input is None else {CONF_UNITS: "no_units"}
        return self._show_found("found_emulator", {probatio.Required(CONF_UNITS, default=ids): units}, errors)

    async def async_step_found_driver(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """A converter's driver: add it as a unit to a community that runs here, or to a new one."""
        entries = [entry for entry in self._async_current_entries() if entry.data.get(CONF_KIND) == KIND_NODE]
        if user_input is not None:
            self._name = user_input[CONF_NAME]
            self._target = next((entry for entry in entries if entry.entry_id == user_input.get(CONF_COMMUNITY)), None)
            return await self.async_step_unit()
        options = [SelectOptionDict(value=entry.entry_id, label=entry.title) for entry in entries]
        choice = {probatio.Optional(CONF_COMMUNITY): SelectSelector(SelectSelectorConfig(options=options))} if options else {}
        return self._show_found("found_driver", choice, {}, last_step=False)

    def _show_found(self, step_id: str, more: dict[Any, Any], errors: dict[str, str], *, last_step: bool | None = None) -> ConfigFlowResult:
        schema = probatio.Schema({probatio.Required(CONF_NAME, default="Community"): TextSelector(), **more})
        placeholders = {"host": self._found.host, "version": self._found.version}
        return self.async_show_form(
            step_id=step_id, data_schema=schema, errors=errors, description_placeholders=placeholders, last_step=last_step
        )

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
                folder = Path(self.hass.config.path(user_input[CONF_FOLDER]))
                policy, plans = await self.hass.async_add_executor_job(app.read_installation, folder)
            except ConfigError as error:
                errors, problems = {"base": "bad_files"}, sentences(error)
            else:
                if any(is_driven(self.hass, plan) for plan in plans):
                    return self.async_abort(reason="already_configured")
                return self._create_node(policy, plans)
        shown = self.add_suggested_values_to_schema(NODE_SCHEMA, user_input or {CONF_NAME: "Community"})
        placeholders = {"problems": problems, "config": self.hass.config.config_dir}
        return self.async_show_form(
            step_id=KIND_NODE, data_schema=shown, errors=errors, description_placeholders=placeholders, last_step=False
        )

    async def async_step_unit(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """The first unit, or one more of a community that is there."""
        known = [str(each.unique_id) for each in self._target.subentries.values()] if self._target is not None else []
        if user_input is not None:
            self._unit = user_input
            if user_input[CONF_UNIT_ID].strip() in known:
                return self._show_unit(user_input, {CONF_UNIT_ID: "already_there"})
            return await self.async_step_limits()
        values = unit_form.next_unit(known)
        if self._found.role == "driver":
            values |= {CONF_HOST: self._found.host, CONF_PORT: self._found.port, unit_form.CONF_DRIVER: "dcdc_v2"}
        return self._show_unit(values, {})

    def _show_unit(self, values: dict[str, Any], errors: dict[str, str], problems: str = "") -> ConfigFlowResult:
        shown = self.add_suggested_values_to_schema(unit_form.UNIT_SCHEMA, values)
        return self.async_show_form(
            step_id="unit", data_schema=shown, errors=errors, description_placeholders={"problems": problems}, last_step=False
        )

    async def async_step_limits(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """What the first unit can do."""
        errors: dict[str, str] = {}
        problems = ""
        if user_input is not None:
            policy = app.sample_policy() if self._target is None else Policy.from_json(dict(self._target.options[CONF_POLICY]))[0]
            try:
                plan = unit_form.plan_of(self._unit, user_input, None)
            except ConfigError as error:
                errors, problems = {"base": "bad_limits"}, sentences(error)
            else:
                errors, problems = await async_unit_errors(self.hass, plan, policy)
                if not errors:
                    return self._create_node(policy, [plan]) if self._target is None else self._add_to(self._target, plan)
                if errors["base"] == "device_silent":
                    return self._show_unit(self._unit, errors, problems)
        values = user_input or unit_form.limit_values(app.sample_hardware())
        shown = self.add_suggested_values_to_schema(unit_form.NEW_LIMITS_SCHEMA, values)
        return self.async_show_form(
            step_id="limits", data_schema=shown, errors=errors, description_placeholders={"problems": problems}, last_step=True
        )

    def _add_to(self, entry: ConfigEntry, plan: UnitPlan) -> ConfigFlowResult:
        """Add the unit to a community that runs here; whoever watches the entry starts it."""
        data = subentry_data(plan, self._found.identity)
        unit = ConfigSubentry(data=MappingProxyType(data["data"]), subentry_type=UNIT, title=data["title"], unique_id=data["unique_id"])
        self.hass.config_entries.async_add_subentry(entry, unit)
        return self.async_abort(reason="unit_added", description_placeholders={"community": entry.title})

    def _create_node(self, policy: Policy, plans: Sequence[UnitPlan]) -> ConfigFlowResult:
        return self.async_create_entry(
            title=self._name,
            data={CONF_KIND: KIND_NODE},
            options={CONF_POLICY: policy.to_json()},
            subentries=[subentry_data(plan, self._found.identity if self._found.role == "driver" else "") for plan in plans],
        )

    async def async_step_daemon(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Units that `apis node` runs elsewhere."""
        errors: dict[str, str] = {}
        if user_input is not None:
            self._name, self._url = user_input[CONF_NAME], user_input[CONF_URL].rstrip("/")
            self._async_abort_entries_match({CONF_URL: self._url})
            errors = await self._async_errors(self._url)
            if errors in ({}, NOT_PAIRED):
                await self._async_identify()
                return self._create_daemon(None) if not errors else await self.async_step_pair()
        shown = self.add_suggested_values_to_schema(DAEMON_SCHEMA, user_input or {CONF_NAME: "Community"})
        return self.async_show_form(step_id=KIND_DAEMON, data_schema=shown, errors=errors)

    async def async_step_pair(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Trade the code that `apis pair` says for a token."""
        errors: dict[str, str] = {}
        if user_input is not None:
            token, errors = await self._async_trade(user_input[CONF_CODE])
            if not errors and self.source == SOURCE_RECONFIGURE:
                return self._change(self._get_reconfigure_entry(), {CONF_URL: self._url, CONF_TOKEN: token})
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

    async def _async_identify(self) -> None:
        """Who answers at an address that was entered: it may announce itself later."""
        with contextlib.suppress(ApisError, TimeoutError):
            found = await app.connect_community(async_get_clientsession(self.hass), self._url).identity()
            await self.async_set_unique_id(str(found["id"]) or None, raise_on_progress=False)
            self._abort_if_unique_id_configured(updates={CONF_URL: self._url}, reload_on_update=False)

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
                return self._change(self._get_reauth_entry(), {CONF_TOKEN: token})
        placeholders = {"url": self._url}
        return self.async_show_form(step_id="reauth_confirm", data_schema=PAIR_SCHEMA, errors=errors, description_placeholders=placeholders)

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Another address of the daemon."""
        entry = self._get_reconfigure_entry()
        if entry.data[CONF_KIND] != KIND_DAEMON:
            return self.async_abort(reason="change_units" if entry.data[CONF_KIND] == KIND_NODE else "nothing_to_change")
        errors: dict[str, str] = {}
        if user_input is not None:
            url = user_input[CONF_URL].rstrip("/")
            if any(other.entry_id != entry.entry_id and other.data.get(CONF_URL) == url for other in self._async_current_entries()):
                return self.async_abort(reason="already_configured")
            errors = await self._async_reach(entry, url)
            if errors == NOT_PAIRED:
                self._url = url
                return await self.async_step_pair()
            if not errors:
                return self._change(entry, {CONF_URL: url})
        shown = self.add_suggested_values_to_schema(RECONFIGURE_SCHEMA, user_input or dict(entry.data))
        return self.async_show_form(step_id="reconfigure", data_schema=shown, errors=errors)

    async def _async_reach(self, entry: ConfigEntry, url: str) -> dict[str, str]:
        """What is wrong with another address of an entry's node: first whether it is that node, then what it shows for our token."""
        errors = await self._async_errors(url)
        if errors not in ({}, NOT_PAIRED):
            return errors
        try:
            found = await app.connect_community(async_get_clientsession(self.hass), url).identity()
        except ApisError, TimeoutError:
            return {"base": "cannot_connect"}
        if entry.unique_id is not None and entry.unique_id != str(found["id"]):
            return {CONF_URL: "another_node"}
        return await self._async_errors(url, entry.data.get(CONF_TOKEN)) if errors else {}

    def _change(self, entry: ConfigEntry, data: dict[str, Any]) -> ConfigFlowResult:
        """Keep what has changed, and begin anew with it; an entry that is loaded sees by itself that its settings have changed."""
        sees_it = entry.state is ConfigEntryState.LOADED
        done = self.async_update_and_abort(entry, data_updates=data)
        if not sees_it:
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
        return done

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
