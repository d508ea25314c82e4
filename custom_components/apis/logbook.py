"""Deals in plain words, in the activity of the house."""

from collections.abc import Callable
from typing import Any

from homeassistant.components.logbook import LOGBOOK_ENTRY_ICON, LOGBOOK_ENTRY_MESSAGE, LOGBOOK_ENTRY_NAME
from homeassistant.core import Event, HomeAssistant, callback

from .const import DOMAIN, EVENT_DEAL

SENTENCES = {
    "created": "agreed to send {amount_wh} Wh to {to_name}",
    "started": "began sending {amount_wh} Wh to {to_name}",
    "completed": "has sent {exchanged_wh:.0f} Wh to {to_name}",
    "aborted": "stopped sending to {to_name} after {exchanged_wh:.0f} of {amount_wh} Wh",
}


@callback
def async_describe_events(hass: HomeAssistant, async_describe_event: Callable[[str, str, Callable[[Event], dict[str, Any]]], None]) -> None:
    """Describe what becomes of deals."""

    @callback
    def describe(event: Event) -> dict[str, Any]:
        deal = event.data
        message = SENTENCES[deal["type"]].format(**deal)
        if deal.get("reason"):
            message += f": {deal['reason']}"
        return {LOGBOOK_ENTRY_NAME: deal["from_name"], LOGBOOK_ENTRY_MESSAGE: message, LOGBOOK_ENTRY_ICON: "mdi:handshake"}

    async_describe_event(DOMAIN, EVENT_DEAL, describe)
