"""What helps to find out what is wrong, without what is nobody's business."""

from collections.abc import Iterator, Mapping
import re
from typing import Any

from homeassistant.components.diagnostics import REDACTED, async_redact_data
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant

from apis_core.model.errors import ApisError

from .const import UNIT
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
# Of these, what they say must not stand in any sentence either, such as an event's or a deal's reason for its end.
SPOKEN = {"url", "name", "unitName", "title", "host", "batteryHost", "device_url", "aliases", "serial_number", "serialNumber"}
# Host names and addresses in sentences that no field has: those of other nodes.
HOST = re.compile(r"^https?://\[?([^\]/:]+)")
ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|https?://[^\s\"'<>]+")


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: ApisConfigEntry) -> dict[str, Any]:
    """The entry, and the community as it is now with its last events; or why nothing is known of it, which is when it is wanted most."""
    told = {
        "entry": {
            "data": dict(entry.data),
            "options": dict(entry.options),
            "units": [dict(each.data) for each in entry.subentries.values()],
            "title": entry.title,
            "state": entry.state.value,
            "reason": entry.reason,
        },
        "community": await _async_community(entry),
    }
    ids = {str(each.unique_id) for each in entry.get_subentries_of_type(UNIT)}
    if entry.state is ConfigEntryState.LOADED:
        ids |= {unit.unit_id for unit in entry.runtime_data.coordinator.data.units}
    private = {text for said in _spoken(told) for text in (said, *HOST.findall(said))} - ids
    # The longest first: one name may be the beginning of another.
    named = [rf"(?<!\w){re.escape(said)}(?!\w)" for said in sorted(private, key=len, reverse=True)]
    found: dict[str, Any] = _unsaid(async_redact_data(told, TO_REDACT), re.compile("|".join([*named, ADDRESS.pattern])))
    return found


async def _async_community(entry: ApisConfigEntry) -> dict[str, Any]:
    """What the community tells of itself; of one that does not answer, what was seen last."""
    if entry.state is not ConfigEntryState.LOADED:
        return {}
    try:
        return await entry.runtime_data.community.diagnostics()
    except (ApisError, TimeoutError) as error:
        return {"problem": str(error), "snapshot": entry.runtime_data.coordinator.data.to_json()}


def _spoken(told: Any, *, is_private: bool = False) -> Iterator[str]:
    """Every text that a field holds which is nobody's business."""
    if isinstance(told, Mapping):
        for key, value in told.items():
            yield from _spoken(value, is_private=is_private or key in SPOKEN)
    elif isinstance(told, list | tuple):
        for value in told:
            yield from _spoken(value, is_private=is_private)
    elif isinstance(told, str) and is_private and told:
        yield told


def _unsaid(told: Any, private: re.Pattern[str]) -> Any:
    """The same without those texts, wherever they stand."""
    if isinstance(told, Mapping):
        return {key: _unsaid(value, private) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [_unsaid(value, private) for value in told]
    return private.sub(REDACTED, told) if isinstance(told, str) else told
