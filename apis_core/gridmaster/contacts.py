"""The Grid Master's word: told to every member each second while anything is on, and its own right to command."""

import asyncio
from collections.abc import Callable
import logging
import math

from ..model.contact import Contact, Target
from ..model.deal import Deal, Side
from ..model.errors import ApisError
from ..ports import Clock, Cluster, Json, Lease
from ..rules import energy, lifecycle, role
from ..rules.reference import Line
from ..unit.board import Board
from ..unit.settings import Settings
from ..unit.subjects import CONTACT
from ..waiting import wait_for_wall

_LOGGER = logging.getLogger(__name__)
ANSWER_S = 1.0


class RightLostError(ApisError):
    """Whether this unit is still Grid Master cannot be told: it commands nobody until it can."""


class Contacts:
    """One holding's contact with its members."""

    def __init__(
        self, settings: Settings, cluster: Cluster, board: Board, clock: Clock, lease: Lease, on_overtaken: Callable[[], None]
    ) -> None:
        """Nobody has been told anything. `on_overtaken`: a member has seen a higher epoch than this holding's."""
        self._on_overtaken = on_overtaken
        self._settings = settings
        self._cluster = cluster
        self._board = board
        self._clock = clock
        self._lease = lease
        self._sign_s = -math.inf
        self._telling_since_s: float | None = None
        self._acknowledged_s: dict[str, float] = {}
        self.heard_s: dict[str, float] = {}
        # Units that answer, but have been out of reach of their own device for so long: they count as silent.
        self.unspoken_s: dict[str, float] = {}
        # A member obeys nobody until the role is taken anew above the epoch that it has seen.
        self.is_overtaken = False
        self.complete_s: dict[str, float] = {}

    def message(self, line: Line) -> Contact:
        """The word as it is now; where nothing can break, nobody needs to know when to stop by itself."""
        if self._clock.is_quiet:
            return Contact(self._lease.epoch, 0.0, None)
        now_s = self._clock.wall()
        newest_s = max((self._acknowledged_s.get(unit, -math.inf) for unit in line.reference_unit_ids), default=-math.inf)
        age_s = None if newest_s == -math.inf else now_s - newest_s
        return Contact(self._lease.epoch, now_s - self._lease.renewed_wall_s, age_s, self._targets(line))

    def _targets(self, line: Line) -> dict[str, dict[str, Target]]:
        """Where each unit of each started deal stops it by itself."""
        started = {deal.deal_id: deal for deal in line.deals if deal.is_started}
        per_wall_s = 1 / self._clock.to_wall(1.0)
        moments_s = {deal_id: self._own_stop_s(deal, per_wall_s) for deal_id, deal in started.items()}
        spread_s = energy.one_after_the_other(moments_s, energy.NEXT_DEAL_S * per_wall_s)
        first, partner_s = line.master_side.opposite, energy.PARTNER_S * per_wall_s
        reference_side = Side(self._settings.policy.reference_side)
        return {
            deal_id: {
                unit_id: Target(round(wh, 6), round(spread_s[deal_id] + (0.0 if unit_id == deal.unit_on(first) else partner_s), 3))
                for unit_id, wh in energy.stop_targets_wh(deal, reference_side).items()
            }
            for deal_id, deal in started.items()
        }

    def _own_stop_s(self, deal: Deal, per_wall_s: float) -> float:
        assert deal.start_time is not None
        taken_s = (self._clock.now() - deal.start_time).total_seconds()
        due_s = self.complete_s.get(deal.deal_id)
        predicted_s = None if due_s is None else due_s - self._clock.monotonic()
        return energy.own_stop_s(predicted_s, taken_s, lifecycle.time_limit_s(deal, self._settings.policy), per_wall_s)

    def acknowledged(self, unit_id: str, renewed_s: float, sent_s: float) -> None:
        """A unit has answered a message that carried the renewal of `renewed_s`."""
        self._acknowledged_s[unit_id] = max(renewed_s, self._acknowledged_s.get(unit_id, -math.inf))
        self.heard_s[unit_id] = max(sent_s, self.heard_s.get(unit_id, -math.inf))

    async def tell(self, line: Line) -> None:
        """One round: every member hears it; a majority of answers is a sign that this unit is Grid Master."""
        members, sent_s, renewed_s = self._settings.policy.member_unit_ids, self._clock.wall(), self._lease.renewed_wall_s
        self._telling_since_s = sent_s if self._telling_since_s is None else self._telling_since_s
        answers = await self._cluster.scatter(members, CONTACT, self.message(line).to_json(), ANSWER_S)
        unspoken_s = {unit_id: _unspoken_s(answer) for unit_id, answer in answers.items()}
        followers = {
            unit_id: age_s
            for unit_id, age_s in unspoken_s.items()
            if age_s is not None and answers[unit_id].get("epoch") == self._lease.epoch
        }
        epochs = (answer.get("epoch") for answer in answers.values())
        newest = max((epoch for epoch in epochs if role.is_plausible(epoch, self._lease.epoch)), default=0)
        if newest > self._lease.epoch and not self.is_overtaken:
            self.is_overtaken = True
            self._on_overtaken()
        for unit_id, age_s in followers.items():
            # A guard cannot stop a converter that it does not reach: such a unit is no more silent than it says.
            self.unspoken_s[unit_id] = age_s if answers[unit_id].get("stopsItself") else 0.0
            # No reference promises more than its dead-man: what it has not spoken for, it has not acknowledged.
            self.acknowledged(unit_id, renewed_s - age_s, sent_s - self.unspoken_s[unit_id])
        if 2 * len(followers) > len(members):
            self._sign_s = max(self._sign_s, sent_s)

    def is_telling(self, for_s: float) -> bool:
        """Whether contact has gone on for so long without a break [wall s], so that silence means something."""
        return self._telling_since_s is not None and self._clock.wall() - self._telling_since_s >= for_s

    def rest(self) -> None:
        """Nothing is on: nobody is told anything, and nobody's silence counts."""
        self._telling_since_s = None

    async def confirm(self) -> None:
        """Make sure of the right to command: a sign no older than the policy's limit, or a renewal that succeeds now.

        Raises:
            RightLostError: if neither can be had.

        """
        if not self._lease.epoch:
            raise RightLostError("another unit is Grid Master")
        now_s, limit_s = self._clock.wall(), self._settings.policy.times.command_right_s
        renewed_s, length_s = self._lease.renewed_wall_s, self._settings.policy.times.lease_length_s
        if now_s - max(self._sign_s, renewed_s) <= limit_s and now_s < renewed_s + length_s:
            return
        try:
            renewed = await self._lease.renew()
        except ApisError as error:
            raise RightLostError(f"the lease cannot be renewed: {error}") from error
        if not renewed:
            raise RightLostError("another unit is Grid Master")

    async def pause(self, wake: asyncio.Event) -> None:
        """Until the next word is due."""
        await wait_for_wall(self._clock, self._clock.wall() + self._settings.policy.times.contact_period_s, wake)


def _unspoken_s(answer: Json) -> float | None:
    """For how long a member has not spoken for its converter [wall s]; None where what it says is no time: it acknowledges nothing."""
    told = answer.get("unspokenS", 0.0)
    return float(told) if isinstance(told, int | float) and 0 <= told < math.inf else None
