"""The file that every page of Home Assistant loads by itself."""

import os
from pathlib import Path
from unittest.mock import AsyncMock, Mock, patch

from homeassistant.core import HomeAssistant

from apis_core.model.version import VERSION
from custom_components.apis.cards import async_setup_cards


async def test_the_cards_are_offered_where_there_is_a_frontend_and_a_new_file_has_a_new_address(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    (tmp_path / "apis.js").write_text("first")
    server = Mock(async_register_static_paths=AsyncMock())
    with (
        patch("custom_components.apis.cards.FOLDER", tmp_path),
        patch("custom_components.apis.cards.add_extra_js_url") as add,
        patch.object(hass, "http", server, create=True),
    ):
        await async_setup_cards(hass)
        assert not add.called
        hass.config.components.add("frontend")
        await async_setup_cards(hass)
        ((_, first), _) = add.call_args
        (served,) = server.async_register_static_paths.call_args[0][0]
        assert (served.url_path, served.path, served.cache_headers) == ("/apis", str(tmp_path), True)
        assert first.startswith(f"/apis/apis.js?v={VERSION}-")
        # The same version with another file: no browser goes on with the old one.
        stat = (tmp_path / "apis.js").stat()
        os.utime(tmp_path / "apis.js", (stat.st_atime + 60, stat.st_mtime + 60))
        await async_setup_cards(hass)
        ((_, second), _) = add.call_args
        assert second != first
