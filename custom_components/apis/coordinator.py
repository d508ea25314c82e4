"""What a community shows, kept up to date: told of what happens, looked at now and then for what only drifts."""

import asyncio
from collections.abc import Callable
import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.debounce import Debouncer
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed

from apis_core.community import Community
from apis_core.model.errors import ApisError
from apis_core.model.view import Event, Snapshot, UnitView

from .const import DOMAIN, LOGGER

type ApisConfigEntry = ConfigEntry[ApisData]

# While energy flows people watch; otherwise only charge and temperature drift.
SHARING_INTERVAL = timedelta(seconds=5)
QUIET_INTERVAL = timedelta(seconds=30)
RECONNECT_S = 10.0
AFTER_EVENT_S = 0.3


@dataclass(kw_only=True)
class ApisData:
    """What belongs to a config entry while it is loaded."""

    community: Community
    coordinator: ApisCoordinator
    stack: contextlib.AsyncExitStack


class ApisCoordinator(DataUpdateCoordinator[Snapshot]):
    """Keeps the snapshot of a community, and passes its events on."""

    config_entry: ApisConfigEntry

    def __init__(self, hass: HomeAssistant, entry: ApisConfigEntry, community: Community) -> None:
        """Nothing is known yet."""
        super().__init__(
            hass,
            LOGGER,
            config_entry=entry,
            name=DOMAIN,
            update_interval=QUIET_INTERVAL,
            request_refresh_debouncer=Debouncer(hass, LOGGER, cooldown=AFTER_EVENT_S, immediate=False),
        )
        self.community = community
        self._event_listeners: list[Callable[[Event], None]] = []

    @override
    async def _async_update_data(self) -> Snapshot:
        """Look at the community."""
        try:
            snapshot = await self.community.snapshot()
        except (ApisError, TimeoutError) as error:
            raise UpdateFailed(
                translation_domain=DOMAIN, translation_key="no_answer", translation_placeholders={"error": str(error)}
            ) from error
        self.update_interval = SHARING_INTERVAL if snapshot.deals else QUIET_INTERVAL
        return snapshot

    async def async_follow(self) -> None:
        """Listen to the community's events until cancelled; ask again when it is back."""
        while True:
            with contextlib.suppress(ApisError, TimeoutError):
                async for event in self.community.subscribe():
                    for listener in list(self._event_listeners):
                        listener(event)
                    await self.async_request_refresh()
            await self.async_request_refresh()
            await asyncio.sleep(RECONNECT_S)

    @callback
    def async_listen(self, listener: Callable[[Event], None]) -> CALLBACK_TYPE:
        """Call for each event; the returned function ends it."""
        self._event_listeners.append(listener)
        return lambda: self._event_listeners.remove(listener)

    def unit(self, unit_id: str) -> UnitView | None:
        """A unit as it is now, or None if it is gone."""
        return next((unit for unit in self.data.units if unit.unit_id == unit_id), None)
