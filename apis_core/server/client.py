"""A community in another process, through its endpoint."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Self

import aiohttp
import orjson

from ..model.deal import Deal
from ..model.errors import ClusterError, CommandRefusedError, MessageError, NotPairedError
from ..model.hardware import Hardware
from ..model.modes import Command, OperationMode
from ..model.policy import Policy
from ..model.rule_change import RuleChange
from ..model.scenario import Scenario
from ..model.times import format_time
from ..model.unit_plan import UnitPlan
from ..model.view import Event, Snapshot
from ..ports import Json
from ..web_request import answer_to
from .endpoint import HEARTBEAT_S, PREFIX

TIMEOUT_S = 30.0


class RemoteCommunity:
    """See Community."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str | None = None) -> None:
        """The session belongs to the caller, unless `connect` made it. `token`: from pairing with a node on another machine."""
        self._session = session
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._base = url.rstrip("/")
        self._owned = False

    @classmethod
    def connect(cls, url: str) -> Self:
        """With a session of its own."""
        community = cls(aiohttp.ClientSession(), url)
        community._owned = True
        return community

    async def snapshot(self) -> Snapshot:
        """See Community."""
        return Snapshot.from_json(await self._ask("GET", "/snapshot"))

    async def subscribe(self, after: int | None = None) -> AsyncIterator[Event]:
        """See Community."""
        url = f"{self._base}{PREFIX}/events" + ("" if after is None else f"?after={after}")
        try:
            async with self._session.ws_connect(url, heartbeat=HEARTBEAT_S, headers=self._headers) as socket:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.ERROR:
                        # Nothing has come for a heartbeat: the other machine or the network is gone without a word.
                        raise ClusterError(f"{self._base}: {message.data or 'it fell silent'}")
                    yield Event.from_json(orjson.loads(message.data))
        except aiohttp.WSServerHandshakeError as error:
            raise NotPairedError(f"{self._base}: pair with this node first") if error.status == 401 else ClusterError(str(error)) from error
        except aiohttp.ClientError as error:
            raise ClusterError(f"{self._base}: {error}") from error
        except orjson.JSONDecodeError as error:
            raise MessageError(f"{url}: {error}, expected JSON") from error

    async def identity(self) -> Json:
        """Who answers there: `role`, `id`, `api`, `version`; anybody may ask."""
        found: Json = await self._ask("GET", "/identity")
        return found

    async def pair(self, code: str, name: str) -> str:
        """A token for the code that `apis pair` said. Raises CommandRefusedError."""
        return str((await self._ask("POST", "/pair", {"code": code, "name": name}))["token"])

    async def begin_pairing(self) -> str:
        """A code for one more; on the node's own machine only."""
        return str((await self._ask("POST", "/pairs"))["code"])

    async def pairs(self) -> list[Json]:
        """Everybody who is paired; on the node's own machine only."""
        return list(await self._ask("GET", "/pairs"))

    async def unpair(self, pair_id: str) -> None:
        """Take a pair back, or `all`; on the node's own machine only. Raises CommandRefusedError."""
        await self._ask("DELETE", f"/pairs/{pair_id}")

    async def deals(self, start: datetime | None = None, end: datetime | None = None, unit_id: str | None = None) -> tuple[Deal, ...]:
        """See Community."""
        query = {"from": start and format_time(start, None), "to": end and format_time(end, None), "unit": unit_id}
        records = await self._ask("GET", "/deals", params={key: value for key, value in query.items() if value})
        return tuple(Deal.from_json(record) for record in records)

    async def set_mode(self, mode: OperationMode | None, unit_id: str | None, who: str) -> None:
        """See Community."""
        path = "/mode" if unit_id is None else f"/units/{unit_id}/mode"
        await self._ask("PUT", path, {"mode": mode, "who": who})

    async def stop_all(self, who: str) -> dict[str, str]:
        """See Community."""
        return dict(await self._ask("POST", "/stop", {"who": who}))

    async def set_scenario(self, unit_id: str, scenario: Scenario, who: str) -> None:
        """See Community."""
        await self._ask("PUT", f"/units/{unit_id}/scenario", {"scenario": scenario.to_json(), "who": who})

    async def create_deal(
        self,
        giver: str,
        taker: str,
        amount_wh: int,
        *,
        who: str,
        requester: str | None = None,
        current_a: float | None = None,
        point_per_wh: float | None = None,
        faults: tuple[str, ...] = (),
    ) -> Deal:
        """See Community."""
        wish = {
            "from": giver,
            "to": taker,
            "energyWh": amount_wh,
            "who": who,
            "requester": requester,
            "currentA": current_a,
            "pointPerWh": point_per_wh,
            "faults": list(faults),
        }
        return Deal.from_json(await self._ask("POST", "/deals", wish))

    async def stop_deal(self, deal_id: str, who: str) -> None:
        """See Community."""
        await self._ask("POST", f"/deals/{deal_id}/stop", {"who": who})

    async def control_converter(self, unit_id: str, command: Command, duration_s: float | None = None) -> None:
        """See Community."""
        await self._ask("POST", f"/units/{unit_id}/command", {**command.to_json(), "durationS": duration_s})

    async def inject_fault(self, unit_id: str, fault: Json, duration_s: float | None, who: str) -> None:
        """See Community."""
        await self._ask("PUT", f"/units/{unit_id}/fault", {"fault": fault, "durationS": duration_s, "who": who})

    async def update_scenario_rule(self, unit_id: str, change: RuleChange, who: str) -> None:
        """See Community."""
        await self._ask("PUT", f"/units/{unit_id}/scenario/rule", {"rule": change.to_json(), "who": who})

    async def declare_isolated(self, unit_id: str, who: str) -> None:
        """See Community."""
        await self._ask("POST", f"/units/{unit_id}/isolated", {"who": who})

    async def join(self, unit_id: str, who: str) -> None:
        """See Community."""
        await self._ask("POST", f"/units/{unit_id}/membership", {"who": who})

    async def leave(self, unit_id: str, who: str) -> None:
        """See Community."""
        await self._ask("DELETE", f"/units/{unit_id}/membership", {"who": who})

    async def scenario(self, unit_id: str) -> Scenario:
        """See Community."""
        return Scenario.from_json(await self._ask("GET", f"/units/{unit_id}/scenario"))[0]

    async def scenario_versions(self, unit_id: str) -> tuple[Json, ...]:
        """See Community."""
        return tuple(await self._ask("GET", f"/units/{unit_id}/scenario/versions"))

    async def set_preset(self, unit_id: str, preset: str, who: str) -> None:
        """See Community."""
        await self._ask("PUT", f"/units/{unit_id}/preset", {"preset": preset, "who": who})

    async def move_edges(self, unit_id: str, *, request_below_pct: float | None, offer_above_pct: float | None, who: str) -> None:
        """See Community."""
        body = {"requestBelowPct": request_below_pct, "offerAbovePct": offer_above_pct, "who": who}
        await self._ask("PUT", f"/units/{unit_id}/edges", body)

    async def preview_scenario(self, unit_id: str, scenario: Scenario | None = None) -> Json:
        """See Community."""
        body: Json = {"scenario": None if scenario is None else scenario.to_json()}
        found: Json = await self._ask("POST", f"/units/{unit_id}/preview", body)
        return found

    async def statement(self, unit_id: str, start: datetime | None = None, end: datetime | None = None) -> tuple[Json, ...]:
        """See Community."""
        query = {"from": start and format_time(start, None), "to": end and format_time(end, None)}
        params = {key: value for key, value in query.items() if value}
        return tuple(await self._ask("GET", f"/units/{unit_id}/statement", params=params))

    async def presets(self) -> tuple[str, ...]:
        """See Community."""
        return tuple(await self._ask("GET", "/presets"))

    async def resume(self, who: str) -> None:
        """See Community."""
        await self._ask("POST", "/resume", {"who": who})

    async def diagnostics(self) -> Json:
        """See Community."""
        found: Json = await self._ask("GET", "/diagnostics")
        return found

    async def add_unit(self, plan: UnitPlan, who: str) -> None:
        """See Community."""
        await self._ask("POST", "/units", {"unit": plan.to_json(), "who": who})

    async def update_unit(self, plan: UnitPlan, who: str) -> None:
        """See Community."""
        await self._ask("PUT", f"/units/{plan.unit_id}", {"unit": plan.to_json(), "who": who})

    async def remove_unit(self, unit_id: str, who: str) -> None:
        """See Community."""
        await self._ask("DELETE", f"/units/{unit_id}", {"who": who})

    async def check_limits(self, hardware: Hardware) -> tuple[str, ...]:
        """See Community."""
        return tuple(await self._ask("POST", "/limits", {"hardware": hardware.to_json()}))

    async def checkpoint(self, *, hold: bool = False) -> None:
        """See Community: a daemon's files are its own."""

    async def policy(self) -> Policy:
        """See Community."""
        return Policy.from_json(await self._ask("GET", "/policy"))[0]

    async def propose(self, policy: Policy, who: str) -> None:
        """See Community."""
        await self._ask("PUT", "/policy", {"policy": policy.to_json(), "who": who})

    async def close(self) -> None:
        """See Community."""
        if self._owned:
            await self._session.close()

    async def _ask(self, method: str, path: str, body: Json | None = None, params: dict[str, str] | None = None) -> Any:
        data = None if body is None else orjson.dumps(body)
        try:
            url, headers = f"{self._base}{PREFIX}{path}", self._headers
            async with answer_to(self._session, method, url, TIMEOUT_S, data=data, params=params, headers=headers) as response:
                answer = orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterError(f"{self._base}: {str(error) or type(error).__name__}; is a node running there?") from error
        except orjson.JSONDecodeError as error:
            raise MessageError(f"{self._base}{path}: {error}, expected JSON") from error
        if response.status < 300:
            return answer
        reason = str(answer.get("error", response.status)) if isinstance(answer, dict) else str(response.status)
        raise NotPairedError(f"{self._base}: {reason}") if response.status == 401 else CommandRefusedError(reason)
