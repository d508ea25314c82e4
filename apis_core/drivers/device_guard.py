"""A unit's way to a device driver that has a dead-man of its own (`apis driver`), over its Web API.

All times that it is given are its own machine's seconds: each answer says what they are now, and of the moments that
this can mean here the earliest counts. A sign of life that was held up on its way is as old there as it is here.
"""

from collections.abc import Callable
import logging
from typing import Any

import aiohttp
import orjson

from ..model.errors import CommandRefusedError, DriverError
from ..ports import Clock, DeviceRequest, GuardOrders, GuardReport, GuardRole, Json
from ..web_request import answer_to

_LOGGER = logging.getLogger(__name__)
REFUSED = 409
BEAT_TIMEOUT_S = 1.0


class DeviceGuard:
    """See Guard."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, unit_id: str, clock: Clock, timeout_s: float, on_leaving: Callable[[str], None]
    ) -> None:
        """`on_leaving` is told of a reference that the driver is about to take off the line."""
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._unit_id = unit_id
        self._clock = clock
        self._timeout_s = timeout_s
        self._on_leaving = on_leaving
        self._offset_s: float | None = None
        self._armed: Json | None = None
        self._told_leaving = False

    async def arm(self, role: GuardRole, epoch: int, orders: GuardOrders) -> None:
        """See Guard."""
        self._armed = {
            "unit": self._unit_id,
            "role": str(role),
            "epoch": epoch,
            "currentS": orders.current_mode_s,
            "referenceS": orders.reference_s,
            "windowV": None if orders.window_v is None else list(orders.window_v),
        }
        await self._arm()

    async def _arm(self) -> None:
        status, answer = await self._post("arm", self._armed or {}, self._timeout_s)
        if status != 200:
            raise DriverError(f"{self._base_url}: the driver does not take {self._unit_id}: {answer.get('err', answer)}")

    async def beat(self) -> bool:
        """See Guard."""
        if self._offset_s is None:
            return False
        try:
            status, answer = await self._post("beat", {"unit": self._unit_id, "at": self._clock.wall() + self._offset_s}, BEAT_TIMEOUT_S)
        except DriverError as error:
            _LOGGER.debug("%s: beat: %s", self._unit_id, error)
            return True
        leaving = answer.get("leaving") is True
        if leaving and not self._told_leaving:
            self._on_leaving(self._unit_id)
        self._told_leaving = leaving
        # Started anew, the driver answers for nobody.
        return status != 200 or answer.get("unit") == self._unit_id

    async def write(self, request: DeviceRequest, *, epoch: int, deadline_s: float, role: GuardRole | None) -> Json:
        """See Guard."""
        if self._offset_s is None:
            raise DriverError(f"{self._base_url}: the driver has not been armed")
        last_s = min(deadline_s, self._clock.wall() + 10 * self._timeout_s)
        body = {"unit": self._unit_id, "path": request.path, "epoch": epoch, "deadline": last_s + self._offset_s}
        status, answer = await self._post("write", body, self._timeout_s)
        if status == REFUSED:
            text = str(answer.get("err"))
            if "is not armed" in text and self._armed is not None:
                # The driver was started anew: it does not know its unit yet.
                await self._arm()
                raise DriverError(f"{request.path}: the driver had been started anew")
            raise CommandRefusedError(text)
        if status != 200:
            raise DriverError(f"{request.path}: status {status}: {answer.get('err', answer)}")
        if self._armed is not None:
            self._armed["epoch"] = max(epoch, self._armed["epoch"])
            if role is not None:
                self._armed["role"] = str(role)
        return answer

    async def report(self, unit_id: str) -> GuardReport | None:
        """See Guard."""
        if unit_id != self._unit_id:
            return None
        try:
            async with answer_to(self._session, "GET", f"{self._base_url}/api/v1/report", self._timeout_s) as response:
                if response.status != 200:
                    return None
                status = orjson.loads(await response.read())
            return GuardReport.from_json(status, float(status["now"]))
        except (TimeoutError, aiohttp.ClientError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            _LOGGER.debug("%s: report: %s", self._unit_id, error)
            return None

    async def close(self) -> None:
        """See Guard."""

    async def _post(self, what: str, body: Json, timeout_s: float) -> tuple[int, dict[str, Any]]:
        url = f"{self._base_url}/api/v1/{what}"
        try:
            async with answer_to(self._session, "POST", url, timeout_s, data=orjson.dumps(body)) as response:
                answer = orjson.loads(await response.read())
        except (TimeoutError, aiohttp.ClientError, orjson.JSONDecodeError) as error:
            raise DriverError(f"{url}: {str(error) or type(error).__name__}") from error
        if not isinstance(answer, dict):
            raise DriverError(f"{url}: found {str(answer)[:80]!r}, expected an object")
        if isinstance(answer.get("now"), float):
            # The answer was written before it came: its seconds are at least these now.
            self._offset_s = float(answer["now"]) - self._clock.wall()
        return response.status, answer
