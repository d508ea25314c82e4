"""Carrying device requests over HTTP, with a deadline and a limited number of tries for each."""

from typing import Any

import aiohttp
import orjson

from ..model.errors import CommandRefusedError, DriverError, UnknownAnswerError
from ..ports import DeviceRequest, Json
from ..web_request import answer_to


class HttpSender:
    """Sends device requests to one base URL; the session belongs to the caller."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, *, timeout_s: float, attempts: int) -> None:
        """`attempts` counts all tries of a read; each has `timeout_s` [wall s].

        A write (it expects a mode, or sets something) is tried once: whoever orders it looks again before each try.
        """
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._attempts = attempts

    async def __call__(self, request: DeviceRequest) -> Any:
        """The JSON answer.

        Raises:
            UnknownAnswerError: after the last try, if there was an answer to it.
            DriverError: if there was none.

        """
        reason = ""
        error_class: type[DriverError] = DriverError
        for _ in range(1 if "/set" in request.path else self._attempts):
            try:
                async with answer_to(self._session, request.method, self._base_url + request.path, self._timeout_s) as response:
                    body = await response.read()
                    if response.status == 200:
                        return orjson.loads(body)
                    reason, error_class = f"status {response.status}: {body[:120]!r}", UnknownAnswerError
                    if response.status < 500:
                        break
            except orjson.JSONDecodeError as error:
                reason, error_class = str(error), UnknownAnswerError
            except (TimeoutError, aiohttp.ClientError) as error:
                reason, error_class = str(error) or type(error).__name__, DriverError
        raise error_class(f"{self._base_url}{request.path}: {reason}, expected 200 and JSON")

    async def put(self, path: str, body: Json) -> None:
        """Send an object, once.

        Raises:
            CommandRefusedError: if it is not taken, with the reason.
            DriverError: if nobody answers.

        """
        url = self._base_url + path
        try:
            async with answer_to(self._session, "PUT", url, self._timeout_s, data=orjson.dumps(body)) as response:
                answer = await response.text()
        except (TimeoutError, aiohttp.ClientError) as error:
            raise DriverError(f"{url}: {str(error) or type(error).__name__}") from error
        if response.status >= 300:
            raise CommandRefusedError(f"{url}: status {response.status}: {answer[:200]}")
