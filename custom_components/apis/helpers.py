"""Who asks, and what they may."""

from pathlib import Path

from homeassistant.auth.models import User
from homeassistant.auth.permissions.const import POLICY_CONTROL
from homeassistant.components.select import DOMAIN as SELECT
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.exceptions import Unauthorized, UnknownUser
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


@callback
def async_check_control(hass: HomeAssistant, user: User, entry: ConfigEntry, unit_id: str | None) -> None:
    """Who may choose a unit's scenario may do the rest too; for a community, who may choose its mode.

    Raises:
        Unauthorized: for anybody else.

    """
    key = f"{entry.entry_id}_community_mode" if unit_id is None else f"{entry.entry_id}_{unit_id}_scenario_preset"
    chosen = er.async_get(hass).async_get_entity_id(SELECT, DOMAIN, key)
    if not user.is_admin and (chosen is None or not user.permissions.check_entity(chosen, POLICY_CONTROL)):
        raise Unauthorized(user_id=user.id, entity_id=chosen, permission=POLICY_CONTROL)


async def async_asked(hass: HomeAssistant, context: Context, entry: ConfigEntry, *unit_ids: str | None) -> str:
    """Whom the ledger names for a change that somebody asks for. Raises Unauthorized if that person may not, or is not known."""
    if context.user_id is not None:
        user = await hass.auth.async_get_user(context.user_id)
        if user is None:
            raise UnknownUser(context=context)
        for unit_id in unit_ids:
            async_check_control(hass, user, entry, unit_id)
    return await async_who(hass, context)


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
