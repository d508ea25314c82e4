"""How the communities are, on the system's page."""

from typing import Any

from homeassistant.components import system_health
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN


@callback
def async_register(hass: HomeAssistant, register: system_health.SystemHealthRegistration) -> None:
    """Register what is told."""
    register.async_register_info(_info)


async def _info(hass: HomeAssistant) -> dict[str, Any]:
    """Communities, units that answer, deals that run."""
    entries = [entry for entry in hass.config_entries.async_entries(DOMAIN) if entry.state is ConfigEntryState.LOADED]
    coordinators = [entry.runtime_data.coordinator for entry in entries]
    # Of a community that does not answer, nobody knows which of its units do.
    now = [coordinator.data for coordinator in coordinators if coordinator.last_update_success]
    answering = sum(unit.alive for snapshot in now for unit in snapshot.units)
    return {
        "communities": len(entries),
        "units": f"{answering} / {sum(len(coordinator.data.units) for coordinator in coordinators)}",
        "active_deals": sum(len(snapshot.deals) for snapshot in now),
    }
