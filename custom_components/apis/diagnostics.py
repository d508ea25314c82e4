"""What helps to find out what is wrong, without what is nobody's business."""

from typing import Any

from homeassistant.components.diagnostics import async_redact_data
from homeassistant.core import HomeAssistant

from .coordinator import ApisConfigEntry

TO_REDACT = {
    "url",
    "token",
    "serial_number",
    "serialNumber",
    "name",
    "unitName",
    "title",
    "host",
    "batteryHost",
    "device_url",
    "aliases",
    "sensors",
    "driver",
    "last_error",
}


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: ApisConfigEntry) -> dict[str, Any]:
    """The entry, and the community as it is now with its last events."""
    return async_redact_data(
        {
            "entry": {
                "data": dict(entry.data),
                "options": dict(entry.options),
                "units": [dict(each.data) for each in entry.subentries.values()],
                "title": entry.title,
            },
            "community": await entry.runtime_data.community.diagnostics(),
        },
        TO_REDACT,
    )
