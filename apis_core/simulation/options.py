"""What is simulated."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from ..emulator.houses import House, Losses
from ..model.hardware import Hardware
from ..model.modes import OperationMode
from ..model.policy import Policy
from ..model.scenario import Scenario
from ..presets import community_hardware, community_policy, community_scenario

# The bundled year begins on 1 January; 2021 is a year of 365 days that began on a Friday.
START = datetime(2021, 1, 1)  # noqa: DTZ001 - the houses' local time


@dataclass(frozen=True, slots=True)
class Member:
    """A unit that is like no other: what it can do, what it wants, and its battery at the start."""

    unit_id: str
    hardware: Hardware
    scenario: Scenario
    charge_pct: float


@dataclass(frozen=True, slots=True)
class Options:
    """One run: so many houses for so long, from a seed.

    `every_tick`: every periodic look and every word of the Grid Master is kept, as in a house; without it a look is made
    when there is something to see. `sharing` off leaves every converter in wait.
    `solars_kw`: the PV of each house, repeated likewise, instead of one for all. `zone`: whose time `start` is.
    `charges_pct`: the batteries at the start, house by house, repeated as often as it takes.
    `members`: units of their own kind, in the place of `units` that are alike.
    """

    units: int = 19
    days: float = 365.0
    seed: int = 1
    start: datetime = START
    scenario: Scenario | None = None
    policy: Policy | None = None
    load: Path | None = None
    solar: Path | None = None
    battery_wh: float = 4800.0
    solar_kw: float = 4.0
    solars_kw: tuple[float, ...] = ()
    load_scale: float = 1.0
    deal_current_a: float = 2.0
    deal_wh: int = 100
    charges_pct: tuple[float, ...] = (50.0,)
    zone: tzinfo = UTC
    every_tick: bool = False
    sharing: bool = True
    losses: Losses = field(default_factory=Losses)
    members: tuple[Member, ...] = ()

    @property
    def unit_ids(self) -> tuple[str, ...]:
        """E001, E002, ..., or the members' own."""
        if self.members:
            return tuple(member.unit_id for member in self.members)
        return tuple(f"E{number + 1:03}" for number in range(self.units))

    def with_members(self, members: tuple[Member, ...], policy: Policy, start: datetime, zone: tzinfo) -> Options:
        """The same for these units, from a time of the year on."""
        charges = tuple(member.charge_pct for member in members)
        local = start.replace(tzinfo=None)
        return replace(self, units=len(members), members=members, policy=policy, start=local, zone=zone, charges_pct=charges)

    def houses(self) -> tuple[House, ...]:
        """The houses, each with its own household of the data."""
        sizes = [member.hardware.battery_nominal_capacity_wh for member in self.members] or [self.battery_wh]
        return tuple(
            House(
                unit_id,
                number,
                state_of_charge_pct=self.charges_pct[number % len(self.charges_pct)],
                battery_wh=sizes[number % len(sizes)],
                solar_kw=self.solars_kw[number % len(self.solars_kw)] if self.solars_kw else self.solar_kw,
                load_scale=self.load_scale,
                losses=self.losses,
            )
            for number, unit_id in enumerate(self.unit_ids)
        )

    def chosen_policy(self) -> Policy:
        """The policy given, or one for this community; they share from the start."""
        policy = self.policy or community_policy(self.units, self.deal_current_a, self.deal_wh)
        # A community of people may begin in another mode, which somebody ends by hand: here is nobody who could.
        return replace(policy, operation_mode=OperationMode.AUTONOMOUS)

    def chosen_members(self) -> tuple[Member, ...]:
        """Every unit: its converter and battery, and its wishes."""
        if self.members:
            return self.members
        hardware, scenario = community_hardware(self.battery_wh), self.chosen_scenario()
        return tuple(Member(house.unit_id, hardware, scenario, house.state_of_charge_pct) for house in self.houses())

    def chosen_scenario(self) -> Scenario:
        """The wishes of units that are alike."""
        return self.scenario or community_scenario(self.battery_wh)
