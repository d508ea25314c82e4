"""What comes in from the other units: only messages of this cluster, of now, for the first time; the rest is counted."""

import asyncio
import contextlib
import logging
from typing import Any

from hypothesis import given, settings, strategies as st
import orjson
import pytest

from apis_core.clock import run_virtual
from apis_core.cluster.embedded import EmbeddedHub
from apis_core.cluster.port import LARGEST_BYTES, Envelope, Port
from apis_core.model.errors import ApisError, ClusterError, MessageError, NoAnswerError
from apis_core.model.modes import Command, CommandKind
from apis_core.model.safety_times import OLDEST_MESSAGE_S
from tests.builders import VirtualCommunity, in_virtual_time
from tests.test_failures import Line, all_in_wait
from tests.test_stories import steer

CHARGES = {"E001": 60.0, "E002": 80.0, "E003": 50.0}


def packed(**changes: Any) -> bytes:
    message = {"id": "1", "from": "E001", "subject": "ask", "sent": 100.0, "payload": {}} | changes
    return orjson.dumps({key: value for key, value in message.items() if value is not ...})


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "malformed"),
        (b"\xff\x00", "malformed"),
        (b"[" * 5000, "malformed"),
        (b"[]", "malformed"),
        (packed(payload=[]), "malformed"),
        (packed(payload=...), "malformed"),
        (packed(id=7), "malformed"),
        (packed(sent="now"), "malformed"),
        (packed(payload={"x": "x" * LARGEST_BYTES}), "oversized"),
        (packed(**{"from": "E009"}), "unknown sender"),
        (packed(sent=100.0 - OLDEST_MESSAGE_S - 0.1), "stale"),
        (packed(sent=1e12), "stale"),
    ],
)
def test_what_is_no_message_is_dropped_and_counted(data: bytes, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    port = Port("E002", lambda: 100.0)
    for count in (1, 2, 3):
        with pytest.raises(MessageError, match=kind):
            port.unpack(data, {"E001"})
        assert port.dropped == {kind: count}
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert f"E002 dropped a message ({kind}, number 2)" in caplog.messages[1]


def test_a_message_counts_once() -> None:
    port = Port("E002", lambda: 100.0)
    envelope = Envelope("1", "E001", "ask", 99.0, {"n": 1})
    assert port.unpack(envelope.pack(), {"E001"}) == envelope
    with pytest.raises(MessageError, match="repeated"):
        port.unpack(envelope.pack(), {"E001"})


@given(st.binary(max_size=300))
def test_noise_is_always_a_message_error(data: bytes) -> None:
    with pytest.raises(MessageError):
        Port("E002", lambda: 100.0).unpack(data, {"E001"})


def three_ends() -> tuple[EmbeddedHub, list[Any]]:
    hub = EmbeddedHub()
    ends = [hub.join(f"E00{i}") for i in (1, 2, 3)]

    async def answer(sender: str, message: dict[str, Any]) -> dict[str, Any]:
        heard.append((sender, message))
        return {"from": sender}

    heard: list[Any] = []
    for end in ends:
        end.handle("ask", answer)
    return hub, [*ends, heard]


def test_members_that_are_cut_off_reach_each_other_and_nobody_else() -> None:
    async def main() -> None:
        hub, (one, two, _, _) = three_ends()
        seen: list[str] = []

        async def watch() -> None:
            async for entry in two.store.watch(""):
                seen.append(entry.key)  # noqa: PERF401 - it never ends

        watching = asyncio.create_task(watch())
        hub.faults.cut("E002", "E003")
        assert (one.live(), two.live()) == ({"E001"}, {"E002", "E003"})
        assert await two.request("E003", "ask", {}, 1) == {"from": "E002"}
        with pytest.raises(ClusterError, match="no way from E001 to E002"):
            await one.request("E002", "ask", {}, 1)
        assert await one.scatter({"E001", "E002", "E003"}, "ask", {}, 1) == {"E001": {"from": "E001"}}
        await one.store.put("a", {})
        with pytest.raises(ClusterError, match="the store did not answer"):
            await two.store.get("a")
        assert seen == []
        hub.faults.heal()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (await two.store.get("a")).value == {}
        assert seen == ["a"]
        assert await one.request("E002", "ask", {}, 1) == {"from": "E001"}
        watching.cancel()

    run_virtual(main)


def test_slow_repeated_and_frozen() -> None:
    async def main() -> None:
        hub, (one, two, three, heard) = three_ends()
        hub.faults.duplicate("E002")
        assert await one.request("E002", "ask", {"n": 1}, 1) == {"from": "E001"}
        await asyncio.sleep(0.1)
        assert len(heard) == 1
        assert two.dropped == {"repeated": 1}
        hub.faults.delay("E002", 0.4)
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        await one.request("E002", "ask", {"n": 2}, 1)
        assert loop.time() - begun_s == pytest.approx(0.8)
        hub.faults.delay("E002", OLDEST_MESSAGE_S + 0.1)
        with pytest.raises(ClusterError, match="stale"):
            await one.request("E002", "ask", {"n": 3}, 10)
        hub.faults.heal()
        hub.faults.freeze("E003")
        with pytest.raises(NoAnswerError, match="within 1 s"):
            await one.request("E003", "ask", {"n": 4}, 1)
        answering = asyncio.create_task(three.request("E001", "ask", {"n": 5}, 1))
        await asyncio.sleep(90)
        assert not answering.done()
        hub.faults.heal()
        with pytest.raises(ClusterError):
            await answering
        # What came or went in the standstill is too old to be obeyed.
        assert [message["n"] for _, message in heard] == [1, 2]
        assert three.dropped == {"stale": 1}

    run_virtual(main)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
KNOWN_KEYS = ("epoch", "deal", "request", "negotiationId", "command", "params", "deadlineS", "contact", "targets", "renewalAgeS", "status")
payloads = st.dictionaries(st.sampled_from(KNOWN_KEYS) | st.text(max_size=10), json_values, max_size=6)


@settings(max_examples=25, deadline=None)
@given(st.lists(payloads, min_size=1, max_size=10))
def test_payloads_that_make_no_sense_change_nothing(noise: list[dict[str, Any]]) -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.settle(5)
        failed: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failed.append(context))
        subjects = sorted(c.hub.ends["E002"].subjects - {"error"})
        for subject in subjects:
            for payload in noise:
                with contextlib.suppress(ApisError):
                    await c.hub.ends["E001"].request("E002", subject, payload, 1)
        await c.settle(10)
        assert all_in_wait(c)
        assert c.community.board.deals() == ()
        assert c.community.snapshot_now().grid_master is not None
        assert not failed

    in_virtual_time(story, CHARGES)


def test_a_grid_master_that_a_member_has_left_behind_begins_anew_above_it() -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        await c.community.create_deal("E002", "E003", 50, who="test")
        await c.started(1)
        line = Line(c)
        await c.hub.ends["E001"].request("E002", "unit.epoch", {"epoch": 70}, 1)
        await c.no_deals()
        assert c.community.snapshot_now().epoch > 70
        assert (await c.community.deals())[0].is_completed
        assert line.longest_unheld_s == 0
        line.task.cancel()

    in_virtual_time(story, CHARGES)


def test_a_hostile_epoch_does_not_fence_the_grid_master_off() -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        message: dict[str, Any] = {}
        for subject in ("unit.epoch", "unit.contact"):
            message = {"epoch": 2**62, "renewalAgeS": 0, "acknowledgedAgeS": None, "targets": {}}
            with pytest.raises(ClusterError, match="epoch"):
                await c.hub.ends["E001"].request("E002", subject, message, 1)
        far = Command(CommandKind.CHARGE, 1, 1e9).to_json()
        with pytest.raises(ClusterError, match="deadline"):
            await c.hub.ends["E001"].request("E002", "unit.command", {**far, "contact": message}, 1)
        assert c.hub.ends["E002"].dropped["malformed"] == 3
        assert c.community.nodes["E002"].controller.highest_epoch < 10
        await c.community.create_deal("E002", "E003", 5, who="test")
        await c.no_deals()
        assert (await c.community.deals())[0].is_completed

    in_virtual_time(story, CHARGES)
