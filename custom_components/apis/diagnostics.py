"""What helps to find out what is wrong, without what is nobody's business."""

from typing import Any

from homeassistant.components.diagnostics import async_redact_data
from homeassistant.core import HomeAssistant

from .coordinator import ApisConfigEntry

TO_REDACT = {"url", "serial_number", "name", "title"}


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: ApisConfigEntry) -> dict[str, Any]:
    """The entry, and the community as it is now."""
    data = entry.runtime_data
    policy = await data.community.policy()
    return async_redact_data(
        {
            "entry": {"data": dict(entry.data), "options": dict(entry.options), "title": entry.title},
            "snapshot": data.coordinator.data.to_json(),
            "policy": policy.to_json(),
            "scenarios": {unit.unit_id: (await data.community.scenario(unit.unit_id)).to_json() for unit in data.coordinator.data.units},
        },
        TO_REDACT,
    )
