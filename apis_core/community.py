"""The one interface that every face uses: the command line, the server, Home Assistant."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

from .model.deal import Deal
from .model.hardware import Hardware
from .model.modes import Command, OperationMode
from .model.policy import Policy
from .model.rule_change import RuleChange
from .model.scenario import Scenario
from .model.unit_plan import UnitPlan
from .model.view import Event, Snapshot
from .ports import Json


class Community(Protocol):
    """A community of units, in this process or elsewhere."""

    async def snapshot(self) -> Snapshot:
        """Units and deals now."""

    def subscribe(self, after: int | None = None) -> AsyncIterator[Event]:
        """Every event from now on, or what is still known of those after one that was seen (`Event.sequence`).

        A subscriber that does not keep up loses the oldest.
        """

    async def deals(self, start: datetime | None = None, end: datetime | None = None, unit_id: str | None = None) -> tuple[Deal, ...]:
        """Deals created within a span, past ones included, oldest first."""

    async def set_mode(self, mode: OperationMode | None, unit_id: str | None, who: str) -> None:
        """Set the community's mode, or with a unit its own (None: follow the community). Raises CommandRefusedError."""

    async def stop_all(self, who: str) -> dict[str, str]:
        """End all deals in order and put every converter to wait, each whatever becomes of the others.

        Whoever could not be stopped, with the reason; empty if all were.
        """

    async def set_scenario(self, unit_id: str, scenario: Scenario, who: str) -> None:
        """Give a unit another scenario. Raises CommandRefusedError."""

    async def create_deal(
        self,
        giver: str,
        taker: str,
        amount_wh: int,
        *,
        who: str,
        requester: str | None = None,
        current_a: float | None = None,
        point_per_wh: float | None = None,
        faults: tuple[str, ...] = (),
    ) -> Deal:
        """Make a deal that a person wants. Raises CommandRefusedError with the reason.

        `faults`: stages that fail on purpose (model.deal.FAULTS), between simulated units only.
        """

    async def stop_deal(self, deal_id: str, who: str) -> None:
        """End a deal in order. Raises CommandRefusedError if there is none."""

    async def control_converter(self, unit_id: str, command: Command, duration_s: float | None = None) -> None:
        """Drive a converter by hand, in manual mode only; after the duration it waits again. Raises CommandRefusedError."""

    async def inject_fault(self, unit_id: str, fault: Json, duration_s: float | None, who: str) -> None:
        """Let something go wrong with an emulated unit (`emulator.faults.UnitFault`); an empty fault makes it well.

        Raises CommandRefusedError for a real one.
        """

    async def declare_isolated(self, unit_id: str, who: str) -> None:
        """A person has taken a converter that nobody can reach off the line: it counts as off until its unit answers again.

        Raises CommandRefusedError if the unit answers.
        """

    async def join(self, unit_id: str, who: str) -> None:
        """Take a unit in as a member while the others share. Raises CommandRefusedError."""

    async def leave(self, unit_id: str, who: str) -> None:
        """Let a member go that has no deal, while the others share. Raises CommandRefusedError."""

    async def scenario(self, unit_id: str) -> Scenario:
        """What a unit wants at each time of the day. Raises CommandRefusedError."""

    async def scenario_versions(self, unit_id: str) -> tuple[Json, ...]:
        """Who has given a unit which scenario, and when, oldest first: `time`, `who`, `scenario`. Raises CommandRefusedError."""

    async def update_scenario_rule(self, unit_id: str, change: RuleChange, who: str) -> None:
        """Change one line of a unit's scenario: a new version of it. Raises CommandRefusedError."""

    async def set_preset(self, unit_id: str, preset: str, who: str) -> None:
        """Let a unit live by one of the shipped scenarios. Raises CommandRefusedError."""

    async def move_edges(self, unit_id: str, *, request_below_pct: float | None, offer_above_pct: float | None, who: str) -> None:
        """Ask below, or offer above, another state of charge; None leaves an edge where it is. Raises CommandRefusedError."""

    async def preview_scenario(self, unit_id: str, scenario: Scenario | None = None) -> Json:
        """What a unit would ask for and accept now, and at each hour of today with the charge it has; with its own scenario
        or with another. Raises CommandRefusedError.
        """

    async def statement(self, unit_id: str, start: datetime | None = None, end: datetime | None = None) -> tuple[Json, ...]:
        """What a unit exchanged with each partner in each month. Raises CommandRefusedError."""

    async def presets(self) -> tuple[str, ...]:
        """The names of the shipped scenarios."""

    async def resume(self, who: str) -> None:
        """Let the community share again after an emergency stop. Raises CommandRefusedError if there was none."""

    async def diagnostics(self) -> Json:
        """All that helps to find out what is wrong: what is shown, the policy, each unit's limits and scenario, the last events."""

    async def add_unit(self, plan: UnitPlan, who: str) -> None:
        """Begin to run a unit, which joins the community while the others share. Raises CommandRefusedError, or ApisError."""

    async def update_unit(self, plan: UnitPlan, who: str) -> None:
        """Run a unit as another plan says: its own deals end in order, those of others go on. Raises as `add_unit` does."""

    async def remove_unit(self, unit_id: str, who: str) -> None:
        """End a unit in order and let it go; deals of others go on. Raises CommandRefusedError."""

    async def check_limits(self, hardware: Hardware) -> tuple[str, ...]:
        """What of a unit's limits does not go with what the community has agreed on: a sentence for each."""

    async def checkpoint(self, *, hold: bool = False) -> None:
        """Bring what is kept on disk into whole files; nothing where they are elsewhere.

        `hold`: and let those be until the next checkpoint, while somebody copies them; what comes meanwhile is kept beside them.
        """

    async def policy(self) -> Policy:
        """What the community has agreed on."""

    async def propose(self, policy: Policy, who: str) -> None:
        """Change the policy, in mode stop and with the word of every member. Raises CommandRefusedError."""

    async def close(self) -> None:
        """Let go; a community in this process ends in order."""
