"""Where the reference sits, what the line carries, what a converter shows: decisions at the edges."""

from dataclasses import replace
import random
from typing import Any

import pytest

from apis_core.model.converter import Converter, ConverterMode, Meter, Permission
from apis_core.model.deal import Deal, Direction, Side
from apis_core.model.errors import CommandRefusedError
from apis_core.model.modes import Command, CommandKind, OperationMode
from apis_core.model.negotiation import Decline, Offer
from apis_core.model.policy import Policy
from apis_core.rules import admission, authorisation, compensation, demand, global_safety, local_safety, matching, optimisation, sequences
from apis_core.rules.energy import deal_power_w
from apis_core.rules.reference import Activation, Danger, Departure, Line, Never, NotNow, next_master, plan_activation, plan_departure
from apis_core.rules.schedule import beginning_apart_s, line_is_needed_soon
from tests.builders import NOON, UTC_ZONE, a_deal, a_hardware, a_policy, a_scenario

W, C, D, R = ConverterMode.WAIT, ConverterMode.CHARGE, ConverterMode.DISCHARGE, ConverterMode.VOLTAGE_REFERENCE


def shows(mode: ConverterMode | None, volts: float | None = 350.0, amps: float | None = 0.0, dvg: float | None = 350.0) -> Converter:
    meter = Meter(volts, amps, 0.0, 48.0, 0.0, 0.0, 26.0)
    return Converter(mode and str(mode), mode and mode.operation_mode, "No alarm", meter, dvg, 0.0, 1.0)


def running(giver: str, taker: str, **changes: Any) -> Deal:
    return a_deal(giver, taker, activate_time=NOON, warm_up_time=NOON, start_time=NOON, **changes)


def a_line(deals: tuple[Deal, ...], policy: Policy | None = None, **modes: ConverterMode | Converter) -> Line:
    converters = {unit: mode if isinstance(mode, Converter) else shows(mode) for unit, mode in modes.items()}
    return Line(deals, converters, policy or a_policy(large_capacity_unit_ids=()))


MASTER = running("E002", "E003", is_master=True)


def test_the_master_side_is_where_the_reference_really_is() -> None:
    assert a_line((MASTER,), E002=R, E003=C).master_side is Side.DISCHARGE
    assert a_line((MASTER,), E002=D, E003=R).master_side is Side.CHARGE
    assert a_line((), E002=W).master_side is Side.CHARGE
    assert a_line((MASTER,), E002=D, E004=R).reference_unit_id == "E004"


def test_a_second_reference_is_one_without_a_deal_beside_one_with() -> None:
    assert a_line((MASTER,), E001=R, E002=D, E003=R).second_reference_unit_ids == ("E001",)
    # The only one that holds the line is not to be missed, and what is in a deal is ended by its deal.
    assert a_line((MASTER,), E001=R, E002=D, E003=C).second_reference_unit_ids == ()
    assert a_line((MASTER,), E002=R, E003=R).second_reference_unit_ids == ()
    assert a_line((), E001=R, E002=R).second_reference_unit_ids == ()


def test_a_deal_waits_while_another_is_being_started_or_the_line_is_unknown() -> None:
    starting = a_deal("E002", "E003", activate_time=NOON)
    assert plan_activation(a_deal("E001", "E004"), a_line((starting,), E003=R)) == NotNow("another deal is being started")
    assert plan_activation(a_deal("E001", "E004"), a_line((MASTER,), E003=C)) == NotNow("the line has no voltage reference")
    assert plan_activation(a_deal(), a_line((), E003=shows(W, volts=None))) == NotNow("the line voltage is not known")


def test_a_deal_on_the_other_side_of_a_running_one_is_discarded() -> None:
    plan = plan_activation(a_deal("E003", "E004"), a_line((MASTER,), E003=R))
    assert plan == Never("E003 is on the other side of a running deal")


def test_a_large_unit_takes_the_reference_from_a_small_one() -> None:
    policy = a_policy(large_capacity_unit_ids=("E001",))
    plan = plan_activation(a_deal("E001", "E004"), a_line((MASTER,), policy, E001=W, E002=D, E003=shows(R, amps=1.0), E004=W))
    assert isinstance(plan, Activation)
    assert plan.hand_over is not None
    assert (plan.hand_over.old_unit_id, plan.hand_over.new_unit_id, plan.hand_over.old_mode) == ("E003", "E001", C)
    assert plan.target_a == -1.0
    assert plan.becomes_master


def test_the_hand_over_voltage_must_be_known_unless_the_measured_one_is_taken() -> None:
    policy = a_policy(large_capacity_unit_ids=("E004",))
    silent = a_line((MASTER,), policy, E002=D, E003=shows(R, dvg=None), E004=W)
    assert plan_activation(a_deal("E001", "E004"), silent) == NotNow("E003 does not say which voltage it holds")
    actual = replace(silent, policy=replace(policy, voltage_reference_take_over="actual"))
    plan = plan_activation(a_deal("E001", "E004"), actual)
    assert isinstance(plan, Activation)
    assert plan.hand_over is not None
    assert plan.hand_over.voltage_v is None


def test_a_unit_already_on_gets_more_current_and_a_reference_nothing() -> None:
    other = running("E002", "E004", is_master=False)
    plan = plan_activation(a_deal("E001", "E004"), a_line((MASTER, other), E002=D, E003=R, E004=C))
    assert isinstance(plan, Activation)
    assert (plan.mode, plan.current_a) == (None, 2.0)
    again = plan_activation(a_deal("E001", "E003"), a_line((MASTER,), E002=D, E003=shows(R, amps=1.0)))
    assert isinstance(again, Activation)
    assert (again.mode, again.current_a, again.target_a) == (None, None, 2.0)


def test_how_a_master_side_unit_leaves() -> None:
    alone = a_line((MASTER,), E002=W, E003=R)
    assert plan_departure(MASTER, alone) == Departure("E003", command_wait=True)
    assert plan_departure(MASTER, a_line((MASTER,), E002=W, E003=W)) == Departure("E003")
    second = running("E001", "E003", deal_id="second")
    assert plan_departure(second, a_line((MASTER, second), E001=W, E002=D, E003=R)) == Departure("E003")
    slave = running("E001", "E004", deal_id="slave")
    third = running("E002", "E004", deal_id="third")
    line = a_line((MASTER, slave, third), E001=W, E002=D, E003=R, E004=C)
    assert plan_departure(slave, line) == Departure("E004", current_a=1.0)
    stays = plan_departure(MASTER, a_line((MASTER, second), E001=D, E002=W, E003=R))
    assert stays == Departure("E003", new_master_id="second")


def test_a_leaving_reference_hands_over_or_is_a_danger() -> None:
    other = running("E001", "E004", deal_id="other")
    plan = plan_departure(MASTER, a_line((MASTER, other), E001=D, E002=W, E003=R, E004=C))
    assert isinstance(plan, Departure)
    assert plan.hand_over is not None
    assert plan.hand_over.new_unit_id == "E004"
    assert plan.new_master_id == "other"
    gone = plan_departure(MASTER, a_line((MASTER, other), E001=D, E002=W, E003=W, E004=C))
    assert isinstance(gone, Danger)
    done = plan_departure(MASTER, a_line((MASTER, other), E001=D, E002=W, E003=W, E004=R))
    assert done == Departure("E003", command_wait=True, new_master_id="other")
    orphan = replace(MASTER, is_master=False)
    assert isinstance(plan_departure(orphan, a_line((orphan, other), E001=D, E002=W, E003=R, E004=C)), Departure)
    silent = plan_departure(MASTER, a_line((MASTER, other), E001=D, E002=W, E003=shows(R, dvg=None), E004=C))
    assert silent == Danger("E003 does not say which voltage it holds")


def test_the_next_master_deal_is_the_newest_with_a_large_unit_first() -> None:
    older = running("E001", "E004", deal_id="older")
    newer = running("E005", "E006", deal_id="newer").changed(activate_time=NOON.replace(hour=13))
    line = a_line((MASTER, older, newer), a_policy(6, large_capacity_unit_ids=()), E003=R)
    assert next_master(line, (older, newer)) == (newer, "E006")
    large = replace(line, policy=a_policy(6, large_capacity_unit_ids=("E001",)))
    assert next_master(large, (older, newer)) == (older, "E001")


def test_what_branches_carry() -> None:
    policy = a_policy(
        topology_enabled=True,
        branch_ids=("north",),
        branch_units={"north": {"forwardUnitIds": ("E001", "E002"), "backwardUnitIds": ("E003", "E004")}},
        branch_current_capacity_a={"north": 1.5},
    )
    assert admission.refusal(a_deal("E001", "E003"), [], policy) is None
    refusal = admission.refusal(a_deal("E002", "E004"), [running("E001", "E003")], policy)
    assert refusal == "branch north: forward units would discharge 2.0 A, it carries 1.5 A"
    deals = (running("E001", "E003"),)
    converters = {"E001": shows(D, amps=-1.0), "E002": shows(D, amps=-1.0), "E003": shows(R, amps=2.0)}
    found = [finding.message for finding in global_safety.check(deals, converters, policy)]
    assert found == [
        "branch north carries -2.000 A at its forward end, allowed are 1.5 A",
        "branch north carries 2.000 A at its backward end, allowed are 1.5 A",
    ]


def findings(reading: Converter, *deals: Deal, mode: OperationMode = OperationMode.AUTONOMOUS, suspended: bool = False) -> list[str]:
    around = local_safety.Surroundings("E003", deals, mode, a_policy(), a_hardware(), suspended)
    return [finding.key for finding in local_safety.check(reading, around)]


def test_what_a_unit_finds_wrong_with_itself() -> None:
    assert findings(shows(W)) == []
    assert findings(replace(shows(W), alarm_state="Heavy alarm")) == ["alarm"]
    assert findings(replace(shows(W), mode_code="0x9999")) == ["mode"]
    assert findings(replace(shows(W), operation_mode="Dancing")) == ["mode"]
    assert findings(replace(shows(W), meter=replace(shows(W).meter, temperature_c=None))) == ["tmp"]
    assert findings(shows(R)) == ["no deal"]
    assert findings(shows(R), mode=OperationMode.MANUAL) == []
    assert findings(shows(C, amps=1.0), running("E002", "E003"), running("E003", "E004")) == ["sides"]
    assert findings(shows(D, amps=-1.0), running("E002", "E003")) == ["mode for deals"]
    assert findings(shows(W), running("E002", "E003")) == ["mode for deals"]
    assert findings(shows(W), running("E002", "E003"), suspended=True) == []
    assert findings(shows(W), a_deal("E002", "E003")) == []
    assert findings(shows(W, amps=0.2)) == ["current"]
    assert findings(shows(R, volts=340), running("E002", "E003")) == ["voltage"]
    assert findings(shows(C, volts=290, amps=1.0), running("E002", "E003")) == ["line"]
    assert findings(replace(shows(W), current_limit_a=None)) == ["set-points"]


def test_compensation_without_a_reference_or_target_trims_nobody() -> None:
    assert compensation.plan(MASTER, a_line((MASTER,), E002=D, E003=C)) is None
    assert compensation.plan(MASTER, a_line((MASTER,), E003=R)) is None
    outside = running("E001", "E004", compensation_target_a=1.0)
    trim = compensation.plan(outside, a_line((MASTER, outside), E001=D, E002=D, E003=R, E004=C))
    assert trim == compensation.Trim("E003", "E001", 1.0, Side.DISCHARGE)
    assert compensation.corrected_a(trim, 1.0, 1.1) == pytest.approx(0.9)
    charging = replace(trim, trimmed_side=Side.CHARGE)
    assert compensation.corrected_a(charging, 1.0, 0.9) == pytest.approx(0.9)
    assert compensation.corrected_a(trim, 0.1, 5.0) == 0.0


def test_the_best_voltage_is_a_mean_within_safe_bounds() -> None:
    liked = running("E002", "E003", charge_unit_efficient_grid_voltage_v=340.0, discharge_unit_efficient_grid_voltage_v=346.0)
    assert optimisation.efficient_grid_voltage_v([liked], a_policy()) == 343
    assert optimisation.efficient_grid_voltage_v([MASTER], a_policy()) is None
    low = liked.changed(charge_unit_efficient_grid_voltage_v=100.0)
    assert optimisation.efficient_grid_voltage_v([low], a_policy()) == 330


def commanded(kind: CommandKind, converter: Converter, **params: Any) -> tuple[sequences.Action, ...]:
    command = Command(kind, 1, 1.0, **params)
    return sequences.plan(command, converter, a_policy(), a_hardware(), random.Random(1))


def test_sequences_of_the_rarer_commands() -> None:
    assert commanded(CommandKind.VOLTAGE, shows(R), grid_voltage_v=340.0)[0] == sequences.SetVoltage(340.0)
    taken = commanded(CommandKind.WILL_TAKE_OVER, shows(W, volts=349.0))
    assert taken == (sequences.SetMode(R, 349.0, 2.3, 0.039),)
    let_go = commanded(CommandKind.DID_HAND_OVER, shows(R), mode=D, grid_current_a=1.0)
    assert let_go == (sequences.SetMode(D, 380, 1.0),)
    assert commanded(CommandKind.WAIT, Converter()) == (sequences.SetMode(W, 350, 0.0),)
    for kind, converter, params in (
        (CommandKind.CURRENT, shows(C), {}),
        (CommandKind.VOLTAGE, shows(R), {}),
        (CommandKind.CURRENT, Converter(), {"grid_current_a": 1.0}),
        (CommandKind.WILL_TAKE_OVER, Converter(), {}),
        (CommandKind.CURRENT, shows(C), {"grid_current_a": 9.0}),
    ):
        with pytest.raises(CommandRefusedError):
            commanded(kind, converter, **params)
    narrow = a_policy(operation_grid_voltage_min_v=320, operation_grid_voltage_max_v=360)
    assert authorisation.candidate_voltages_v(narrow, 350) == ()
    with pytest.raises(CommandRefusedError, match="no voltage to prove"):
        sequences.plan(Command(CommandKind.AUTHORISE, 1, 1.0), shows(R), narrow, a_hardware(), random.Random(1))


def a_standing(wh: int = 4500, permission: Permission = Permission.ALLOWED) -> demand.Standing:
    return demand.Standing("E001", NOON, UTC_ZONE, wh, permission=permission)


def test_reasons_to_decline() -> None:
    policy, hardware, scenario = a_policy(), a_hardware(), a_scenario()
    wanted = Offer("E002", Direction.CHARGE, 100, NOON, 1.0, 10.0)
    selfish = Offer("E002", Direction.DISCHARGE, 100, NOON, 1.0, 10.0)
    answer = demand.accept(selfish, scenario, a_standing(), policy, hardware)
    assert answer == Decline("E001", "status excess does not accept to charge")
    denied = demand.accept(wanted, scenario, a_standing(permission=Permission.CHARGE_ONLY), policy, hardware)
    assert denied == Decline("E001", "the battery's permission is charge_only")
    empty = replace(scenario, bands=())
    assert demand.request(empty, a_standing(), policy, hardware) == Decline("E001", "the scenario has no time band at 12:00:00")
    holes = replace(scenario, bands=(replace(scenario.bands[0], battery_bands=()),))
    assert demand.request(holes, a_standing(), policy, hardware) == Decline("E001", "the scenario has no battery range for 4500 Wh")
    assert matching.terms(wanted, replace(wanted, amount_wh=10), policy) == Decline("E002", "10 Wh gives no deal of at least 50 Wh")
    band = scenario.bands[0]
    picky_accepts = {status: {d: replace(c, pair_unit_id="E009") for d, c in wants.items()} for status, wants in band.accepts.items()}
    picky = replace(scenario, bands=(replace(band, accepts=picky_accepts),))
    assert demand.accept(wanted, picky, a_standing(), policy, hardware) == Decline("E001", "accepts from E009 only")


def test_a_transition_is_not_begun_when_a_running_deal_is_about_to_need_the_line() -> None:
    assert line_is_needed_soon(100.0, [102.3], 0.1)
    assert not line_is_needed_soon(100.0, [102.5, 500.0], 0.1)
    assert not line_is_needed_soon(100.0, [], 0.1)
    assert line_is_needed_soon(100.0, [114.0], 0.1, seen_s=15.0)


def test_a_deals_power_is_its_share_of_the_units() -> None:
    meter = Meter(350.0, 2.0, 700.0, 48.0, 13.0, 629.0, 26.0)
    assert deal_power_w(meter, 1, 1.0) == 314.5
    assert deal_power_w(meter, -1, -1.0) == -314.5
    assert deal_power_w(replace(meter, grid_current_a=0.0), 1, 1.0) == 0.0


def test_deals_begin_no_faster_than_the_line_can_end_them() -> None:
    assert beginning_apart_s(10.0, 100.0, [], 4.0) == 10.0
    assert beginning_apart_s(10.0, 100.0, [50.0, 115.0, 200.0], 4.0) == 10.0
    # It would be complete at 110: after 109 it is another one's turn, and then still another one's.
    assert beginning_apart_s(10.0, 100.0, [109.0], 4.0) == 13.0
    assert beginning_apart_s(10.0, 100.0, [116.0, 109.0, 112.0], 4.0) == 20.0


def test_a_unit_that_still_holds_the_voltage_goes_to_wait_before_its_partner_takes_it() -> None:
    deal = a_deal("E002", "E003")
    holding = Converter(mode_code=ConverterMode.VOLTAGE_REFERENCE, meter=Meter(grid_voltage_v=0.0, grid_current_a=0.0))
    waiting = Converter(mode_code=ConverterMode.WAIT, meter=Meter(grid_voltage_v=0.0, grid_current_a=0.0))
    policy = a_policy(4, large_capacity_unit_ids=())
    for holder, barred in (("E002", ()), ("E003", ("E003",))):
        other = "E003" if holder == "E002" else "E002"
        plan = plan_activation(deal, Line((deal,), {holder: holding, other: waiting}, policy, barred=barred))
        assert isinstance(plan, NotNow), plan
        assert plan.is_held
        assert holder in plan.reason
    # The one that shall hold it anyway just goes on.
    plan = plan_activation(deal, Line((deal,), {"E003": holding, "E002": waiting}, policy))
    assert isinstance(plan, Activation)
    assert plan.unit_id == "E003"
