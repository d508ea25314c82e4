"""Who may use a node from another machine: a code, a token, and an end to it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC
import hashlib
import json
from pathlib import Path
import re

import aiohttp
from aiohttp.http import WS_KEY
from hypothesis import given, strategies as st
import pytest

from apis_core import app, daemon
from apis_core.emulator.settings import Settings as EmulatorSettings
from apis_core.model.errors import ApisError, ClusterError, CommandRefusedError, ConfigError, MessageError, NotPairedError
from apis_core.model.installation import Address
from apis_core.model.modes import OperationMode
from apis_core.model.unit_plan import UnitPlan
from apis_core.presets import hardware, policy_for, scenario
from apis_core.rules.pairing import LIFETIME_S, TRIES, offered, tried
from apis_core.server import client, endpoint
from apis_core.server.client import RemoteCommunity
from apis_core.server.pairing import Pairing
from apis_core.web import is_private
from tests.test_processes import a_port, apis, emulator, folders, running


@given(st.integers(0, 10**12), st.floats(0, LIFETIME_S - 1))
def test_a_code_has_six_digits_and_is_good_once(number: int, later_s: float) -> None:
    offer = offered(number, 100.0)
    assert re.fullmatch(r"\d{6}", offer.code)
    assert tried(offer, f" {offer.code} ", 100.0 + later_s) == (None, "")
    assert tried(None, offer.code, 100.0)[1]


def test_a_code_ends_after_five_minutes_and_after_three_tries() -> None:
    offer = offered(123456, 0.0)
    assert "too old" in tried(offer, "123456", 300.0)[1]
    left, sentences = offer, []
    for _ in range(TRIES):
        assert left is not None
        left, sentence = tried(left, "654321", 1.0)  # type: ignore[assignment]
        sentences.append(sentence)
    assert left is None
    assert [sentence.count("tries left") for sentence in sentences] == [1, 1, 0]


def test_pairs_are_kept_without_their_tokens_for_nobody_else_to_read(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "data/pairs.json"
    pairing = Pairing(path, lambda: now[0])
    token = pairing.trade(pairing.begin(), "Home Assistant")
    assert path.stat().st_mode & 0o777 == 0o600
    assert token not in path.read_text()
    assert pairing.who("\udcff") is None
    again = Pairing(path)
    (pair,) = again.listed()
    assert (pair["name"], again.who(token)) == ("Home Assistant", pair["id"])
    assert again.who(token + "x") is None
    with pytest.raises(CommandRefusedError, match="expected one of"):
        again.revoke("nobody")
    told: list[str] = []
    again.on_revoked.append(told.append)
    again.revoke("all")
    assert (again.who(token), again.listed(), told) == (None, [], [pair["id"]])
    code = pairing.begin()
    now[0] = 301.0
    with pytest.raises(CommandRefusedError, match="too old"):
        pairing.trade(code, "late")


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("192.168.1.9", True),
        ("10.1.2.3", True),
        ("fd00::1", True),
        ("fe80::1%eth0", True),
        ("::ffff:192.168.1.9", True),
        ("house.local", True),
        ("8.8.8.8", False),
        ("2001:4860:4860::8888", False),
        ("::ffff:8.8.8.8", False),
        ("example.org", False),
        (None, False),
    ],
)
def test_what_is_said_unencrypted_stays_on_private_networks(host: str | None, private: bool) -> None:
    assert is_private(host) is private


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[tuple[str, Pairing]]:
    async with app.open_emulator(EmulatorSettings(units=2, port=0)) as (_, port):
        address = Address("127.0.0.1", port)
        plans = [UnitPlan(unit_id, "dcdc_emulator", hardware(), scenario(), address, address) for unit_id in ("E001", "E002")]
        async with app.open_planned_community(plans, policy_for(2), UTC, "test", tmp_path) as local:
            pairing = Pairing(tmp_path / "pairs.json")
            runner = await endpoint.serve(local, "127.0.0.1", 0, pairing, "abcdef")
            yield f"http://127.0.0.1:{runner.addresses[0][1]}", pairing
            await runner.cleanup()


async def test_another_machine_pairs_uses_the_node_and_is_let_go(node: tuple[str, Pairing], monkeypatch: pytest.MonkeyPatch) -> None:
    url, pairing = node
    # From here on this very machine counts as another one of the private network.
    monkeypatch.setattr(endpoint, "is_loopback", lambda host: host == "localhost")
    async with aiohttp.ClientSession() as session:
        stranger = RemoteCommunity(session, url)
        found = await stranger.identity()
        assert (found["role"], found["id"], found["api"]) == ("node", "abcdef", "1")
        with pytest.raises(NotPairedError, match="pair with this node first"):
            await stranger.snapshot()
        with pytest.raises(NotPairedError):
            await anext(stranger.subscribe())
        for owners in (stranger.begin_pairing(), stranger.pairs(), stranger.unpair("all")):
            with pytest.raises(CommandRefusedError, match="own machine"):
                await owners
        with pytest.raises(CommandRefusedError, match="no code now"):
            await stranger.pair("000000", "thief")
        token = await stranger.pair(pairing.begin(), "Home Assistant")
        friend = RemoteCommunity(session, url, token)
        assert [unit.unit_id for unit in (await friend.snapshot()).units] == ["E001", "E002"]
        heard = asyncio.Event()

        async def listen() -> None:
            async for _ in friend.subscribe():
                heard.set()

        listening = asyncio.create_task(listen())
        while not heard.is_set():
            # A change is heard once it is listened to.
            await friend.set_mode(OperationMode.HETERONOMOUS, None, "test")
            await friend.set_mode(OperationMode.AUTONOMOUS, None, "test")
        pairing.revoke("all")
        async with asyncio.timeout(5):
            await listening
        with pytest.raises(NotPairedError):
            await friend.snapshot()
        # Pages of other origins and far networks get nothing, whatever they show.
        async with session.get(f"{url}/api/v1/identity", headers={"Origin": "http://evil.example"}) as response:
            assert response.status == 403
        monkeypatch.setattr(endpoint, "is_private", lambda _host: False)
        with pytest.raises(CommandRefusedError, match="without encryption"):
            await friend.identity()


async def test_nobody_from_elsewhere_uses_a_node_that_was_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with app.open_trial_community(tmp_path, UTC, 2) as local:
        runner = await endpoint.serve(local, "127.0.0.1", 0)
        monkeypatch.setattr(endpoint, "is_loopback", lambda host: host == "localhost")
        async with aiohttp.ClientSession() as session:
            community = RemoteCommunity(session, f"http://127.0.0.1:{runner.addresses[0][1]}")
            with pytest.raises(CommandRefusedError, match="own machine"):
                await community.snapshot()
        await runner.cleanup()


@pytest.mark.parametrize("text", ["4391", "host:", ":4391", "host:port", "host:99999"])
def test_an_address_to_listen_on_is_a_host_and_a_port(text: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        daemon.address(text)
    assert daemon.address("[fd00::1]:4391") == ("fd00::1", 4391)


@pytest.mark.alone
def test_the_owner_says_a_code_and_takes_a_pair_back_on_the_command_line(tmp_path: Path) -> None:
    async def trade(url: str, code: str) -> str:
        async with aiohttp.ClientSession() as session:
            return await RemoteCommunity(session, url).pair(code, "Home Assistant")

    async def look(url: str, token: str) -> int:
        async with aiohttp.ClientSession() as session:
            return len((await RemoteCommunity(session, url, token).snapshot()).units)

    with emulator(1) as device_port:
        (folder,) = folders(tmp_path, device_port, ("E001",))
        port = a_port()
        url = f"http://127.0.0.1:{port}"
        arguments = ("node", "--config", str(folder), "--data-dir", str(tmp_path / "data"), "--api", f"127.0.0.1:{port}")
        with running(*arguments, until="endpoint"):
            said = apis("pair", "--url", url).stdout
            code = "".join(re.findall(r"\b\d{3}\b", said)[:2])
            token = asyncio.run(trade(url, code))
            assert asyncio.run(look(url, token)) == 1
            (pair_id,) = json.loads((tmp_path / "data/pairs.json").read_text())
            assert f"{pair_id} Home Assistant" in apis("unpair", "--url", url).stdout
            assert apis("unpair", pair_id, "--url", url).stdout.strip() == ""
            with pytest.raises(NotPairedError):
                asyncio.run(look(url, token))
        with pytest.raises(ClusterError):
            asyncio.run(look(url, token))


@pytest.mark.parametrize(("frame", "expected"), [(b"", ClusterError), (b"\x81\x02{]", MessageError)])
async def test_who_listens_hears_of_a_node_that_is_gone_without_a_word(
    monkeypatch: pytest.MonkeyPatch, frame: bytes, expected: type[ApisError]
) -> None:
    """A machine that lost its power closes no connection: it answers no heartbeat."""
    monkeypatch.setattr(client, "HEARTBEAT_S", 0.1)
    gone = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        (key,) = re.findall(rb"(?i)sec-websocket-key: (\S+)", asked)
        accepted = base64.b64encode(hashlib.sha1(key + WS_KEY, usedforsecurity=False).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        writer.write(head + accepted + b"\r\n\r\n" + frame)
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session:
        node = RemoteCommunity(session, f"http://127.0.0.1:{port}")
        with pytest.raises(expected):
            _ = [event async for event in node.subscribe()]
    gone.set()
    server.close()
    await server.wait_closed()
