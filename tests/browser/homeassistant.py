"""A real Home Assistant of its own folder: started, given a first user, and asked over its interfaces."""

import asyncio
from collections.abc import AsyncIterator
import contextlib
import itertools
import json
import os
from pathlib import Path
import signal
import subprocess
import time
from typing import Any

import aiohttp

from tests.test_processes import ROOT, a_port

USER, PASSWORD = "resident", "a-house-at-the-sea"
START_S = 60.0


class HomeAssistant:
    """A running Home Assistant and a session as its first user."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path, session: aiohttp.ClientSession) -> None:
        self.process, self.folder, self.url, self.session = process, folder, f"http://127.0.0.1:{port}", session
        self.tokens: dict[str, Any] = {}
        self._numbers = itertools.count(1)
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "hass.out").read_text()

    async def post(self, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"} if self.tokens else {}
        async with self.session.post(self.url + path, json=body, headers=headers) as response:
            answer = await response.text()
            assert response.status < 400, f"{path}: {response.status} {answer}"
            return json.loads(answer)

    async def onboard(self) -> None:
        """Make the first user, and log in as them."""
        client = {"client_id": f"{self.url}/"}
        made = await self.post(
            "/api/onboarding/users", {**client, "name": "Resident", "username": USER, "password": PASSWORD, "language": "en"}
        )
        data = {"grant_type": "authorization_code", "code": made["auth_code"], **client}
        async with self.session.post(f"{self.url}/auth/token", data=data) as response:
            self.tokens = await response.json()
        for step, body in (
            ("core_config", {}),
            ("analytics", {}),
            ("integration", {**client, "redirect_uri": f"{self.url}/?auth_callback=1"}),
        ):
            await self.post(f"/api/onboarding/{step}", body)
        (self.folder / "tokens.json").write_text(json.dumps(self.tokens))

    async def log_in(self) -> None:
        """Come back as the first user."""
        client = f"{self.url}/"
        flow = await self.post("/auth/login_flow", {"client_id": client, "handler": ["homeassistant", None], "redirect_uri": client})
        answer = {"client_id": client, "username": USER, "password": PASSWORD}
        code = (await self.post(f"/auth/login_flow/{flow['flow_id']}", answer))["result"]
        data = {"grant_type": "authorization_code", "code": code, "client_id": client}
        async with self.session.post(f"{self.url}/auth/token", data=data) as response:
            self.tokens = await response.json()

    async def ask(self, kind: str, **more: Any) -> Any:
        """A websocket command and its result."""
        if self._socket is None:
            self._socket = await self.session.ws_connect(f"{self.url}/api/websocket", max_msg_size=0)
            await self._socket.receive_json()
            await self._socket.send_json({"type": "auth", "access_token": self.tokens["access_token"]})
            assert (await self._socket.receive_json())["type"] == "auth_ok"
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "type": kind, **more})
        while (answer := await self._socket.receive_json()).get("id") != number or answer["type"] != "result":
            pass
        assert answer["success"], answer
        return answer["result"]

    async def hang_up(self) -> None:
        """End the websocket, if there is one; the next question opens another."""
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    async def act(self, action: str, *, answer: bool = False, target: str = "", **data: Any) -> Any:
        """An action, and its answer."""
        domain, _, name = action.partition(".")
        more: dict[str, Any] = {"target": {"entity_id": target}} if target else {}
        result = await self.ask("call_service", domain=domain, service=name, service_data=data, return_response=answer, **more)
        return result.get("response")

    async def states(self) -> dict[str, dict[str, Any]]:
        """Every entity's state, by its id."""
        return {state["entity_id"]: state for state in await self.ask("get_states")}

    async def flow(self, *steps: dict[str, Any]) -> dict[str, Any]:
        """A set-up of the integration with these answers."""
        found: dict[str, Any] = await self.post("/api/config/config_entries/flow", {"handler": "apis"})
        for step in steps:
            found = await self.post(f"/api/config/config_entries/flow/{found['flow_id']}", step)
        return found

    async def entries(self) -> list[dict[str, Any]]:
        """The integration's entries."""
        found: list[dict[str, Any]] = await self.ask("config_entries/get", domain="apis")
        return found


@contextlib.asynccontextmanager
async def home_assistant(folder: Path, *, known: bool = False, **environment: str) -> AsyncIterator[HomeAssistant]:
    """A Home Assistant with the integration, its first user made, or `known` from an earlier run of the same folder.

    `environment`: what the start script reads of it.
    """
    stored = folder / "config/.storage/http"
    port = json.loads(stored.read_text())["data"]["stable"]["server_port"] if known else a_port()
    with (folder / "hass.out").open("wb") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for below
            [str(ROOT / "scripts/home-assistant"), str(port), str(folder / "config")], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        )  # fmt: skip
    try:
        async with aiohttp.ClientSession() as session:
            home = HomeAssistant(process, port, folder, session)
            end_s = time.monotonic() + START_S
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{home.url}/api/onboarding") as response:
                        # Once there is a first user, nothing is told of onboarding any more.
                        if response.status == 200 or (known and response.status < 500):
                            break
                assert process.poll() is None, home.log
                assert time.monotonic() < end_s, home.log
                await asyncio.sleep(0.3)
            await (home.log_in() if known else home.onboard())
            try:
                yield home
            finally:
                await home.hang_up()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            await asyncio.to_thread(process.wait, 40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait)
