"""A converter that follows nobody: the reference carries it, and no more than it can."""

from datetime import timedelta

from hypothesis import given, strategies as st
import pytest

from apis_core.model.deal import Deal
from apis_core.rules import compensation, overload
from tests.builders import NOON, a_deal

CAPACITY_A = 2.3
CHARGING = tuple(a_deal(giver, "E001", create_time=NOON + timedelta(seconds=i)) for i, giver in enumerate(("E002", "E003")))
GIVING = a_deal("E001", "E004")


@given(st.floats(-4, 4), st.floats(0.1, 4))
def test_a_converter_without_deals_is_a_stray_with_all_of_its_current(measured_a: float, current_a: float) -> None:
    alone = overload.stray_a("E002", measured_a, ())
    assert alone == (measured_a if abs(measured_a) > overload.TOLERANCE_A else 0.0)
    deal = a_deal("E002", "E003", grid_current_a=current_a)
    assert overload.stray_a("E002", -current_a, (deal,)) == 0
    assert overload.stray_a("E003", current_a + 1, (deal,)) == pytest.approx(1)


def test_without_strays_the_slots_have_seen_to_the_current() -> None:
    assert overload.refusal("E001", (*CHARGING, *CHARGING), {}, CAPACITY_A) is None


def test_the_reference_takes_what_a_stray_gives_beside_what_its_own_deals_bring() -> None:
    assert overload.carried_a("E001", CHARGING, {"E005": -2.0}) == 4
    assert overload.carried_a("E001", (GIVING,), {"E005": -2.0}) == 1
    reason = overload.refusal("E001", CHARGING, {"E005": -2.0}, CAPACITY_A)
    assert reason == "E001 would carry 4 A of its 2.3 A: E005 may be on and cannot be commanded"


def test_the_newest_deals_that_relieve_the_reference_end_and_no_more() -> None:
    assert overload.ends_first("E001", CHARGING, {"E005": -1.0}, CAPACITY_A) == ("E003-E001",)
    assert overload.ends_first("E001", CHARGING, {"E005": -2.0}, CAPACITY_A) == ("E003-E001", "E002-E001")
    assert overload.ends_first("E001", CHARGING, {"E005": 1.0}, CAPACITY_A) == ()
    # What its own deal gives is what the stray gives too: ended, there would be more to take.
    assert overload.ends_first("E001", (GIVING,), {"E005": -4.0}, CAPACITY_A) == ()


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.2, 2)), max_size=5),
    st.dictionaries(st.sampled_from(("E007", "E008")), st.floats(-3, 3), max_size=2),
)
def test_what_is_left_can_be_carried_or_nothing_of_it_would_help(shares: list[tuple[bool, float]], strays_a: dict[str, float]) -> None:
    def deal(i: int, gives: bool, current_a: float) -> Deal:
        other = f"E1{i:02}"
        return a_deal(*(("E001", other) if gives else (other, "E001")), deal_id=str(i), grid_current_a=current_a)

    deals = [deal(i, *share) for i, share in enumerate(shares)]
    ended = overload.ends_first("E001", deals, strays_a, CAPACITY_A)
    left = [deal for deal in deals if deal.deal_id not in ended]
    if overload.refusal("E001", left, strays_a, CAPACITY_A):
        needed_a = overload.carried_a("E001", left, strays_a)
        assert all(deal.compensated_current_a("E001") * needed_a <= 0 for deal in left)


@given(st.floats(-4, 4))
def test_what_a_unit_carries_for_a_deal_has_the_deals_direction(measured_a: float) -> None:
    deal = a_deal("E002", "E003", grid_current_a=1.0)
    for unit, sign in (("E002", -1), ("E003", 1)):
        carried_a = compensation.carried_a(deal, unit, measured_a)
        assert 0.5 <= sign * carried_a <= 1.5
        assert carried_a in (measured_a, sign * 1.0)
