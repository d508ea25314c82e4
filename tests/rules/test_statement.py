"""What deals add up to, and what a scenario would do: the figures a resident reads."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from apis_core.model.deal import SideEnergy
from apis_core.model.modes import OperationMode
from apis_core.model.scenario import Scenario
from apis_core.presets import community_scenario
from apis_core.rules.demand import Standing, next_change
from apis_core.rules.preview import preview
from apis_core.rules.statement import Totals, statement, totals
from tests.builders import a_deal, a_hardware, a_policy, a_scenario

NOON = datetime(2026, 7, 31, 12, tzinfo=UTC)


def ended(deal_id: str, giver: str, taker: str, given_wh: float, taken_wh: float, *, create_time: datetime = NOON):
    energy = {giver: SideEnergy(given_wh + 5, given_wh, 0.0, 1), taker: SideEnergy(taken_wh - 4, taken_wh, 0.0, 1)}
    times = {"create_time": create_time, "activate_time": create_time, "start_time": create_time, "deactivate_time": create_time}
    return a_deal(giver, taker, deal_id=deal_id, energy=energy, cumulate_amount_wh=taken_wh - 4, point_per_wh=10.0, **times)


def test_totals_are_told_on_the_side_they_belong_to() -> None:
    deals = [ended("a", "E001", "E002", 60, 58), ended("b", "E002", "E001", 30, 29), ended("c", "E003", "E002", 500, 499)]
    found = totals("E001", deals)
    assert (found.shared_wh, found.received_wh, found.discharged_wh, found.charged_wh) == (60, 29, 65, 25)
    assert found.loss_wh == pytest.approx(5 + 4)
    assert (found.points_earned, found.points_paid) == (540, 250)
    assert totals("E009", deals) == Totals()


def test_a_statement_has_a_line_for_each_month_and_partner_in_the_units_own_time() -> None:
    # Half past midnight in Tokyo is the day before in UTC.
    last = datetime(2026, 7, 31, 15, 30, tzinfo=UTC)
    deals = [
        ended("a", "E001", "E002", 60, 58),
        ended("b", "E001", "E003", 10, 9, create_time=NOON - timedelta(days=1)),
        ended("c", "E001", "E002", 20, 19, create_time=last),
    ]
    lines = statement("E001", deals, ZoneInfo("Asia/Tokyo"))
    assert [(line.month, line.partner_id, line.deals, line.totals.shared_wh) for line in lines] == [
        ("2026-07", "E002", 1, 60),
        ("2026-07", "E003", 1, 10),
        ("2026-08", "E002", 1, 20),
    ]
    # Where the clock is half an hour off, half an hour decides: in Kolkata it is 21:00 still.
    assert [line.month for line in statement("E001", deals[2:], ZoneInfo("Asia/Kolkata"))] == ["2026-07"]
    late = [ended("d", "E001", "E002", 20, 19, create_time=last + timedelta(hours=3, minutes=15))]
    assert [line.month for line in statement("E001", late, ZoneInfo("Asia/Kolkata"))] == ["2026-08"]
    assert [line.month for line in statement("E001", late, UTC)] == ["2026-07"]


def test_a_preview_says_what_the_unit_would_do_now_and_through_the_day() -> None:
    standing = Standing("E001", NOON, UTC, 4700)
    found = preview(a_scenario(), standing, a_policy(operation_mode=OperationMode.AUTONOMOUS), a_hardware())
    assert found["now"]["status"] == "excess"
    assert found["now"]["request"]["direction"] == "discharge"
    assert [hour["hour"] for hour in found["hours"]] == list(range(24))
    empty = preview(a_scenario(), Standing("E001", NOON, UTC, 100), a_policy(), a_hardware())
    assert empty["now"]["request"]["direction"] == "charge"
    assert {answer["direction"] for answer in empty["now"]["accept"]} <= {"charge"}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 7, 31, 1, tzinfo=UTC), datetime(2026, 7, 31, 9, tzinfo=UTC)),
        (datetime(2026, 7, 31, 9, tzinfo=UTC), datetime(2026, 7, 31, 21, tzinfo=UTC)),
        (datetime(2026, 7, 31, 22, tzinfo=UTC), datetime(2026, 8, 1, 9, tzinfo=UTC)),
    ],
)
def test_the_next_change_is_when_another_band_begins_in_local_time(now: datetime, expected: datetime) -> None:
    morning, evening = community_scenario().to_json(), community_scenario(preset="storm").to_json()
    day = {key: value for key, value in morning.items() if "-" not in key}
    day["06:00:00-18:00:00"] = morning["00:00:00-24:00:00"]
    day["18:00:00-06:00:00"] = evening["00:00:00-24:00:00"]
    assert next_change(Scenario.from_json(day)[0], now, ZoneInfo("Asia/Tokyo")) == expected
    assert next_change(community_scenario(), now, ZoneInfo("Asia/Tokyo")) is None
