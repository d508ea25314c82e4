"""Who asks, and what they may."""

from homeassistant.core import Context, HomeAssistant

from .const import WHO


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
