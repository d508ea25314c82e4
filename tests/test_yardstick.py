"""The original's own runs are the yardstick: given the same units and deals, our nodes tell each converter the same.

Differences on purpose (none of them changes a command of N1, N3, N5 or N6):

| what | original | ours | why |
|---|---|---|---|
| global `stop` with running deals (N3 after 39.1 s) | scram, reset of all units | every deal is ended in order | a stop by a person is no emergency |
| step-down of the old reference in a hand-over (N1) | polled three times, the miss is a warning | not polled | while two converters hold the line its meter tells nothing |
| current 0.29999995 A (N1) | float32 remainder | 0.3 A | currents are decimal |
| start of a deal, times in records | found at the next 5 s loop | at the predicted moment | no fixed waiting |
| `cumulateAmountWh` | rectangles over 5 s loops, float32, begins at the start | trapezoid between readings, begins with the flow | energy is never guessed |
| `unitId` of the record | who handled the creation | the requester | one meaning |
| promised energy (S1) | ignored | subtracted | batteries no longer overshoot their limits; see the table of the S1 test |
"""

from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any

import pytest

from apis_core.model.deal import Direction
from apis_core.model.modes import OperationMode
from apis_core.model.negotiation import Decline, Offer
from apis_core.model.times import parse_time
from apis_core.rules import demand, matching
from tests import original_runs
from tests.builders import UTC_ZONE, VirtualCommunity, a_hardware, a_policy, a_scenario, in_virtual_time

CHARGES = {"E001": 70.0, "E002": 80.0, "E003": 50.0, "E004": 50.0}


async def deal(c: VirtualCommunity, giver: str, taker: str, wh: int) -> None:
    started = sum(d.is_started for d in c.community.board.deals())
    await c.community.create_deal(giver, taker, wh, who="operator", requester=taker, point_per_wh=10.0)
    await c.started(started + 1)


async def n1(c: VirtualCommunity) -> None:
    await deal(c, "E002", "E003", 60)
    await deal(c, "E002", "E004", 120)
    await c.no_deals()


async def n3(c: VirtualCommunity) -> None:
    await deal(c, "E002", "E003", 500)
    await deal(c, "E001", "E004", 500)
    await c.settle(100)


async def n5(c: VirtualCommunity) -> None:
    await deal(c, "E002", "E003", 500)
    await c.settle(100)
    await c.community.nodes["E002"].stop("shutdown")


async def n6(c: VirtualCommunity) -> None:
    await deal(c, "E001", "E003", 500)
    await c.settle(100)
    await c.community.nodes["E003"].stop("shutdown")


RUNS: dict[str, tuple[Callable[[VirtualCommunity], Awaitable[None]], float]] = {
    "n1": (n1, float("inf")),
    "n3": (n3, 39.1),
    "n5": (n5, float("inf")),
    "n6": (n6, float("inf")),
}
NOT_COMPARED = {"dealId", "negotiationId", "unitId", "cumulateAmountWh"}


def run(name: str) -> tuple[dict[str, list[str]], list[dict[str, Any]], list[str]]:
    """Our commands per unit, our records as they stood before the stop, and who was Grid Master in turn."""
    found: dict[str, Any] = {}

    async def story(c: VirtualCommunity) -> None:
        records: dict[str, dict[str, Any]] = {}

        def note() -> None:
            for d in c.community.board.deals():
                if d.abort_time is None and d.stop_time is None:
                    records[d.deal_id] = d.to_json(UTC)

        c.community.observe(note)
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "operator")
        await c.settle(5)
        await RUNS[name][0](c)
        found["commands"] = {unit: [original_runs.command(path) for path in c.setters(unit)] for unit in CHARGES if c.setters(unit)}
        found["records"] = list(records.values())
        found["masters"] = [e.unit_id for e in c.community.events if e.kind == "grid_master"]

    in_virtual_time(story, CHARGES)
    return found["commands"], found["records"], found["masters"]


@pytest.mark.parametrize("name", RUNS)
def test_converters_are_told_the_same_as_by_the_original(name: str) -> None:
    ours, our_records, _ = run(name)
    until_s = RUNS[name][1]
    assert ours == original_runs.commands(name, until_s)
    theirs = original_runs.records(name, until_s)
    assert len(our_records) == len(theirs)
    for our, their in zip(our_records, theirs, strict=True):
        fields = {key for key in their if not key.endswith("DateTime")} - NOT_COMPARED
        assert {key: our.get(key) for key in fields} == {key: their[key] for key in fields}
        assert our.get("isMaster") == their.get("isMaster")
        assert {key for key in their if key.endswith("DateTime")} <= set(our)


def test_the_role_follows_the_voltage_reference_as_in_the_original() -> None:
    _, _, masters = run("n1")
    assert masters[-2:] == ["E003", "E004"]


# S1: every request, accept and choice of the original's autonomous run, recomputed from the readings it was made from.

S1 = original_runs.events("s1")


def standing(unit: str, offer: dict[str, Any], promised_wh: float = 0.0) -> demand.Standing:
    reading = next(e["reading"] for e in reversed(S1) if e.get("unit") == unit and e.get("reading", {}).get("time") == offer["dateTime"])
    remaining_wh = int(4800 * reading["rsoc"] / 100)
    return demand.Standing(unit, parse_time(offer["dateTime"], UTC), UTC_ZONE, remaining_wh, promised_wh, battery_voltage_v=48.0)


def offers(key: str) -> list[tuple[str, dict[str, Any]]]:
    return [(e["unit"], e[key]) for e in S1 if key in e]


@pytest.mark.parametrize(("unit", "published"), offers("request_published"))
def test_requests_are_the_originals_to_the_watt_hour(unit: str, published: dict[str, Any]) -> None:
    ours = demand.request(a_scenario(), standing(unit, published), a_policy(), a_hardware())
    assert isinstance(ours, Offer)
    assert ours.to_json(UTC_ZONE) == published


@pytest.mark.parametrize(("unit", "accept"), offers("accept"))
def test_accepts_are_the_originals_to_the_watt_hour(unit: str, accept: dict[str, Any]) -> None:
    asker = Direction(accept["type"]).opposite
    to = next(e["accept_to"] for e in S1 if e.get("accept") is accept)
    wanted = Offer(to, asker, 100, parse_time(accept["dateTime"], UTC), 1.0, 10.0)
    ours = demand.accept(wanted, a_scenario(), standing(unit, accept), a_policy(), a_hardware())
    assert isinstance(ours, Offer)
    assert ours.to_json(UTC_ZONE) == accept


def choices() -> list[tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]]:
    """Request, accepts and the deal that came of them."""
    records = [e["record"] for e in S1 if "record" in e]
    found = []
    for i, event in enumerate(S1):
        if "accepts_collected" not in event:
            continue
        request = next(e["request_published"] for e in reversed(S1[:i]) if "request_published" in e and e["unit"] == event["unit"])
        record = next((r for r in records if r["requestUnitId"] == event["unit"] and r["requestDateTime"] == request["dateTime"]), None)
        if record is not None:
            found.append((request, event["accepts_collected"], record))
    return found


@pytest.mark.parametrize(("request_", "accepts", "record"), choices())
def test_choices_and_terms_are_the_originals(request_: dict[str, Any], accepts: list[dict[str, Any]], record: dict[str, Any]) -> None:
    wanted = Offer.from_json(request_, UTC)
    chosen = matching.choose(wanted, [Offer.from_json(a, UTC) for a in accepts], "pointAndAmount")
    assert chosen is not None
    amount = matching.terms(wanted, chosen, a_policy())
    assert not isinstance(amount, Decline)
    ours = matching.make_deal(wanted, chosen, amount, deal_id="x", negotiation_id="x", create_time=wanted.time).to_json(UTC)
    fields = set(record) - NOT_COMPARED - {"createDateTime"}
    assert {key: ours.get(key) for key in fields} == {key: record[key] for key in fields}


# What promised energy changes in S1: the amounts asked while deals of 50 Wh were on their way.
PROMISED = [
    # unit, emulated time, bound by its deals [Wh], the original's request [Wh], ours
    ("E001", "2020/01/01-00:18:10", -50, 276, 226),
    ("E001", "2020/01/01-00:19:20", -100, 266, 166),
    ("E004", "2020/01/01-00:48:50", 50, 65, 15),
]


@pytest.mark.parametrize(("unit", "time", "promised_wh", "theirs_wh", "ours_wh"), PROMISED)
def test_promised_energy_is_not_offered_twice(unit: str, time: str, promised_wh: float, theirs_wh: int, ours_wh: int) -> None:
    published = next(offer for who, offer in offers("request_published") if (who, offer["dateTime"]) == (unit, time))
    assert published["amountWh"] == theirs_wh
    policy = a_policy(deal_amount_min_wh=10, deal_amount_unit_wh=10)
    ours = demand.request(a_scenario(), standing(unit, published, promised_wh), policy, a_hardware())
    assert isinstance(ours, Offer)
    assert ours.amount_wh == ours_wh
