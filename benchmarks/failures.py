"""What follows when something dies, measured in virtual time on an emulated line: `python -m benchmarks.failures > docs/failures.md`.

Four units, two running deals of 50 Wh (E002 to E003, E001 to E004) where a row does not say otherwise, the policy of an
existing installation with the role anywhere. The last column is what was measured with four unmodified nodes of the original suite on its own emulator.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
import logging
import sys
from typing import Any

from apis_core.model.converter import ConverterMode
from apis_core.model.deal import Deal
from apis_core.unit.board import LEASE
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.test_failures import Line, no_answer, reference, two_deals
from tests.test_kills import told_wh
from tests.test_stories import create, steer

CHARGES = {"E001": 60.0, "E002": 80.0, "E003": 50.0, "E004": 50.0}
POLICY = a_policy(grid_master_selection="anywhere", large_capacity_unit_ids=())


@dataclass
class Run:
    """What happened in one of them."""

    victims: tuple[str, ...] = ()
    master: str = ""
    off_s: float | None = None
    reference_off_s: float | None = None
    role_s: float | None = None
    obeyed_s: float | None = None
    without_reference_s: float = 0.0
    unsupervised_s: float = 0.0
    again_s: float = 0.0
    deals: list[Deal] = field(default_factory=list)
    unheld_s: float = 0.0
    error_pct: float = 0.0


async def holder_of(c: VirtualCommunity) -> str:
    """Who holds the lease."""
    entry = await c.hub.store.get(LEASE)
    return "" if entry is None or entry.value is None else str(entry.value["holder"])


def supervised(c: VirtualCommunity) -> set[str]:
    """Units whose converter somebody could command now: a Grid Master who may, the unit, and its device are all there."""
    nodes, faults = c.community.nodes, c.hub.faults
    there = {unit for unit in nodes if unit not in c.community.dead and not faults.stands_still(unit)}
    # The store is with those who are not cut off; without it nobody may command.
    masters = [unit for unit in there if nodes[unit].role.access is not None and faults.reaches("store", unit)]
    return {unit for unit in there if unit not in c.faults and any(faults.reaches(master, unit) for master in masters)}


class Flow:
    """For how long current flowed that nobody could command, and the line had no reference though deals were on it."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.longest_s = self.longest_without_s = 0.0
        self._since_s: dict[str, float] = {}
        self._without_s = 0.0

    def look(self, c: VirtualCommunity, seconds: float) -> None:
        """Once more, after so long."""
        modes = dict(zip(c.engine.index, map(ConverterMode, c.modes()), strict=True))
        left = {unit for unit, mode in modes.items() if mode is not ConverterMode.WAIT} - supervised(c)
        self._since_s = {unit: self._since_s.get(unit, 0.0) + seconds for unit in left}
        self.longest_s = max(self.longest_s, *self._since_s.values(), 0.0)
        is_wanted = any(deal.is_active for deal in c.community.board.deals())
        is_held = ConverterMode.VOLTAGE_REFERENCE in modes.values()
        self._without_s = self._without_s + seconds if is_wanted and not is_held else 0.0
        self.longest_without_s = max(self.longest_without_s, self._without_s)


async def measure(c: VirtualCommunity, run: Run, act: Callable[[VirtualCommunity, Run], Awaitable[Any]], *, idle: bool) -> None:
    """Start two deals (`idle`: none), do it, and watch until another deal has been made and kept."""
    line, flow = Line(c), Flow()
    if idle:
        await steer(c)
        await c.settle(20)
    else:
        await two_deals(c)
    line.longest_unheld_s, begun_s, run.master = 0.0, c.clock.monotonic(), await holder_of(c)
    was_reference = "" if idle else reference(c)
    epoch = c.community.nodes[run.master].controller.highest_epoch
    acting = asyncio.ensure_future(act(c, run))
    while not acting.done() or any(not deal.is_ended for deal in c.community.board.deals()) or (idle and run.obeyed_s is None):
        await c.settle(0.1)
        flow.look(c, 0.1)
        now_s = c.clock.monotonic() - begun_s
        newest = [node.controller.highest_epoch for unit, node in c.community.nodes.items() if unit not in c.community.dead]
        if run.role_s is not None and run.obeyed_s is None and sorted(newest)[-2] > epoch:
            run.obeyed_s = now_s
        off = [unit for unit in run.victims if unit in line.off_s and line.off_s[unit] >= begun_s]
        if run.victims and len(off) == len(run.victims) and run.off_s is None:
            currents = [line.off_s[unit] - begun_s for unit in off if unit != was_reference]
            run.off_s = max(currents, default=None)
            run.reference_off_s = next((line.off_s[unit] - begun_s for unit in off if unit == was_reference), None)
        if run.master in run.victims and run.role_s is None and await holder_of(c) not in (run.master, ""):
            run.role_s = now_s
    await acting
    run.unheld_s, run.unsupervised_s, run.without_reference_s = line.longest_unheld_s, flow.longest_s, flow.longest_without_s
    if c.community.dead:
        for unit in sorted(c.community.dead):
            await c.revive(unit)
    await c.settle(60)
    run.deals = list(await c.community.deals())
    run.again_s = await until_shared_again(c, begun_s)
    told = {unit: told_wh(c, unit) for unit in CHARGES}
    total = sum(abs(wh) for wh in line.exchanged_wh.values())
    run.error_pct = 100 * sum(abs(told[unit] - line.exchanged_wh[unit]) for unit in CHARGES) / total if total else 0.0
    line.task.cancel()


async def until_shared_again(c: VirtualCommunity, begun_s: float) -> float:
    """Make a small deal, and wait for its end."""
    deal = await create(c, "E001", "E004", 5)
    while True:
        found = {d.deal_id: d for d in await c.community.deals()}
        if found[deal.deal_id].is_ended:
            assert found[deal.deal_id].is_completed, found[deal.deal_id]
            return c.clock.monotonic() - begun_s
        await c.settle(1)


async def kill(c: VirtualCommunity, run: Run, *units: str) -> None:
    """End units at once."""
    run.victims = units
    await asyncio.gather(*(c.community.kill_unit(unit) for unit in units))


async def current_mode(c: VirtualCommunity, run: Run) -> None:
    """A unit in a current mode that is not Grid Master."""
    master = await holder_of(c)
    victim = next(u for u, m in zip(c.engine.index, c.modes(), strict=True) if ConverterMode(m).is_current_mode and u != master)
    await kill(c, run, victim)


async def the_reference(c: VirtualCommunity, run: Run) -> None:
    """The unit that holds the voltage."""
    await kill(c, run, reference(c))


async def the_master(c: VirtualCommunity, run: Run) -> None:
    """The Grid Master, which is not the reference."""
    await kill(c, run, await holder_of(c))


async def both(c: VirtualCommunity, run: Run) -> None:
    """Grid Master and reference in one."""
    holder = reference(c)
    node = c.community.nodes[await holder_of(c)]
    await node.role._lease.hand_to(holder)
    while await holder_of(c) != holder or not c.community.nodes[holder].role.is_held:
        await c.settle(0.1)
    run.master = holder
    await kill(c, run, holder)


async def everybody(c: VirtualCommunity, run: Run) -> None:
    """All units at once, back after a minute."""
    await kill(c, run, *CHARGES)
    await c.settle(60)
    for unit in CHARGES:
        await c.revive(unit)


async def frozen(c: VirtualCommunity, run: Run) -> None:
    """The Grid Master stands still for 90 s."""
    run.victims = (await holder_of(c),)
    c.hub.faults.freeze(run.victims[0])
    await c.settle(90)
    c.hub.faults.heal()


async def split(c: VirtualCommunity, run: Run) -> None:
    """Two units are cut off with the Grid Master for 90 s."""
    master = await holder_of(c)
    run.victims = tuple(sorted({master, next(unit for unit in sorted(CHARGES) if unit not in (master, reference(c)))}))
    c.hub.faults.cut(*run.victims)
    await c.settle(90)
    c.hub.faults.heal()


async def silent(c: VirtualCommunity, _run: Run) -> None:
    """The device of a unit in a current mode does not answer for four minutes."""
    master = await holder_of(c)
    victim = next(u for u, m in zip(c.engine.index, c.modes(), strict=True) if ConverterMode(m).is_current_mode and u != master)

    c.faults[victim] = no_answer
    await c.settle(240)
    c.faults.clear()


async def all_silent(c: VirtualCommunity, run: Run) -> None:
    """No device answers for 40 s."""
    run.victims = tuple(CHARGES)
    c.faults.update(dict.fromkeys(CHARGES, no_answer))
    await c.settle(40)
    c.faults.clear()


CASES: tuple[tuple[str, Callable[[VirtualCommunity, Run], Awaitable[Any]], str], ...] = (
    (
        "a unit in a current mode is killed",
        current_mode,
        "every deal is scrammed after 9.1 s, the reference after 14.1 s; the dead unit's converter stays on; role settled after 33 s",
    ),
    (
        "the voltage reference is killed",
        the_reference,
        "its converter holds 350 V until the process is back (four minutes); all deals are lost",
    ),
    ("the Grid Master is killed while no deal is on", the_master, "a Grid Master after 16.2 s"),
    ("the Grid Master is killed", the_master, "not measured: its Grid Master held the voltage, see the next row"),
    ("the Grid Master on the voltage reference is killed", both, "a Grid Master after 80.7 s, which scrams everything"),
    ("all units are killed, and back after 60 s", everybody, "converters stay as they are; deals are lost"),
    (
        "the Grid Master stands still for 90 s",
        frozen,
        "a settled Grid Master after 164 s; the thawed one drops the line under three current modes for up to a minute; all deals are lost",
    ),
    (
        "two units are cut off for 90 s, the Grid Master among them",
        split,
        "noticed after 62 s; both sides lose their deals; two Grid Masters from 75 s until 48 s after healing, then a scram",
    ),
    (
        "the device of a unit is silent for 240 s",
        silent,
        "the other, healthy deal is stopped after 57 s, the line goes down after 113 s; the silent converter stays on",
    ),
    (
        "no device answers for 40 s",
        all_silent,
        "every unit has an error after 12 s; when the devices are back everything is scrammed",
    ),
)


def _fate(deals: list[Deal]) -> str:
    kept = sum(deal.is_completed and not deal.interruptions for deal in deals)
    again = sum(deal.is_completed and bool(deal.interruptions) for deal in deals)
    ended = sum(not deal.is_completed for deal in deals)
    parts = [(kept, "go on"), (again, "start again and reach their amount"), (ended, "end with their energy and the reason")]
    return ", ".join(f"{number} {what}" for number, what in parts if number) or "-"


def _held(without_s: float, *, idle: bool) -> str:
    return "-" if idle else "held" if without_s <= 0 else f"not held for {without_s:.0f} s"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def main() -> None:
    """Print the table."""
    logging.disable(logging.CRITICAL)
    rows = []
    for name, act, original in CASES:
        run = Run()

        async def story(c: VirtualCommunity, run: Run = run, act: Any = act, idle: bool = "no deal is on" in name) -> None:
            await measure(c, run, act, idle=idle)

        in_virtual_time(story, CHARGES, POLICY)
        rows.append(
            f"| {name} | {_seconds(run.off_s)} | {_seconds(run.reference_off_s)} | {_seconds(run.role_s)} | {_seconds(run.obeyed_s)}"
            f" | {_fate(run.deals)} | {_held(run.without_reference_s, idle=not run.deals)} | {run.unsupervised_s:.1f} s | {run.unheld_s:.1f} s"
            f" | {run.error_pct:.2f} % | {original} |"
        )
    sys.stdout.write(HEAD + "\n".join(rows) + "\n" + FOOT)


HEAD = """# When something dies

Measured in virtual time on an emulated line with four units and two running deals; made by `python -m benchmarks.failures`.

* *current modes off*: until the converters of what died are off, those that charge or discharge;
* *reference off*: the same for the converter that held the line's voltage, which has to stay longer than all others;
* *role*: until somebody else is Grid Master; *obeyed*: until another unit has taken an order of the new one;
* *the line*: whether its voltage was held as long as there were deals on it;
* *unsupervised*: the longest that a converter was on while nobody could command it: its unit or its device gone, or no Grid
  Master who could reach it; its dead-man ends that, if only its device answers that;
* *unheld*: how long a converter stayed in a current mode on a line that nobody held;
* *books*: what all units have written down, against what their batteries really exchanged, after everybody is back.

| what happens | current modes off | reference off | role | obeyed | the two deals | the line | unsupervised | unheld | books off by | the original, measured |
|---|---|---|---|---|---|---|---|---|---|---|
"""
FOOT = """
A Grid Master that stands still is asked when its word has not come for 3 s, and followed if it answers nobody; one that has
nothing on, and so nothing to say, when its lease ends, after 15 s. What it says after that is refused. Deals go on
meanwhile, as their units know what was agreed.

In every case a new deal is made and kept afterwards, and the community's mode is what it was: nobody has to come and look.
"""

if __name__ == "__main__":
    main()
