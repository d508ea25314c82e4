"""Records: what is written is read back the same; what is none is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, strategies as st
import pytest

from apis_core.model.converter import Battery, Converter, ConverterMode, Permission, Reading
from apis_core.model.deal import Deal, Mark, Side, SideEnergy
from apis_core.model.errors import Category, ErrorReport, Extent, Level, MessageError
from apis_core.model.modes import Command, CommandKind
from apis_core.model.negotiation import Offer
from apis_core.model.times import format_time, parse_time
from apis_core.model.view import Event, Snapshot, UnitView
from apis_core.rules.lifecycle import Outcome, outcome
from apis_core.rules.reactions import Reaction, reactions
from apis_core.rules.role import LeaseRecord
from apis_core.screen import deal_row
from tests.builders import NOON, a_deal

TOKYO, BERLIN = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/Berlin")
moments = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
stamps = st.none() | moments


@given(
    times=st.fixed_dictionaries({f"{n}_time": stamps for n in ("activate", "warm_up", "start", "stop", "deactivate", "abort", "scram")}),
    marks=st.lists(st.builds(Mark, moments, st.text()), max_size=2).map(tuple),
    energy=st.dictionaries(st.sampled_from(["E002", "E003"]), st.builds(SideEnergy, *[st.floats(0, 1e5)] * 3, st.integers(0, 9))),
)
def test_a_deal_is_read_back_as_it_was_written(times: dict[str, Any], marks: tuple[Mark, ...], energy: dict[str, SideEnergy]) -> None:
    deal = a_deal(**times, resets=marks, aborts=marks, energy=energy, cumulate_amount_wh=1.5, is_master=True)
    assert Deal.from_json(deal.to_json()) == deal


def test_a_deal_that_never_started_says_so_as_the_original_does() -> None:
    record = a_deal(abort_time=NOON, abort_reason="x").to_json(TOKYO)
    assert (record["activateDateTime"], record["startDateTime"], record["stopDateTime"]) == ("--", "--", "--")
    assert record["abortDateTime"] == "2020/06/01-21:00:00"


@pytest.mark.parametrize(
    "broken", [{}, {"dealId": "x"}, {**a_deal().to_json(), "type": "steal"}, {**a_deal().to_json(), "createDateTime": "soon"}]
)
def test_what_is_no_deal_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        Deal.from_json(broken)


def test_deal_states_for_people() -> None:
    assert a_deal(activate_time=NOON, deactivate_time=NOON).is_completed
    assert not a_deal(activate_time=NOON, deactivate_time=NOON, abort_time=NOON).is_completed
    assert a_deal(scram_time=NOON).is_ended
    assert a_deal(abort_time=NOON).is_ended
    assert not a_deal(abort_time=NOON, activate_time=NOON).is_ended
    assert a_deal(point_per_wh=2.0, cumulate_amount_wh=10.0).points() == 20
    assert a_deal().side_of("E009") is None
    assert a_deal().compensated_current_a("E009") == 0
    assert a_deal(discharge_compensated_a=-0.98).compensated_current_a("E002") == -0.98
    assert Side.CHARGE.opposite is Side.DISCHARGE


@given(moments)
def test_times_are_read_back_in_both_forms(moment: datetime) -> None:
    assert parse_time(format_time(moment, None), None) == moment
    assert parse_time(format_time(moment, TOKYO), TOKYO) == moment.replace(microsecond=0)


@pytest.mark.parametrize(
    ("local", "hours"),
    [("2026/03/29-01:30:00", 0.5), ("2026/03/29-03:30:00", 1.5), ("2026/10/25-01:30:00", 23.5), ("2026/10/25-03:30:00", 26.5)],
)
def test_local_times_on_days_on_which_clocks_change(local: str, hours: float) -> None:
    day = datetime.strptime(local[:10], "%Y/%m/%d").replace(tzinfo=UTC)
    expected = {0.5: day + timedelta(hours=0.5), 1.5: day + timedelta(hours=1.5)}.get(hours, day + timedelta(hours=hours - 24))
    assert parse_time(local, BERLIN) == expected
    assert format_time(expected, BERLIN) == local


@pytest.mark.parametrize("text", ["", "yesterday", "2026/13/01-00:00:00", "2026-01-01T00:00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        parse_time(text, BERLIN)
    with pytest.raises(MessageError, match="expected uuuu/MM/dd"):
        parse_time("2026/01/01-00:00:00", None)


def test_a_reading_is_read_back_as_it_was_written() -> None:
    dcdc = {
        "status": {"status": "0x0041", "operationMode": "Heteronomy CV", "alarmState": "No alarm"},
        "meter": {"vg": 350.0, "ig": 1.0, "wg": 350.0, "vb": 48.0, "ib": 5.8, "wb": 279.0, "tmp": 26.0},
        "vdis": {"dvg": 350.0, "drg": 0.0},
        "param": {"dig": 1.0},
    }
    reading = Reading("E001", NOON, 5.0, Converter.from_json(dcdc), Battery(52.5, Permission.CHARGE_ONLY), {"pvc_charge_power": 3})
    assert Reading.from_json(reading.to_json(None), 5.0) == reading
    assert reading.converter.to_json() == dcdc
    assert reading.converter.mode is ConverterMode.CHARGE
    assert reading.remaining_wh(4800) == 2520
    assert not reading.battery.permission.allows(charging=False)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Converter, {"meter": {"vg": "high"}}),
        (Converter, {"meter": {"vg": True}}),
        (Converter, {"meter": {"vg": float("nan")}}),
        (Converter, {"status": 3}),
        (Battery, {"rsoc": 101}),
        (Battery, {"rsoc": -0.1}),
        (Battery, {"battery_operation_status": 7}),
        (Offer, {"type": "charge"}),
        (Offer, {"unitId": "E1", "type": "charge", "amountWh": -5, "dateTime": "2020-01-01T00:00:00+00:00", "dealGridCurrentA": 1}),
        (Command, {"command": "explode", "epoch": 1, "deadlineS": 1}),
        (Command, {"command": "WAIT"}),
        (LeaseRecord, {"holder": "E1"}),
        (ErrorReport, {"unitId": "E1"}),
    ],
)
def test_messages_that_are_none_are_refused(kind: Any, data: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        kind.from_json(data)


def test_a_reading_without_its_parts_is_refused() -> None:
    with pytest.raises(MessageError, match="expected unitId, time, dcdc, battery"):
        Reading.from_json({"unitId": "E1"}, 0.0)


def test_a_device_that_says_nothing_of_permission_allows_both() -> None:
    assert Battery.from_json({"rsoc": 50}).permission is Permission.ALLOWED
    assert Battery.from_json({"battery_operation_status": 0}).permission is Permission.DENIED


def test_a_command_is_read_back_as_it_was_written() -> None:
    command = Command(CommandKind.DID_HAND_OVER, 3, 16.0, grid_current_a=1.0, mode=ConverterMode.CHARGE, reason="x")
    assert Command.from_json(command.to_json()) == command


def test_snapshots_and_events_are_read_back_as_they_were_written() -> None:
    unit = UnitView("E001", "one", alive=True, mode="stop", state_of_charge_pct=5.0)
    snapshot = Snapshot(NOON, "stop", (unit,), (a_deal(),), "E001", 4, None)
    assert Snapshot.from_json(snapshot.to_json()) == snapshot
    event = Event("deal", NOON, "text", "E001", {"a": 1})
    assert Event.from_json(event.to_json()) == event


LOCAL_ENDS = (Reaction.RECORD, Reaction.END_OWN_DEALS, Reaction.WAIT)
REACTIONS = [
    *[(Extent.LOCAL, c, Level.ERROR, LOCAL_ENDS) for c in (Category.HARDWARE, Category.USER)],
    *[
        (Extent.LOCAL, c, Level.ERROR, (*LOCAL_ENDS, Reaction.GIVE_UP_ROLE, Reaction.RECONCILE))
        for c in (Category.FRAMEWORK, Category.LOGIC)
    ],
    (Extent.LOCAL, Category.HARDWARE, Level.WARN, (Reaction.RECORD,)),
    (Extent.LOCAL, Category.LOGIC, Level.FATAL, (*LOCAL_ENDS, Reaction.GIVE_UP_ROLE, Reaction.CLOSE_NODE)),
    (Extent.LOCAL, Category.USER, Level.UNKNOWN, LOCAL_ENDS),
    (Extent.GLOBAL, Category.HARDWARE, Level.ERROR, (Reaction.RECORD, Reaction.SCRAM, Reaction.LATCH_STOP)),
    *[
        (Extent.GLOBAL, c, Level.ERROR, (Reaction.RECORD, Reaction.NO_NEW_DEALS, Reaction.END_NAMED_UNITS_DEALS))
        for c in (Category.FRAMEWORK, Category.LOGIC, Category.USER)
    ],
    (Extent.GLOBAL, Category.HARDWARE, Level.WARN, (Reaction.RECORD,)),
    (Extent.GLOBAL, Category.LOGIC, Level.FATAL, (Reaction.RECORD, Reaction.END_ALL_DEALS, Reaction.LATCH_STOP)),
    (Extent.UNKNOWN, Category.HARDWARE, Level.UNKNOWN, (Reaction.RECORD, Reaction.SCRAM, Reaction.LATCH_STOP)),
]


@pytest.mark.parametrize(("extent", "category", "level", "expected"), REACTIONS)
def test_what_follows_an_error(extent: Extent, category: Category, level: Level, expected: tuple[Reaction, ...]) -> None:
    report = ErrorReport("E001", category, extent, level, "x")
    assert reactions(report) == expected
    assert ErrorReport.from_json(report.to_json()) == report
    assert ErrorReport.from_json({**report.to_json(), "level": "LOUD"}).level is Level.UNKNOWN


def test_what_became_of_a_deal() -> None:
    ended = a_deal(activate_time=NOON, deactivate_time=NOON)
    assert outcome(a_deal()) is Outcome.LIVE
    assert outcome(ended) is Outcome.COMPLETED
    assert outcome(ended.changed(abort_time=NOON)) is Outcome.ABORTED
    assert outcome(ended.changed(abort_time=NOON, scram_time=NOON)) is Outcome.SCRAMMED
    never = Deal.from_json({**a_deal(abort_time=NOON).to_json(TOKYO), "activateDateTime": "--"}, TOKYO)
    assert outcome(never) is Outcome.ABORTED


def test_a_record_made_by_hand_without_its_offers_is_shown() -> None:
    record = {key: value for key, value in a_deal().to_json().items() if not key.startswith(("requestAmount", "acceptAmount"))}
    deal = Deal.from_json(record)
    assert deal.request_amount_wh == 50
    assert deal_row(deal)[4:6] == ("created", 50)
