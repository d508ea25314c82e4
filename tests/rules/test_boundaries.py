"""The boundary operators of the original (behaviour reference, appendix A), one table."""

from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal
import random
from typing import Any

import pytest

from apis_core.model.converter import Converter, ConverterMode, Meter
from apis_core.model.deal import Direction, Mark, Side
from apis_core.model.errors import CommandRefusedError
from apis_core.model.modes import Command, CommandKind, OperationMode
from apis_core.model.negotiation import Decline, Offer
from apis_core.rules import admission, authorisation, compensation, demand, global_safety, lifecycle, local_safety, matching, slots
from apis_core.rules.reference import Line, Never, NotNow, plan_activation, start_window
from apis_core.rules.sequences import Checkpoint, SetCurrent, SetMode, plan, stepped
from tests.builders import NOON, UTC_ZONE, a_deal, a_hardware, a_policy, a_scenario


def an_offer(wh: int, price: float | None = 10.0, direction: Direction = Direction.CHARGE, unit: str = "E002") -> Offer:
    return Offer(unit, direction, wh, NOON, 1.0, price)


def standing(wh: int) -> demand.Standing:
    return demand.Standing("E001", NOON, UTC_ZONE, wh)


def asks(wh: int) -> bool:
    return isinstance(demand.request(a_scenario(), standing(wh), a_policy(), a_hardware()), Offer)


def deal_wh(request_wh: int, accept_wh: int, **policy: Any) -> int | None:
    return matching.deal_amount_wh(request_wh, accept_wh, a_policy(**policy))


def buys_at(price: float) -> bool:
    return matching.choose(an_offer(100), [an_offer(100, price, Direction.DISCHARGE, "E003")], "pointAndAmount") is not None


def sells_at(price: float) -> bool:
    wanted = an_offer(100, direction=Direction.DISCHARGE)
    return matching.choose(wanted, [an_offer(100, price, Direction.CHARGE, "E003")], "pointAndAmount") is not None


def converter(mode: ConverterMode, volts: float = 350.0, amps: float = 0.0, dig: float = 1.0, dvg: float = 350.0) -> Converter:
    meter = Meter(volts, amps, volts * amps, 48.0, amps * 7, volts * amps - 55, 26.0)
    return Converter(str(mode), mode.operation_mode, "No alarm", meter, dvg, 0.0, dig)


def may_start_at(volts: float) -> bool:
    return start_window(converter(ConverterMode.WAIT, volts), a_policy()) is None


def charges_with(amps: float) -> tuple[Any, ...]:
    command = Command(CommandKind.CHARGE, 1, 1.0, grid_current_a=amps)
    return plan(command, Converter(), a_policy(), a_hardware(), random.Random(1))


def accepts_current(amps: float) -> bool:
    try:
        charges_with(amps)
    except CommandRefusedError:
        return False
    return True


def safe(reading: Converter, **around: Any) -> bool:
    surroundings = local_safety.Surroundings(
        "E003", (a_deal(activate_time=NOON, warm_up_time=NOON),), OperationMode.AUTONOMOUS, a_policy(), a_hardware()
    )
    return not local_safety.check(reading, replace(surroundings, **around))


def resets_allowed(count: int) -> bool:
    deal = a_deal(resets=tuple(Mark(NOON, "moved") for _ in range(count)))
    line = Line((deal,), {"E002": converter(ConverterMode.WAIT, 0), "E003": converter(ConverterMode.WAIT, 0)}, a_policy())
    return not isinstance(plan_activation(deal, line), Never)


def trim() -> compensation.Trim:
    return compensation.Trim("E003", "E002", 1.0, Side.DISCHARGE)


def ends(giver_pct: float, taker_pct: float) -> bool:
    deal = a_deal(start_time=NOON, activate_time=NOON)
    return lifecycle.end_reason(deal, {"E002": giver_pct, "E003": taker_pct}, a_policy(), NOON) is not None


def late(seconds: float) -> bool:
    deal = a_deal(start_time=NOON, activate_time=NOON)
    return lifecycle.end_reason(deal, {}, a_policy(), NOON + timedelta(seconds=seconds)) is not None


def admitted(limit_a: float) -> bool:
    active = [a_deal("E001", "E004", activate_time=NOON)]
    return admission.refusal(a_deal(), active, a_policy(sum_of_deal_grid_current_max_a=limit_a)) is None


def leaks(sum_a: float) -> bool:
    deal = a_deal(activate_time=NOON, warm_up_time=NOON)
    converters = {
        "E002": converter(ConverterMode.DISCHARGE, amps=-1.0),
        "E003": converter(ConverterMode.VOLTAGE_REFERENCE, amps=1.0 + sum_a),
    }
    return bool(global_safety.check((deal,), converters, a_policy()))


def has_band(text: str) -> bool:
    return a_scenario().band_at(time.fromisoformat(text)) is not None


TABLE = [
    # rule, just inside, just outside
    ("a request needs more than the least amount", lambda: asks(4371), lambda: not asks(4370)),
    ("an amount of zero asks for nothing", lambda: not asks(4320), lambda: not asks(4319)),
    ("a deal may equal the least amount", lambda: deal_wh(50, 50) == 50, lambda: deal_wh(49, 100) is None),
    ("amounts go down to whole steps", lambda: deal_wh(199, 500, deal_amount_max_wh=200) == 150, lambda: deal_wh(10**6, 10**6) == 50),
    (
        "a battery range includes its lower end",
        lambda: a_scenario().bands[0].battery_bands[3].contains(4320),
        lambda: not a_scenario().bands[0].battery_bands[2].contains(4320),
    ),
    ("the day has no hole at its ends", lambda: has_band("00:00:00"), lambda: has_band("23:59:59.999")),
    ("a buyer takes its own price", lambda: buys_at(10.0), lambda: not buys_at(10.01)),
    ("a seller takes its own price", lambda: sells_at(10.0), lambda: not sells_at(9.99)),
    (
        "slots are decimal",
        lambda: slots.free_slots(Decimal("0.6"), Decimal(0), Decimal("0.2")) == 3,
        lambda: slots.free_slots(Decimal("0.9"), Decimal(0), Decimal("0.3")) == 3,
    ),
    (
        "a slot is free while held < capacity",
        lambda: slots.free_slots(Decimal("2.3"), Decimal(1), Decimal(1)) == 1,
        lambda: slots.free_slots(Decimal("2.3"), Decimal(2), Decimal(1)) == 0,
    ),
    ("current set-points reach the capacity", lambda: accepts_current(2.3), lambda: not accepts_current(2.31)),
    ("current set-points are not negative", lambda: accepts_current(0.0), lambda: not accepts_current(-0.01)),
    ("below a step a current mode starts in one go", lambda: len(charges_with(0.99)) == 2, lambda: charges_with(1.0)[1] == SetCurrent(1.0)),
    ("stepping goes on above a step", lambda: stepped(0, 1, 1) == (1.0,), lambda: stepped(0, 1.01, 1) == (1.0, 1.01)),
    (
        "static ranges include their ends",
        lambda: safe(converter(ConverterMode.CHARGE, 380, 1.0)),
        lambda: not safe(converter(ConverterMode.CHARGE, 380.1, 1.0)),
    ),
    (
        "a current may be off by the allowance",
        lambda: safe(converter(ConverterMode.CHARGE, 350, 1.125)),
        lambda: not safe(converter(ConverterMode.CHARGE, 350, 1.126)),
    ),
    (
        "a reference may be off by the allowance",
        lambda: safe(converter(ConverterMode.VOLTAGE_REFERENCE, 354, 1.0)),
        lambda: not safe(converter(ConverterMode.VOLTAGE_REFERENCE, 354.1, 1.0)),
    ),
    ("a first deal starts below the forbidden band", lambda: may_start_at(289.9), lambda: not may_start_at(290)),
    ("a first deal starts above the forbidden band", lambda: may_start_at(310.1), lambda: not may_start_at(310)),
    ("a first deal starts up to range.min + 2 sep", lambda: may_start_at(320), lambda: not may_start_at(320.1)),
    ("resets up to the limit", lambda: resets_allowed(2), lambda: not resets_allowed(3)),
    (
        "compensation within the drift",
        lambda: compensation.within(trim(), 1.03, 0.03),
        lambda: not compensation.within(trim(), 1.0301, 0.03),
    ),
    ("a giver ends below its limit", lambda: not ends(20, 50), lambda: ends(19.9, 50)),
    ("a taker ends above its limit", lambda: not ends(50, 95), lambda: ends(50, 95.1)),
    ("a deal ends at its time limit", lambda: not late(1542), lambda: late(1543)),
    ("admission up to the limit", lambda: admitted(2.0), lambda: not admitted(1.99)),
    ("a leak is more than the allowance", lambda: not leaks(0.25), lambda: leaks(0.2501)),
    (
        "proof voltages: min + 3 sep to max - sep, without the present",
        lambda: authorisation.candidate_voltages_v(a_policy(), 350) == (330, 340, 360, 370),
        lambda: len(authorisation.candidate_voltages_v(a_policy(), 345)) == 5,
    ),
]


@pytest.mark.parametrize(("rule", "inside", "outside"), TABLE, ids=[row[0] for row in TABLE])
def test_boundary(rule: str, inside: Any, outside: Any) -> None:
    assert inside(), rule
    assert outside(), rule


def test_first_accept_wins_a_full_tie() -> None:
    accepts = [an_offer(100, 8.0, Direction.DISCHARGE, unit) for unit in ("E003", "E004")]
    for strategy in ("amount", "pointAndAmount"):
        chosen = matching.choose(an_offer(100), accepts, strategy)
        assert chosen is not None
        assert chosen.unit_id == "E003"


def test_a_missing_price_falls_back_to_the_largest_amount() -> None:
    accepts = [an_offer(100, 8.0, Direction.DISCHARGE, "E003"), an_offer(200, None, Direction.DISCHARGE, "E004")]
    chosen = matching.choose(an_offer(100, None), accepts, "pointAndAmount")
    assert chosen is not None
    assert chosen.unit_id == "E004"


def test_buyers_take_the_lowest_price_then_the_largest_amount() -> None:
    accepts = [
        an_offer(500, 9.0, Direction.DISCHARGE, "E003"),
        an_offer(100, 8.0, Direction.DISCHARGE, "E004"),
        an_offer(200, 8.0, Direction.DISCHARGE, "E005"),
    ]
    chosen = matching.choose(an_offer(100), accepts, "pointAndAmount")
    assert chosen is not None
    assert chosen.unit_id == "E005"


def test_wait_is_always_sent_last_and_never_depends_on_its_steps() -> None:
    command = Command(CommandKind.WAIT, 1, 1.0)
    actions = plan(command, converter(ConverterMode.CHARGE, dig=2.3), a_policy(), a_hardware(), random.Random(1))
    assert [a.current_a for a in actions if isinstance(a, SetCurrent)] == [1.3, 0.3, 0.0]
    assert isinstance(actions[-1], SetMode)
    assert actions[-1].mode is ConverterMode.WAIT
    assert not any(a.binding for a in actions if isinstance(a, Checkpoint))


def test_a_decline_says_why() -> None:
    answer = demand.request(a_scenario(), standing(4000), a_policy(), a_hardware())
    assert answer == Decline("E001", "status sufficient asks for nothing")


def test_a_line_between_two_bands_waits_with_a_reason() -> None:
    window = start_window(converter(ConverterMode.WAIT, 300), a_policy())
    assert isinstance(window, NotNow)
    assert "290 to 310" in window.reason
