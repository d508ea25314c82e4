"""A community over HTTP and WebSocket on this machine: what the command line needs.

    GET  /api/v1/snapshot            GET  /api/v1/deals?from=&to=&unit=
    POST /api/v1/deals               POST /api/v1/deals/{id}/stop
    PUT  /api/v1/mode                WS   /api/v1/events
    PUT  /api/v1/units/{id}/mode     PUT  /api/v1/units/{id}/scenario     POST /api/v1/units/{id}/command

It listens on loopback and takes no request that a web page of another origin sent; beyond it, only from whoever was paired.
"""

import asyncio
from collections.abc import Awaitable, Callable
import contextlib
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware
import orjson
import probatio

from ..community import Community
from ..model.errors import ApisError, CommandRefusedError, ConfigError, MessageError
from ..model.hardware import Hardware
from ..model.keys import number, whole
from ..model.modes import Command, OperationMode
from ..model.policy import Policy
from ..model.rule_change import RuleChange
from ..model.scenario import Scenario
from ..model.times import parse_time
from ..model.unit_plan import UnitPlan
from ..model.version import VERSION
from ..ports import Json
from ..rules.pairing import LIFETIME_S
from ..web import API, is_loopback, is_private, port_of
from .pairing import Pairing

COMMUNITY = web.AppKey("community", Community)
IDENTITY = web.AppKey("identity", str)
SOCKETS = web.AppKey("sockets", dict[str, set[asyncio.Task[None]]])
PAIR = web.RequestKey("pair", str)
PREFIX = "/api/v1"
OWNER, TRADE = f"{PREFIX}/pairs", f"{PREFIX}/pair"
# Who asks for these needs no token: who this is, and how to get one.
OPEN = (f"{PREFIX}/identity", TRADE)
HEARTBEAT_S = 20.0
WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - a comparison


def application(community: Community, pairing: Pairing | None = None, identity: str = "") -> web.Application:
    """The HTTP application of a community. `pairing`: who may use it from other machines; nobody without it."""
    app = web.Application(middlewares=[_guard(pairing), _errors])
    app[COMMUNITY] = community
    app[IDENTITY] = identity
    if pairing is not None:
        _add_pairing(app, pairing)
    app.router.add_routes(
        [
            web.get(f"{PREFIX}/identity", _identity),
            web.get(f"{PREFIX}/snapshot", _snapshot),
            web.get(f"{PREFIX}/deals", _deals),
            web.post(f"{PREFIX}/deals", _create_deal),
            web.post(f"{PREFIX}/deals/{{deal_id}}/stop", _stop_deal),
            web.put(f"{PREFIX}/mode", _set_mode),
            web.put(f"{PREFIX}/units/{{unit_id}}/mode", _set_mode),
            web.get(f"{PREFIX}/units/{{unit_id}}/scenario", _scenario),
            web.put(f"{PREFIX}/units/{{unit_id}}/scenario", _set_scenario),
            web.get(f"{PREFIX}/units/{{unit_id}}/scenario/versions", _scenario_versions),
            web.put(f"{PREFIX}/units/{{unit_id}}/preset", _set_preset),
            web.put(f"{PREFIX}/units/{{unit_id}}/edges", _move_edges),
            web.post(f"{PREFIX}/units/{{unit_id}}/preview", _preview),
            web.get(f"{PREFIX}/units/{{unit_id}}/statement", _statement),
            web.post(f"{PREFIX}/units/{{unit_id}}/command", _command),
            web.put(f"{PREFIX}/units/{{unit_id}}/fault", _inject_fault),
            web.put(f"{PREFIX}/units/{{unit_id}}/scenario/rule", _update_rule),
            web.post(f"{PREFIX}/units/{{unit_id}}/isolated", _isolated),
            web.post(f"{PREFIX}/units/{{unit_id}}/membership", _join),
            web.delete(f"{PREFIX}/units/{{unit_id}}/membership", _leave),
            web.post(f"{PREFIX}/units", _add_unit),
            web.put(f"{PREFIX}/units/{{unit_id}}", _update_unit),
            web.delete(f"{PREFIX}/units/{{unit_id}}", _remove_unit),
            web.post(f"{PREFIX}/limits", _check_limits),
            web.get(f"{PREFIX}/presets", _presets),
            web.post(f"{PREFIX}/resume", _resume),
            web.post(f"{PREFIX}/stop", _stop_all),
            web.get(f"{PREFIX}/diagnostics", _diagnostics),
            web.get(f"{PREFIX}/policy", _policy),
            web.put(f"{PREFIX}/policy", _propose),
            web.get(f"{PREFIX}/events", _events),
        ]
    )
    return app


async def serve(community: Community, host: str, port: int, pairing: Pairing | None = None, identity: str = "") -> web.AppRunner:
    """Serve until the runner is cleaned up. Raises OSError if the address is taken."""
    runner = web.AppRunner(application(community, pairing, identity), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    if not is_loopback(host) and host not in WILDCARDS:
        # Its owner asks from the node's own machine.
        await web.TCPSite(runner, "127.0.0.1", port_of(runner)).start()
    return runner


type _Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _is_ours(request: web.Request) -> bool:
    origin = request.headers.get("Origin")
    try:
        named = [urlsplit(f"//{request.host}").hostname, *([urlsplit(origin).hostname] if origin else [])]
    except ValueError:
        return False
    return all(is_loopback(name) for name in named)


def _guard(pairing: Pairing | None) -> Middleware:
    """Refuse what a page of another origin, or a name that was pointed here, makes a browser send; and whoever is not paired."""

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if is_loopback(request.remote) and "Authorization" not in request.headers:
            if not _is_ours(request):
                return _json({"error": "this endpoint answers to this machine only"}, 403)
            return await handler(request)
        if pairing is None or request.path.startswith(OWNER) or "Origin" in request.headers:
            return _json({"error": "this is for the node's own machine"}, 403)
        if not is_private(request.remote):
            return _json({"error": "from beyond private networks nobody is answered without encryption"}, 403)
        if request.path not in OPEN:
            pair_id = pairing.who(request.headers.get("Authorization", "").removeprefix("Bearer "))
            if pair_id is None:
                return _json({"error": "pair with this node first: `apis pair` there says a code"}, 401)
            request[PAIR] = pair_id
        return await handler(request)

    return guard


def _add_pairing(app: web.Application, pairing: Pairing) -> None:
    """What the owner says on the node's machine, and what a code is traded for."""

    async def begin(_request: web.Request) -> web.Response:
        return _json({"code": pairing.begin(), "lifetimeS": LIFETIME_S})

    async def listed(_request: web.Request) -> web.Response:
        return _json(pairing.listed())

    async def revoke(request: web.Request) -> web.Response:
        await asyncio.to_thread(pairing.revoke, request.match_info["pair_id"])
        return _json({})

    async def trade(request: web.Request) -> web.Response:
        data = await _body(request)
        return _json({"token": pairing.trade(str(data.get("code")), str(data.get("name", "")))})

    app.router.add_routes(
        [
            web.post(OWNER, begin),
            web.get(OWNER, listed),
            web.delete(f"{OWNER}/{{pair_id}}", revoke),
            web.post(TRADE, trade),
        ]
    )
    pairing.on_revoked.append(lambda pair_id: _hang_up(app, pair_id))
    app[SOCKETS] = {}


def _hang_up(app: web.Application, pair_id: str) -> None:
    """Whoever is not paired any more hears nothing more."""
    for sending in app[SOCKETS].pop(pair_id, set()):
        sending.get_loop().call_soon_threadsafe(sending.cancel)


async def _identity(request: web.Request) -> web.Response:
    return _json({"role": "node", "id": request.app[IDENTITY], "api": API, "version": VERSION})


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except CommandRefusedError as error:
        return _json({"error": str(error)}, 409)
    except probatio.Invalid as error:
        return _json({"error": f"expected {error.msg}"}, 400)
    except (ConfigError, MessageError, ValueError, KeyError, TypeError) as error:
        return _json({"error": str(error)}, 400)
    except ApisError as error:
        return _json({"error": str(error)}, 503)


def _json(data: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


async def _body(request: web.Request) -> Json:
    try:
        data = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise MessageError(f"body: {error}, expected a JSON object") from error
    if not isinstance(data, dict):
        raise MessageError(f"body: found {type(data).__name__}, expected a JSON object")
    return data


async def _snapshot(request: web.Request) -> web.Response:
    return _json((await request.app[COMMUNITY].snapshot()).to_json())


async def _deals(request: web.Request) -> web.Response:
    query = request.query
    start, end = (parse_time(query[key], UTC) if query.get(key) else None for key in ("from", "to"))
    deals = await request.app[COMMUNITY].deals(start, end, query.get("unit"))
    return _json([deal.to_json() for deal in deals])


async def _create_deal(request: web.Request) -> web.Response:
    data = await _body(request)
    deal = await request.app[COMMUNITY].create_deal(
        str(data["from"]),
        str(data["to"]),
        whole(at_least=1)(data["energyWh"]),
        who=str(data.get("who", "operator")),
        requester=data.get("requester"),
        current_a=None if data.get("currentA") is None else number(above=0)(data["currentA"]),
        point_per_wh=None if data.get("pointPerWh") is None else number(at_least=0)(data["pointPerWh"]),
        faults=tuple(str(fault) for fault in data.get("faults", ())),
    )
    return _json(deal.to_json(), 201)


async def _stop_deal(request: web.Request) -> web.Response:
    data = await _body(request)
    await request.app[COMMUNITY].stop_deal(request.match_info["deal_id"], str(data.get("who", "operator")))
    return _json({})


async def _set_mode(request: web.Request) -> web.Response:
    data = await _body(request)
    text = data.get("mode")
    if text is not None and text not in list(OperationMode):
        raise MessageError(f"mode: found {text!r}, expected one of {', '.join(OperationMode)}")
    mode = None if text is None else OperationMode(text)
    await request.app[COMMUNITY].set_mode(mode, request.match_info.get("unit_id"), str(data.get("who", "operator")))
    return _json({})


async def _scenario(request: web.Request) -> web.Response:
    return _json((await request.app[COMMUNITY].scenario(request.match_info["unit_id"])).to_json())


async def _scenario_versions(request: web.Request) -> web.Response:
    return _json(await request.app[COMMUNITY].scenario_versions(request.match_info["unit_id"]))


async def _set_preset(request: web.Request) -> web.Response:
    data = await _body(request)
    await request.app[COMMUNITY].set_preset(request.match_info["unit_id"], str(data.get("preset")), str(data.get("who", "operator")))
    return _json({})


async def _move_edges(request: web.Request) -> web.Response:
    data = await _body(request)
    pct = number(at_least=0, at_most=100)
    edges = {key: None if data.get(name) is None else pct(data[name]) for key, name in _EDGES.items()}
    await request.app[COMMUNITY].move_edges(request.match_info["unit_id"], **edges, who=str(data.get("who", "operator")))
    return _json({})


_EDGES = {"request_below_pct": "requestBelowPct", "offer_above_pct": "offerAbovePct"}


async def _preview(request: web.Request) -> web.Response:
    data = await _body(request)
    scenario = Scenario.from_json(data["scenario"])[0] if data.get("scenario") is not None else None
    return _json(await request.app[COMMUNITY].preview_scenario(request.match_info["unit_id"], scenario))


async def _statement(request: web.Request) -> web.Response:
    start, end = (parse_time(request.query[key], UTC) if request.query.get(key) else None for key in ("from", "to"))
    return _json(await request.app[COMMUNITY].statement(request.match_info["unit_id"], start, end))


async def _set_scenario(request: web.Request) -> web.Response:
    data = await _body(request)
    scenario, _ = Scenario.from_json(data.get("scenario", {}))
    await request.app[COMMUNITY].set_scenario(request.match_info["unit_id"], scenario, str(data.get("who", "operator")))
    return _json({})


async def _command(request: web.Request) -> web.Response:
    data = await _body(request)
    wish = {"command": data.get("command"), "params": data.get("params", {}), "epoch": 0, "deadlineS": 0.0, "reason": "by hand"}
    duration_s = None if data.get("durationS") is None else number(above=0)(data["durationS"])
    await request.app[COMMUNITY].control_converter(request.match_info["unit_id"], Command.from_json(wish), duration_s)
    return _json({})


async def _inject_fault(request: web.Request) -> web.Response:
    data = await _body(request)
    duration_s = None if data.get("durationS") is None else number(above=0)(data["durationS"])
    fault, who = dict(data.get("fault", {})), str(data.get("who", "operator"))
    await request.app[COMMUNITY].inject_fault(request.match_info["unit_id"], fault, duration_s, who)
    return _json({})


async def _update_rule(request: web.Request) -> web.Response:
    data = await _body(request)
    change = RuleChange.from_json(data.get("rule", {}))
    await request.app[COMMUNITY].update_scenario_rule(request.match_info["unit_id"], change, str(data.get("who", "operator")))
    return _json({})


async def _isolated(request: web.Request) -> web.Response:
    data = await _body(request)
    await request.app[COMMUNITY].declare_isolated(request.match_info["unit_id"], str(data.get("who", "operator")))
    return _json({})


async def _join(request: web.Request) -> web.Response:
    data = await _body(request)
    await request.app[COMMUNITY].join(request.match_info["unit_id"], str(data.get("who", "operator")))
    return _json({})


async def _leave(request: web.Request) -> web.Response:
    data = await _body(request)
    await request.app[COMMUNITY].leave(request.match_info["unit_id"], str(data.get("who", "operator")))
    return _json({})


async def _add_unit(request: web.Request) -> web.Response:
    data = await _body(request)
    await request.app[COMMUNITY].add_unit(UnitPlan.from_json(data.get("unit", {})), str(data.get("who", "operator")))
    return _json({}, 201)


async def _update_unit(request: web.Request) -> web.Response:
    data = await _body(request)
    plan = UnitPlan.from_json({**data.get("unit", {}), "unitId": request.match_info["unit_id"]})
    await request.app[COMMUNITY].update_unit(plan, str(data.get("who", "operator")))
    return _json({})


async def _remove_unit(request: web.Request) -> web.Response:
    data = await _body(request)
    await request.app[COMMUNITY].remove_unit(request.match_info["unit_id"], str(data.get("who", "operator")))
    return _json({})


async def _check_limits(request: web.Request) -> web.Response:
    hardware, _ = Hardware.from_json((await _body(request)).get("hardware", {}))
    return _json(await request.app[COMMUNITY].check_limits(hardware))


async def _presets(request: web.Request) -> web.Response:
    return _json(await request.app[COMMUNITY].presets())


async def _resume(request: web.Request) -> web.Response:
    data = await _body(request)
    await request.app[COMMUNITY].resume(str(data.get("who", "operator")))
    return _json({})


async def _stop_all(request: web.Request) -> web.Response:
    data = await _body(request)
    return _json(await request.app[COMMUNITY].stop_all(str(data.get("who", "operator"))))


async def _diagnostics(request: web.Request) -> web.Response:
    return _json(await request.app[COMMUNITY].diagnostics())


async def _policy(request: web.Request) -> web.Response:
    return _json((await request.app[COMMUNITY].policy()).to_json())


async def _propose(request: web.Request) -> web.Response:
    data = await _body(request)
    policy, _ = Policy.from_json(data.get("policy", {}))
    await request.app[COMMUNITY].propose(policy, str(data.get("who", "operator")))
    return _json({})


async def _events(request: web.Request) -> web.StreamResponse:
    text = request.query.get("after")
    after = None if text is None else int(text)
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
    await socket.prepare(request)
    sending = asyncio.create_task(_send_events(socket, request.app[COMMUNITY], after))
    sockets = request.app[SOCKETS].setdefault(request[PAIR], set()) if PAIR in request else set()
    sockets.add(sending)
    try:
        # Whoever hangs up is answered at once, not when the next event comes.
        await _until_either_ends(socket, sending)
    finally:
        sockets.discard(sending)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return socket


async def _until_either_ends(socket: web.WebSocketResponse, sending: asyncio.Task[None]) -> None:
    listening = asyncio.create_task(_listen(socket))
    try:
        await asyncio.wait({listening, sending}, return_when=asyncio.FIRST_COMPLETED)
        await socket.close()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


async def _send_events(socket: web.WebSocketResponse, community: Community, after: int | None) -> None:
    async with contextlib.aclosing(community.subscribe(after)) as events:  # type: ignore[type-var]
        async for event in events:
            try:
                await socket.send_bytes(orjson.dumps(event.to_json()))
            except ConnectionError:
                return
