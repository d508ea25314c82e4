"""Who asks, and what they may."""

from pathlib import Path

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er

from .const import DOMAIN, WHO


def data_dir(hass: HomeAssistant, entry: ConfigEntry) -> Path:
    """Where a community within Home Assistant keeps what it has to remember."""
    return Path(hass.config.path(DOMAIN, entry.entry_id))


async def async_is_admin(hass: HomeAssistant, context: Context | None) -> bool:
    """Whether an administrator asks; what nobody in person asks (an automation) counts as one, as everywhere in Home Assistant."""
    if context is None or context.user_id is None:
        return True
    user = await hass.auth.async_get_user(context.user_id)
    return user is not None and user.is_admin


async def async_who(hass: HomeAssistant, context: Context | None) -> str:
    """Whom the ledger names for what is done."""
    user = None if context is None or context.user_id is None else await hass.auth.async_get_user(context.user_id)
    return WHO if user is None or not user.name else f"{user.name} ({WHO})"


@callback
def async_of_kind(hass: HomeAssistant, entities: set[str], kind: str) -> set[str]:
    """Those that are ours and of one kind: a device that is chosen as a whole has many."""
    registry = er.async_get(hass)
    found = {entity_id: registry.async_get(entity_id) for entity_id in entities}
    return {entity_id for entity_id, each in found.items() if each is not None and (each.platform, each.translation_key) == (DOMAIN, kind)}
