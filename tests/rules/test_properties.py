"""What must hold whatever the numbers are."""

from datetime import timedelta
import itertools
import math

from hypothesis import given, strategies as st

from apis_core.model.deal import Direction, SideEnergy
from apis_core.model.modes import LOCAL_MODES, OperationMode
from apis_core.model.negotiation import Decline, Offer
from apis_core.rules import demand, energy, lifecycle, matching, schedule, slots
from apis_core.rules.modes import deals_must_end, effective_mode, global_mode
from apis_core.rules.sequences import stepped
from tests.builders import NOON, UTC_ZONE, a_deal, a_hardware, a_policy, a_scenario

amps = st.decimals(0, 10, places=2).map(float)
powers = st.floats(-3000, 3000)


@given(start=amps, target=amps, step=st.decimals("0.01", 3, places=2).map(float))
def test_steps_end_at_the_target_and_are_never_too_long(start: float, target: float, step: float) -> None:
    values = (start, *stepped(start, target, step))
    assert values[-1] == target
    assert all(abs(b - a) <= step + 1e-9 for a, b in itertools.pairwise(values))


@given(
    samples=st.lists(st.tuples(st.floats(0.001, 600), powers, powers, st.floats(-8, 8), st.booleans(), st.booleans()), max_size=30),
    running=st.dictionaries(st.sampled_from("abc"), st.floats(0.1, 3), max_size=3),
    stopping=st.dictionaries(st.sampled_from("xy"), st.floats(0.1, 3), max_size=2),
    sign=st.sampled_from((1, -1)),
)
def test_nothing_is_lost_or_counted_twice(
    samples: list[tuple[float, float, float, float, bool, bool]], running: dict[str, float], stopping: dict[str, float], sign: int
) -> None:
    account, moment, integral_wh = energy.Account(), 0.0, 0.0
    currents = {key: sign * value for key, value in running.items()}
    leaving = {key: sign * value for key, value in stopping.items()}
    last = None
    for seconds, battery_w, grid_w, current_a, stepped_, is_on in samples:
        moment += seconds
        sample = energy.Sample(moment, battery_w, grid_w, current_a, is_on)
        if last is not None and last.is_on:
            mean = last.battery_power_w if stepped_ else (last.battery_power_w + battery_w) / 2
            integral_wh += mean * (sample.monotonic_s - last.monotonic_s) / 3600
        before = account.deals
        account = energy.counted(account, sample, currents, leaving, stepped=stepped_)
        assert all(account.deals[key].battery_wh >= counters.battery_wh for key, counters in before.items())
        last = sample
    counted_wh = sign * sum(counters.battery_wh for counters in account.deals.values())
    assert math.isclose(counted_wh + account.unattributed_total_wh, integral_wh, rel_tol=1e-9, abs_tol=1e-6)


@given(current_a=st.floats(0, 10), running=st.dictionaries(st.text("ab", max_size=2), st.floats(0, 3), min_size=1))
def test_no_deal_gets_more_than_its_own_current(current_a: float, running: dict[str, float]) -> None:
    found = energy.shares(current_a, running, {})
    assert sum(found.values()) <= 1 + 1e-9
    assert all(found.get(key, 0.0) * current_a <= value + 1e-9 for key, value in running.items())


@given(
    a=st.builds(SideEnergy, *[st.floats(0, 1e4)] * 3, st.integers(0, 100)),
    b=st.builds(SideEnergy, *[st.floats(0, 1e4)] * 3, st.integers(0, 100)),
)
def test_merging_counters_is_the_same_in_any_order_and_any_number_of_times(a: SideEnergy, b: SideEnergy) -> None:
    assert a.merged(b) == b.merged(a) == a.merged(b).merged(b)


@given(remaining=st.integers(0, 4800), promised=st.integers(-500, 500))
def test_an_offer_never_carries_the_battery_past_its_limit(remaining: int, promised: int) -> None:
    standing = demand.Standing("E001", NOON, UTC_ZONE, remaining, float(promised))
    offer = demand.request(a_scenario(), standing, a_policy(), a_hardware())
    if isinstance(offer, Offer):
        after = remaining + promised + (offer.amount_wh if offer.direction is Direction.CHARGE else -offer.amount_wh)
        assert after == {Direction.CHARGE: 2880, Direction.DISCHARGE: 4320}[offer.direction]


@given(request_wh=st.integers(1, 10**6), accept_wh=st.integers(1, 10**6), unit=st.integers(1, 100))
def test_a_deal_is_a_multiple_of_the_step_that_both_can_have(request_wh: int, accept_wh: int, unit: int) -> None:
    policy = a_policy(deal_amount_unit_wh=unit, deal_amount_max_wh=500, deal_amount_min_wh=unit)
    amount = matching.deal_amount_wh(request_wh, accept_wh, policy)
    if amount is None:
        assert min(request_wh, accept_wh) < unit or unit > 500
    else:
        assert amount % unit == 0
        assert unit <= amount <= min(request_wh, accept_wh, 500)


def test_effective_mode_of_every_pair() -> None:
    a, h, s, m = OperationMode
    table = {a: (a, h, s), h: (h, h, s), s: (s, s, s), m: (m, m, m)}
    for community, expected in table.items():
        assert tuple(effective_mode(community, local) for local in (None, *LOCAL_MODES)) == expected
    assert [deals_must_end(mode) for mode in OperationMode] == [False, False, True, True]


def test_unknown_modes_fall_back_to_the_policy_and_then_to_stop() -> None:
    assert global_mode("nonsense", "autonomous") is OperationMode.AUTONOMOUS
    assert global_mode(None, "nonsense") is OperationMode.STOP
    assert global_mode("manual", "autonomous") is OperationMode.MANUAL


def test_promises_bind_current_direction_and_energy() -> None:
    deals = (a_deal(energy={"E003": SideEnergy(20.0)}), a_deal("E001", "E003", deal_id="x"))
    promise = slots.Promise(Direction.CHARGE, 0.3, 50)
    assert slots.current_in_use_a("E003", deals, (promise,)) == slots.exact(2.3)
    assert slots.promised_wh("E003", deals, (promise,)) == 30 + 50 + 50
    assert slots.direction_in_use("E003", deals) is Direction.CHARGE
    assert slots.refusal("E003", Direction.DISCHARGE, 0.1, 5, deals) == "E003 is bound to charge and cannot discharge at the same time"
    refusal = slots.refusal("E003", Direction.CHARGE, 1.0, 2.3, deals)
    assert refusal is not None
    assert "no room for 1.0 A more" in refusal
    assert slots.refusal("E003", Direction.CHARGE, 0.3, 2.3, deals) is None


def test_an_ended_deal_holds_nothing() -> None:
    ended = a_deal(activate_time=NOON, deactivate_time=NOON)
    assert slots.current_in_use_a("E003", [ended]) == 0
    assert slots.promised_wh("E003", [ended]) == 0


def test_gaps_and_foreign_wishes_are_declined_with_a_reason() -> None:
    wanted = Offer("E002", Direction.CHARGE, 100, NOON, 1.0, pair_unit_id="E009")
    answer = demand.accept(wanted, a_scenario(), demand.Standing("E001", NOON, UTC_ZONE, 4500), a_policy(), a_hardware())
    assert answer == Decline("E001", "the request is for E009 only")


def test_vain_requests_are_repeated_more_and_more_rarely() -> None:
    due = [schedule.next_request_s(100.0, 5.0, failures, 0.5) for failures in range(8)]
    assert due == sorted(due)
    assert due[0] == 105
    assert due[-1] == 100 + 5 * 16 * 1.1
    assert schedule.next_request_s(None, 5.0, 0, 0.0) == 0


def test_a_rising_line_is_looked_at_when_it_will_have_arrived() -> None:
    assert schedule.next_ramp_check_s(10, 100, 346, 3.0, 100) == 10 + 82
    assert schedule.next_ramp_check_s(10, 100, 346, 3.0, 5) == 15
    assert schedule.next_ramp_check_s(10, 100, 346, None, 5) == 10.5


def test_deals_get_the_line_in_a_fixed_order() -> None:
    new = a_deal("E001", "E004", deal_id="new")
    large = a_deal("E005", "E006", deal_id="late", create_time=NOON + timedelta(seconds=1))
    going = a_deal("E002", "E003", deal_id="going", activate_time=NOON, start_time=NOON, is_master=True)
    done = a_deal("E007", "E003", deal_id="must", activate_time=NOON, start_time=NOON)
    moving = a_deal("E008", "E003", deal_id="moving", activate_time=NOON)
    ordered = lifecycle.order([large, new, going, done, moving], {"must": "asked"}, ["E001"])
    assert [deal.deal_id for deal in ordered] == ["moving", "must", "going", "new", "late"]


@given(st.lists(st.sampled_from(["activate", "ramp_up", "warm_up", "start", "stop", "deactivate"]), unique=True))
def test_every_combination_of_times_has_a_state_and_a_next_step(names: list[str]) -> None:
    deal = a_deal().changed(**{f"{name}_time": NOON for name in names})
    for must_end in (False, True):
        step = lifecycle.next_step(deal, [], must_end=must_end)
        assert isinstance(step, lifecycle.Step)
        if deal.is_ended:
            assert step is lifecycle.Step.DISPOSE
