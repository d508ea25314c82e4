"""The cards and the dashboard: one file, which every page of Home Assistant loads by itself."""

from pathlib import Path

from homeassistant.components.frontend import DOMAIN as FRONTEND, add_extra_js_url
from homeassistant.components.http import StaticPathConfig
from homeassistant.core import HomeAssistant

from apis_core.model.version import VERSION

from .const import DOMAIN

FOLDER = Path(__file__).parent / "frontend"


async def async_setup_cards(hass: HomeAssistant) -> None:
    """Offer the file, once; its address changes with the version, so that no browser keeps an old one."""
    if FRONTEND not in hass.config.components:
        return
    await hass.http.async_register_static_paths([StaticPathConfig(f"/{DOMAIN}", str(FOLDER), cache_headers=True)])
    digest = await hass.async_add_executor_job(_stamp)
    add_extra_js_url(hass, f"/{DOMAIN}/apis.js?v={VERSION}-{digest}")


def _stamp() -> str:
    """What tells two files of one version apart."""
    return f"{int((FOLDER / 'apis.js').stat().st_mtime):x}"
