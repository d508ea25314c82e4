"""Setting up a community: houses to try, or a daemon that runs units."""

from pathlib import Path
from typing import Any, override

from homeassistant.config_entries import ConfigFlow, ConfigFlowResult
from homeassistant.const import CONF_NAME, CONF_URL
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.selector import (
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
import probatio
from yarl import URL

from apis_core import app
from apis_core.model.errors import ApisError, ConfigError

from .const import CONF_FOLDER, CONF_KIND, CONF_UNITS, DOMAIN, KIND_DAEMON, KIND_NODE, KIND_TRIAL, LOGGER

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
NODE_SCHEMA = probatio.Schema(
    {probatio.Required(CONF_NAME): TextSelector(), probatio.Required(CONF_FOLDER, default="apis-units"): TextSelector()}
)
RECONFIGURE_SCHEMA = probatio.Schema({probatio.Required(CONF_URL): TextSelector(TextSelectorConfig(type=TextSelectorType.URL))})


def _check_installation(folder: str) -> None:
    """Prove an installation's files. Raises ConfigError with every problem."""
    app.load_setups(app.unit_folders(Path(folder)))


class ApisConfigFlow(ConfigFlow, domain=DOMAIN):
    """One entry is one community."""

    VERSION = 1

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
        """Units that run within Home Assistant, from an installation's files."""
        errors: dict[str, str] = {}
        problems = ""
        if user_input is not None:
            folder = self.hass.config.path(user_input[CONF_FOLDER])
            self._async_abort_entries_match({CONF_FOLDER: folder})
            try:
                await self.hass.async_add_executor_job(_check_installation, folder)
            except ConfigError as error:
                errors, problems = {"base": "bad_files"}, str(error)
            else:
                return self.async_create_entry(title=user_input[CONF_NAME], data={CONF_KIND: KIND_NODE, CONF_FOLDER: folder})
        shown = self.add_suggested_values_to_schema(NODE_SCHEMA, user_input or {CONF_NAME: "Community"})
        return self.async_show_form(
            step_id=KIND_NODE,
            data_schema=shown,
            errors=errors,
            description_placeholders={"problems": problems, "config": self.hass.config.config_dir},
        )

    async def async_step_daemon(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Units that `apis node` runs elsewhere."""
        errors: dict[str, str] = {}
        if user_input is not None:
            url = user_input[CONF_URL].rstrip("/")
            self._async_abort_entries_match({CONF_URL: url})
            errors = await self._async_errors(url)
            if not errors:
                return self.async_create_entry(title=user_input[CONF_NAME], data={CONF_KIND: KIND_DAEMON, CONF_URL: url})
        shown = self.add_suggested_values_to_schema(DAEMON_SCHEMA, user_input or {CONF_NAME: "Community"})
        return self.async_show_form(step_id=KIND_DAEMON, data_schema=shown, errors=errors)

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
            errors = await self._async_errors(url)
            if not errors:
                return self.async_update_reload_and_abort(entry, data_updates={CONF_URL: url})
        shown = self.add_suggested_values_to_schema(RECONFIGURE_SCHEMA, user_input or dict(entry.data))
        return self.async_show_form(step_id="reconfigure", data_schema=shown, errors=errors)

    async def _async_errors(self, url: str) -> dict[str, str]:
        """What is wrong with an address, proved by asking it."""
        try:
            parsed = URL(url)
        except ValueError:
            return {CONF_URL: "invalid_url"}
        if parsed.scheme not in ("http", "https") or not parsed.host:
            return {CONF_URL: "invalid_url"}
        try:
            snapshot = await app.connect_community(async_get_clientsession(self.hass), url).snapshot()
        except ApisError, TimeoutError:
            return {"base": "cannot_connect"}
        except Exception:  # noqa: BLE001 - whatever it was, the person can only try again
            LOGGER.exception("The answer of %s was not understood", url)
            return {"base": "unknown"}
        return {} if snapshot.units else {"base": "no_units"}
