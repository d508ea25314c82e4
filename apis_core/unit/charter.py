"""What the community has agreed on: its policy and its members, as one versioned record that every unit has acknowledged.

A change is proposed to the members, durable at each before it is acknowledged, and holds from the moment it is in the
store. A unit that was away finds it there.
"""

from collections.abc import Awaitable, Callable
import logging
import math

from ..model.converter import ConverterMode
from ..model.deal import Deal
from ..model.errors import ClusterError, CommandRefusedError, ConfigError, MessageError, StoreConflictError
from ..model.modes import OperationMode
from ..model.policy import Policy
from ..ports import Clock, Cluster, Entry, Json, Ledger
from ..rules.charter import refusal, with_members
from ..rules.modes import global_mode
from .board import CHARTER, DEAL, ISOLATED, MODE, Board
from .settings import Settings
from .subjects import PROPOSAL

_LOGGER = logging.getLogger(__name__)
ACKNOWLEDGE_S = 5.0
# How long a unit that has acknowledged a change makes no deals, should the change never come.
CHANGE_S = 30.0


class Charter:
    """One unit's part in it."""

    def __init__(self, settings: Settings, cluster: Cluster, board: Board, ledger: Ledger, clock: Clock) -> None:
        """Nothing has been agreed on beside the policy the unit came with."""
        self._settings = settings
        self._cluster = cluster
        self._board = board
        self._ledger = ledger
        self._clock = clock
        self.version = 0
        self.mode_of_converter: Callable[[], ConverterMode | None] = lambda: None
        self.on_change: Callable[[Policy], Awaitable[None]] = _nothing
        self.before_leaving: Callable[[], Awaitable[None]] = _nobody_leads
        self._changing_until_s = -math.inf
        cluster.handle(PROPOSAL, self._on_proposal)

    @property
    def is_changing(self) -> bool:
        """Whether this unit has acknowledged a change that its deals would be in the way of, a moment ago."""
        return self._clock.wall() < self._changing_until_s

    async def follow(self, value: Json | None) -> bool:
        """Take over what the store says has been agreed on; whether that was new."""
        if value is None or int(value.get("version", 0)) <= self.version:
            return False
        policy = _policy(value)
        changed, self.version = policy != self._settings.policy, int(value["version"])
        self._changing_until_s = -math.inf
        self._settings.policy = policy
        if changed:
            _LOGGER.info("%s: policy version %d holds, proposed by %s", self._settings.unit_id, self.version, value.get("who"))
            await self.on_change(policy)
        return changed

    async def join(self, unit_id: str, who: str) -> None:
        """Take a unit in. Raises CommandRefusedError."""
        await self._catch_up()
        members = self._settings.policy.member_unit_ids
        if unit_id in members:
            raise CommandRefusedError(f"{unit_id} is a member already")
        await self.propose(with_members(self._settings.policy, {*members, unit_id}), who)

    async def leave(self, unit_id: str, who: str) -> None:
        """Let a unit go. Raises CommandRefusedError."""
        await self._catch_up()
        members = self._settings.policy.member_unit_ids
        if unit_id not in members:
            raise CommandRefusedError(f"unit {unit_id}: expected one of {', '.join(members)}")
        await self.propose(with_members(self._settings.policy, set(members) - {unit_id}), who)

    async def propose(self, policy: Policy, who: str) -> None:
        """Change the policy or its members once everybody concerned has acknowledged it: all live members for members, else all.

        Raises:
            CommandRefusedError: with the reason, or with who did not acknowledge it; nothing has changed then.

        """
        try:
            Policy.from_json(policy.to_json())
        except ConfigError as error:
            raise CommandRefusedError(str(error)) from error
        entry = await self._catch_up()
        old = self._settings.policy
        reason = refusal(old, policy, self._board.mode, self._board.deals())
        if reason is not None:
            raise CommandRefusedError(reason)
        record = {
            "version": _version(entry) + 1,
            "policy": policy.to_json(),
            "who": who,
            "file": ((entry and entry.value) or {}).get("file", ""),
        }
        await self._acknowledged(old, policy, record)
        # A deal may have been made, or the mode changed, while the last of them was asked.
        reason = refusal(old, policy, *await self._as_stored())
        if reason is not None:
            raise CommandRefusedError(reason)
        for unit_id in set(policy.member_unit_ids) - set(old.member_unit_ids):
            await self._cluster.store.delete(ISOLATED + unit_id)
        try:
            if entry is None:
                await self._cluster.store.create(CHARTER, record)
            else:
                await self._cluster.store.update(CHARTER, record, entry.revision)
        except StoreConflictError as error:
            raise CommandRefusedError("somebody else has changed the policy meanwhile") from error

    async def _catch_up(self) -> Entry | None:
        """What holds as the store has it: a change is built on nothing older."""
        entry = await self._cluster.store.get(CHARTER)
        if entry is not None:
            await self.follow(entry.value)
        return entry

    async def _as_stored(self) -> tuple[OperationMode, list[Deal]]:
        mode = await self._cluster.store.get(MODE)
        stored = (mode.value or {}).get("mode") if mode is not None else None
        deals = [Deal.from_json(entry.value) for entry in await self._cluster.store.items(DEAL)]
        return global_mode(stored, self._settings.policy.operation_mode), deals

    async def _acknowledged(self, old: Policy, new: Policy, record: Json) -> None:
        everybody = {*old.member_unit_ids, *new.member_unit_ids}
        moving = set(old.member_unit_ids) ^ set(new.member_unit_ids)
        # Only who goes can be taken for off on a person's word: who comes has to say it.
        isolated = {unit for unit in everybody - set(new.member_unit_ids) if self._board.value(ISOLATED + unit) is not None}
        wanted = everybody - isolated
        if new == with_members(old, new.member_unit_ids):
            # Who is away cannot be asked; but a unit that comes or goes has to say that its converter is off.
            wanted = wanted & self._cluster.live() | (moving - isolated)
        missing = []
        for unit_id in sorted(wanted):
            try:
                await self._cluster.request(unit_id, PROPOSAL, record, ACKNOWLEDGE_S)
            except ClusterError as error:
                missing.append(f"{unit_id} ({error})")
        if missing:
            raise CommandRefusedError(f"not acknowledged by {', '.join(missing)}")

    async def _on_proposal(self, sender: str, message: Json) -> Json:
        """Durable here before it is acknowledged; it holds when it is in the store.

        Raises:
            CommandRefusedError: with the reason why this unit does not agree.

        """
        policy, old, unit_id, version = _policy(message), self._settings.policy, self._settings.unit_id, message.get("version")
        if not isinstance(version, int) or version <= self.version:
            raise CommandRefusedError(f"{unit_id}: found version {version!r:.40}, expected a whole number above {self.version}")
        reason = refusal(old, policy, self._board.mode, self._board.deals())
        if reason is not None:
            raise CommandRefusedError(f"{unit_id}: {reason}")
        moves = (unit_id in old.member_unit_ids) != (unit_id in policy.member_unit_ids)
        if moves and self.mode_of_converter() is not ConverterMode.WAIT:
            raise CommandRefusedError(f"{unit_id}: its converter is on")
        if moves or policy != with_members(old, policy.member_unit_ids):
            # No deal of this unit comes in between.
            self._changing_until_s = self._clock.wall() + CHANGE_S
        if moves and unit_id in old.member_unit_ids:
            await self.before_leaving()
        await self._ledger.set_state("proposal", {**message, "from": sender})
        return {"version": version}


def _version(entry: Entry | None) -> int:
    return 0 if entry is None or entry.value is None else int(entry.value.get("version", 0))


def _policy(message: Json) -> Policy:
    try:
        return Policy.from_json(message["policy"])[0]
    except (KeyError, TypeError, AttributeError, ConfigError) as error:
        raise MessageError(f"policy: {error}") from error


async def _nobody_leads() -> None:
    """A unit on its own leads nobody."""


async def _nothing(_policy: Policy) -> None:
    """A unit on its own has nobody to tell."""
