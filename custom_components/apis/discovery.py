"""Emulators, drivers and nodes that announce themselves: on the network, or as apps."""

from dataclasses import dataclass, replace
from typing import Any

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.service_info.hassio import HassioServiceInfo
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo

from apis_core.model.installation import EMULATED, Address
from apis_core.model.unit_plan import UnitPlan

from .const import CONF_IDENTITY, CONF_KIND, DOMAIN, KIND_NODE, UNIT

ROLES = ("node", "emulator", "driver")
# What this integration understands.
API = "1"


@dataclass(frozen=True, kw_only=True)
class Found:
    """Who announced itself, and where it is."""

    role: str = ""
    identity: str = ""
    api: str = API
    version: str = ""
    host: str = ""
    port: int = 0

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def problem(self) -> str:
        """Why nothing can be done with it; empty if something can."""
        if self.api != API:
            return "other_api"
        return "" if self.role in ROLES and self.identity else "unknown_role"


NOTHING = Found()


def of_zeroconf(info: ZeroconfServiceInfo) -> Found:
    """What was announced on the network."""
    return _found(info.properties, info.host, info.port or 0)


def of_app(info: HassioServiceInfo) -> Found:
    """What an app announced."""
    return _found(info.config, str(info.config.get("host", "")), int(info.config.get("port", 0)))


def _found(told: dict[str, Any], host: str, port: int) -> Found:
    role, identity, api, version = (str(told.get(key) or "") for key in ("role", "id", "api", "version"))
    return Found(role=role, identity=identity, api=api, version=version, host=host, port=port)


@callback
def async_moved(hass: HomeAssistant, found: Found) -> bool:
    """Whether units that run here are its, wherever they were: they are at its present address from now on.

    A driver that was entered by hand is known by its address, until it has announced itself there once.
    """
    known, here = False, Address(found.host, found.port)
    for entry in hass.config_entries.async_entries(DOMAIN, include_ignore=False, include_disabled=False):
        if entry.data[CONF_KIND] != KIND_NODE:
            continue
        for unit in list(entry.subentries.values()):
            plan = UnitPlan.from_json(dict(unit.data[UNIT]))
            identity = unit.data.get(CONF_IDENTITY) or (found.identity if plan.system_type != EMULATED and plan.device == here else "")
            its_driver = found.role == "driver" and identity == found.identity
            its_unit = found.role == "emulator" and entry.unique_id == found.identity and plan.system_type == EMULATED
            if its_driver or its_unit:
                known = True
                _async_move(hass, entry, unit, replace(plan, device=here), identity)
    return known


@callback
def _async_move(hass: HomeAssistant, entry: ConfigEntry, unit: ConfigSubentry, plan: UnitPlan, identity: str) -> None:
    hass.config_entries.async_update_subentry(entry, unit, data={**unit.data, UNIT: plan.to_json(), CONF_IDENTITY: identity})
