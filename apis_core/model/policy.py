"""The community's policy (the original's `policy.json`): what all units of a line have agreed on."""

from dataclasses import dataclass, field
from typing import Any

import probatio

from .deal import Side
from .errors import ConfigError, Problem
from .keys import Key, Notice, flag, mapping, number, one_of, read_keys, text, unit_ids, whole, write_keys
from .modes import OperationMode
from .safety_times import SafetyTimes


@dataclass(frozen=True, slots=True)
class Branch:
    """A piece of line with its own capacity: the units on either end of it."""

    forward_unit_ids: tuple[str, ...]
    backward_unit_ids: tuple[str, ...]
    current_capacity_a: float


@dataclass(frozen=True, slots=True)
class Policy:
    """All values of the policy, in V, A, Wh and seconds; the file's names stand in the table below."""

    member_unit_ids: tuple[str, ...]
    operation_grid_voltage_v: float
    operation_grid_voltage_min_v: float
    operation_grid_voltage_max_v: float
    grid_voltage_separation_v: float
    grid_voltage_allowance_v: float
    grid_current_step_a: float
    grid_uvlo_mask_v: float
    leak_allowance_per_unit_a: float
    sum_of_deal_grid_current_max_a: float
    deal_grid_current_a: float
    deal_amount_min_wh: int
    deal_amount_max_wh: int
    deal_amount_unit_wh: int
    discharge_unit_lower_limit_pct: float
    charge_unit_upper_limit_pct: float
    operation_mode: str = OperationMode.STOP
    large_capacity_unit_ids: tuple[str, ...] = ()
    grid_voltage_drop_allowance_v: float = 20.0
    grid_voltage_step_v: float = 350.0
    topology_enabled: bool = False
    branch_ids: tuple[str, ...] = ()
    branch_units: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    branch_current_capacity_a: dict[str, float] = field(default_factory=dict)
    checkpoint_limit: int = 3
    checkpoint_wait_s: float = 0.1
    ramp_up_timeout_s: float = 180.0
    authorisation_trials: int = 3
    scram_voltage_reference_delay_s: float = 5.0
    stop_me_timeout_s: float = 60.0
    data_acquisition_period_s: float = 5.0
    request_timeout_s: float = 5.0
    request_limit: int = 3
    error_sustaining_s: float = 30.0
    house_keeping_period_s: float = 60.0
    negotiation_timeout_s: float = 2.0
    voltage_reference_side: str = Side.CHARGE
    voltage_reference_take_over: str = "theoretical"
    master_deal_selection: str = "newestDeal"
    grid_master_selection: str = "voltageReferenceUnit"
    grid_master_fixed_unit_id: str | None = None
    reference_side: str = Side.CHARGE
    reset_limit: int = 3
    compensation_limit: int = 3
    compensation_drift_allowance_a: float = 0.03
    voltage_optimisation_enabled: bool = False
    data_collection_period_s: float = 5.0
    data_collection_timeout_s: float = 2.0
    main_loop_period_s: float = 5.0
    grid_master_error_sustaining_s: float = 30.0
    times: SafetyTimes = field(default_factory=SafetyTimes)

    @classmethod
    def from_json(cls, data: dict[str, Any], where: str = "policy") -> tuple[Policy, tuple[Notice, ...]]:
        """Read and check a file's content.

        Raises:
            ConfigError: with every problem.

        """
        values, notices = read_keys(_KEYS, data, where)
        policy = cls(**values)
        problems = policy._problems(where)
        if problems:
            raise ConfigError(problems)
        return policy, notices

    def to_json(self) -> dict[str, Any]:
        """The file's form."""
        return write_keys(_KEYS, self)

    @property
    def branches(self) -> dict[str, Branch]:
        """The line's branches, if its topology is evaluated."""
        if not self.topology_enabled:
            return {}
        return {
            branch_id: Branch(
                self.branch_units[branch_id]["forwardUnitIds"],
                self.branch_units[branch_id]["backwardUnitIds"],
                self.branch_current_capacity_a[branch_id],
            )
            for branch_id in self.branch_ids
        }

    def _problems(self, where: str) -> tuple[Problem, ...]:
        low, high, target = self.operation_grid_voltage_min_v, self.operation_grid_voltage_max_v, self.operation_grid_voltage_v
        members = set(self.member_unit_ids)
        checks: list[tuple[bool, str, str, str]] = [
            (low < high, "operationGridVoltageVRange", f"min {low} V, max {high} V", "min < max"),
            (low <= target <= high, "operationGridVoltageV", f"{target} V", f"a voltage within the range {low} to {high} V"),
            (
                high - low >= 5 * self.grid_voltage_separation_v,
                "gridVoltageSeparationV",
                f"{self.grid_voltage_separation_v} V",
                f"at most a fifth of the range's {high - low} V, or no voltage is left to prove the reference with",
            ),
            (
                self.deal_amount_min_wh <= self.deal_amount_max_wh,
                "mediator.deal",
                f"amountMinWh {self.deal_amount_min_wh}, amountMaxWh {self.deal_amount_max_wh}",
                "min <= max",
            ),
            (
                self.deal_amount_max_wh // self.deal_amount_unit_wh * self.deal_amount_unit_wh >= self.deal_amount_min_wh,
                "mediator.deal.amountUnitWh",
                f"{self.deal_amount_unit_wh} Wh",
                f"a step of which a multiple lies within {self.deal_amount_min_wh} to {self.deal_amount_max_wh} Wh",
            ),
            (
                self.discharge_unit_lower_limit_pct < self.charge_unit_upper_limit_pct,
                "gridMaster.deal.forceStopCondition",
                f"lower {self.discharge_unit_lower_limit_pct} %, upper {self.charge_unit_upper_limit_pct} %",
                "lower < upper",
            ),
            (
                set(self.large_capacity_unit_ids) <= members,
                "largeCapacityUnitIds",
                ", ".join(sorted(set(self.large_capacity_unit_ids) - members)),
                "units of memberUnitIds",
            ),
            (
                self.grid_master_selection != "fixed" or self.grid_master_fixed_unit_id in members,
                "gridMaster.gridMasterSelection.fixedUnitId",
                repr(self.grid_master_fixed_unit_id),
                "a unit of memberUnitIds",
            ),
            (bool(members), "memberUnitIds", "an empty list", "at least one unit"),
        ]
        period_s = max(self.data_acquisition_period_s, self.data_collection_period_s)
        checks += [(False, *problem) for problem in self.times.problems(len(members), self.scram_voltage_reference_delay_s, period_s)]
        if self.topology_enabled:
            topology = "safety.gridTopologyBasedEvaluation"
            checks += [
                (branch in self.branch_units, f"{topology}.branchAssociation.{branch}", "nothing", "forwardUnitIds and backwardUnitIds")
                for branch in self.branch_ids
            ]
            strangers = {unit for ends in self.branch_units.values() for units in ends.values() for unit in units} - members
            place = f"{topology}.branchAssociation"
            checks.append((not strangers, place, ", ".join(sorted(strangers)), "units of memberUnitIds"))
            checks += [
                (branch in self.branch_current_capacity_a, f"{topology}.branchCurrentCapacityA.{branch}", "nothing", "a current [A]")
                for branch in self.branch_ids
            ]
        return tuple(Problem(f"{where}: {place}", found, expected) for good, place, found, expected in checks if not good)


def _branch_units(value: Any) -> Any:
    ends = probatio.Schema({probatio.Required("forwardUnitIds"): unit_ids, probatio.Required("backwardUnitIds"): unit_ids})
    return ends(value)


def _ms(path: str, name: str, default_s: float, *, unused: str = "") -> Key:
    check = number(at_least=0) if unused or path in _MAY_BE_ZERO else number(above=0)
    return Key(path, name, check, default_s, scale=1000, unused=unused)


_MAY_BE_ZERO = (
    "controller.dcdc.checkpoint.retryWaitMsec",
    "controller.scramVoltageReferenceDelayMsec",
    "user.errorSustainingMsec",
    "gridMaster.errorSustainingMsec",
)
_SIDES = one_of(Side.CHARGE, Side.DISCHARGE)
_TOPOLOGY = "safety.gridTopologyBasedEvaluation"
_KEYS = (
    _ms(
        "refreshingPeriodMsec",
        "",
        5.0,
        unused="a policy is read at start; changing it while houses share is a proposal to all of them",
    ),
    Key("operationMode", "operation_mode", one_of(*OperationMode), OperationMode.STOP),
    Key("memberUnitIds", "member_unit_ids", unit_ids),
    Key("largeCapacityUnitIds", "large_capacity_unit_ids", unit_ids, ()),
    Key("operationGridVoltageV", "operation_grid_voltage_v", number(above=0)),
    Key("operationGridVoltageVRange.min", "operation_grid_voltage_min_v", number(at_least=0)),
    Key("operationGridVoltageVRange.max", "operation_grid_voltage_max_v", number(above=0)),
    Key("gridVoltageSeparationV", "grid_voltage_separation_v", number(above=0)),
    Key("gridVoltageAllowanceV", "grid_voltage_allowance_v", number(above=0)),
    Key("gridVoltageDropAllowanceV", "grid_voltage_drop_allowance_v", number(at_least=0), 20.0),
    Key("gridVoltageStepV", "grid_voltage_step_v", number(above=0), 350.0),
    Key("gridCurrentStepA", "grid_current_step_a", number(above=0)),
    Key("gridUvloMaskV", "grid_uvlo_mask_v", number(at_least=0)),
    Key("safety.sumOfDealingUnitGridCurrentAllowancePerUnitA", "leak_allowance_per_unit_a", number(above=0)),
    Key("safety.sumOfDealGridCurrentMaxA", "sum_of_deal_grid_current_max_a", number(above=0)),
    Key("safety.times", "times", SafetyTimes.from_json, SafetyTimes()),
    Key(f"{_TOPOLOGY}.enabled", "topology_enabled", flag, default=False),
    Key(f"{_TOPOLOGY}.branchIds", "branch_ids", unit_ids, ()),
    Key(f"{_TOPOLOGY}.branchAssociation", "branch_units", mapping(_branch_units), {}),
    Key(f"{_TOPOLOGY}.branchCurrentCapacityA", "branch_current_capacity_a", mapping(number(above=0)), {}),
    _ms("heloPeriodMsec", "", 5.0, unused="a second process of the cluster on this machine is refused by a lock, not found by a beacon"),
    Key("controller.dcdc.checkpoint.retryLimit", "checkpoint_limit", whole(at_least=1), 3),
    _ms("controller.dcdc.checkpoint.retryWaitMsec", "checkpoint_wait_s", 0.1),
    _ms("controller.dcdc.voltageReference.rampUp.first.timeoutMsec", "ramp_up_timeout_s", 180.0),
    Key("controller.dcdc.voltageReference.authorization.numberOfTrials", "authorisation_trials", whole(at_least=1), 3),
    _ms("controller.scramVoltageReferenceDelayMsec", "scram_voltage_reference_delay_s", 5.0),
    _ms("controller.stopMeTimeoutMsec", "stop_me_timeout_s", 60.0),
    _ms("controller.stopMeCheckPeriodMsec", "", 1.0, unused="the end of a deal is waited for as an event, not polled"),
    _ms("controller.dataAcquisitionPeriodMsec", "data_acquisition_period_s", 5.0),
    _ms("controller.requestTimeoutMsec", "request_timeout_s", 5.0),
    Key("controller.retryLimit", "request_limit", whole(at_least=1), 3),
    _ms("user.errorHandlingPeriodMsec", "", 1.0, unused="errors are handled when they happen"),
    _ms("user.errorSustainingMsec", "error_sustaining_s", 30.0),
    _ms("user.houseKeepingPeriodMsec", "house_keeping_period_s", 60.0),
    Key("mediator.deal.gridCurrentA", "deal_grid_current_a", number(above=0)),
    Key("mediator.deal.amountMinWh", "deal_amount_min_wh", whole(at_least=0)),
    Key("mediator.deal.amountMaxWh", "deal_amount_max_wh", whole(at_least=1)),
    Key("mediator.deal.amountUnitWh", "deal_amount_unit_wh", whole(at_least=1)),
    _ms("mediator.negotiationTimeoutMsec", "negotiation_timeout_s", 2.0),
    _ms("mediator.dealLoggingPeriodMsec", "", 5.0, unused="a deal's file is written at each of its transitions"),
    Key("gridMaster.voltageReferenceSide", "voltage_reference_side", _SIDES, Side.CHARGE),
    Key("gridMaster.voltageReferenceTakeOverDvg", "voltage_reference_take_over", one_of("theoretical", "actual"), "theoretical"),
    Key("gridMaster.masterDealSelection.strategy", "master_deal_selection", one_of("newestDeal"), "newestDeal"),
    Key(
        "gridMaster.gridMasterSelection.strategy",
        "grid_master_selection",
        one_of("anywhere", "fixed", "voltageReferenceUnit"),
        "voltageReferenceUnit",
    ),
    Key("gridMaster.gridMasterSelection.fixedUnitId", "grid_master_fixed_unit_id", text, None),
    _ms(
        "gridMaster.gridMasterEnsuring.interlockInconsistency.retryWaitMsec", "", 2.0, unused="the role is a lease that runs out by itself"
    ),
    _ms("gridMaster.gridMasterWatching.absence.ensureWaitMsec", "", 5.0, unused="the role is a lease that runs out by itself"),
    Key(
        "gridMaster.deal.forceStopCondition.dischargeUnitLowerLimitRsoc", "discharge_unit_lower_limit_pct", number(at_least=0, at_most=100)
    ),
    Key("gridMaster.deal.forceStopCondition.chargeUnitUpperLimitRsoc", "charge_unit_upper_limit_pct", number(at_least=0, at_most=100)),
    Key("gridMaster.deal.referenceSide", "reference_side", _SIDES, Side.CHARGE),
    Key("gridMaster.deal.resetLimit", "reset_limit", whole(at_least=1), 3),
    Key("gridMaster.currentCompensation.limitOfTrials", "compensation_limit", whole(at_least=0), 3),
    Key("gridMaster.currentCompensation.driftAllowanceA", "compensation_drift_allowance_a", number(above=0), 0.03),
    Key("gridMaster.gridVoltageOptimization.enabled", "voltage_optimisation_enabled", flag, default=False),
    _ms("gridMaster.heloPeriodMsec", "", 5.0, unused="two Grid Masters are kept apart by the lease's epoch, not by a beacon"),
    _ms("gridMaster.dataCollectionPeriodMsec", "data_collection_period_s", 5.0),
    _ms("gridMaster.dataCollectionTimeoutMsec", "data_collection_timeout_s", 2.0),
    _ms("gridMaster.mainLoopPeriodMsec", "main_loop_period_s", 5.0),
    _ms("gridMaster.errorSustainingMsec", "grid_master_error_sustaining_s", 30.0),
)
