"""Whatever dies, in whatever moment: the line stays safe, nothing is lost, and sharing goes on. All in virtual time."""

import asyncio
from typing import Any

import pytest

from apis_core.model.converter import ConverterMode
from apis_core.model.deal import Deal
from apis_core.model.errors import DriverError
from apis_core.model.modes import OperationMode
from apis_core.model.policy import Policy
from apis_core.ports import DeviceRequest
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.test_stories import create, energy_agrees, steer

CHARGES = {"E001": 60.0, "E002": 80.0, "E003": 50.0, "E004": 50.0}
ANYWHERE = a_policy(grid_master_selection="anywhere", large_capacity_unit_ids=())


class Line:
    """What the converters really do, sampled ten times a second."""

    def __init__(self, community: VirtualCommunity) -> None:
        self._community = community
        self.task = asyncio.create_task(self._watch())
        self.unheld_s = 0.0
        self.longest_unheld_s = 0.0
        self.two_references_s = 0.0
        self.off_s: dict[str, float] = {}
        # What each battery exchanged while its converter was on: what the books have to show.
        self.exchanged_wh = dict.fromkeys(community.engine.index, 0.0)

    async def _watch(self) -> None:
        c = self._community
        while True:
            modes = [ConverterMode(mode) for mode in c.modes()]
            references = [i for i, mode in enumerate(modes) if mode is ConverterMode.VOLTAGE_REFERENCE]
            currents = any(mode.is_current_mode for mode in modes)
            self.unheld_s = self.unheld_s + 0.1 if currents and not references else 0.0
            self.longest_unheld_s = max(self.longest_unheld_s, self.unheld_s)
            if len(references) > 1 and not all(c.engine.droop_ratio[i] for i in references):
                self.two_references_s += 0.1
            for unit, mode in zip(c.engine.index, modes, strict=True):
                if mode is not ConverterMode.WAIT:
                    self.exchanged_wh[unit] += float(c.engine.battery_power_w[c.engine.index[unit]]) * 0.1 / 3600
                if mode is ConverterMode.WAIT:
                    self.off_s.setdefault(unit, c.clock.monotonic())
                else:
                    self.off_s.pop(unit, None)
            await c.clock.sleep(0.1)


async def two_deals(
    c: VirtualCommunity, first: tuple[str, str] = ("E002", "E003"), second: tuple[str, str] = ("E001", "E004")
) -> list[Deal]:
    await steer(c)
    deals = [await create(c, *first, 50)]
    await c.started(1)
    deals.append(await create(c, *second, 50))
    await c.started(2)
    await c.settle(20)
    return deals


async def ended(c: VirtualCommunity) -> dict[str, Deal]:
    await c.no_deals()
    await c.settle(60)
    return {deal.deal_id: deal for deal in await c.community.deals()}


async def no_answer(request: DeviceRequest) -> Any:
    await asyncio.sleep(5)
    raise DriverError(f"{request.path}: no answer")


def reference(c: VirtualCommunity) -> str:
    (found,) = [unit for unit, mode in zip(c.engine.index, c.modes(), strict=True) if mode == ConverterMode.VOLTAGE_REFERENCE]
    return found


def master(c: VirtualCommunity) -> str:
    found = c.community.snapshot_now().grid_master
    assert found is not None
    return found


def all_in_wait(c: VirtualCommunity) -> bool:
    return set(c.modes()) == {ConverterMode.WAIT}


def test_a_dead_unit_in_a_current_mode_takes_only_its_own_deals() -> None:
    async def story(c: VirtualCommunity) -> None:
        own, other = await two_deals(c, ("E002", "E003"), ("E001", "E004"))
        line = Line(c)
        holder = reference(c)
        victim = next(unit for unit in own.unit_ids + other.unit_ids if unit not in (holder, master(c)))
        theirs = own if victim in own.unit_ids else other
        begun_s = c.clock.monotonic()
        await c.community.kill_unit(victim)
        await c.settle(9)
        assert line.off_s[victim] - begun_s <= 5 + 2.5
        deals = await ended(c)
        assert f"{victim} does not answer" in str(deals[theirs.deal_id].abort_reason)
        spared = other if theirs is own else own
        assert deals[spared.deal_id].is_completed, deals[spared.deal_id]
        assert c.community.board.mode is OperationMode.HETERONOMOUS
        assert all_in_wait(c)
        assert line.longest_unheld_s == 0
        for unit in set(CHARGES) - {victim}:
            energy_agrees(c, unit, tuple(deals.values()))
        line.task.cancel()

    in_virtual_time(story, CHARGES, ANYWHERE)


@pytest.mark.parametrize("with_role", [True, False])
def test_a_dead_voltage_reference_resets_the_deals_that_can_go_on(with_role: bool) -> None:
    async def story(c: VirtualCommunity) -> None:
        deals = await two_deals(c)
        line, holder = Line(c), reference(c)
        assert (master(c) == holder) is with_role
        survivor = next(deal for deal in deals if holder not in deal.unit_ids)
        before_wh = survivor_wh(c, survivor)
        assert before_wh > 1
        begun_s = c.clock.monotonic()
        await c.community.kill_unit(holder)
        await c.settle(45)
        others = [unit for deal in deals for unit in deal.unit_ids if unit != holder]
        assert line.longest_unheld_s == 0
        assert all(unit in line.off_s or c.modes()[c.engine.index[unit]] for unit in others)
        found = await ended(c)
        assert c.clock.monotonic() - begun_s < 3600
        finished = found[survivor.deal_id]
        assert finished.is_completed, finished
        assert len(finished.interruptions) == 1
        assert finished.resets == ()
        assert 50 <= finished.cumulate_amount_wh < 51
        lost = next(deal for deal in found.values() if holder in deal.unit_ids)
        assert f"{holder} does not answer" in str(lost.abort_reason)
        assert c.community.board.mode is OperationMode.HETERONOMOUS
        assert all_in_wait(c)
        for unit in survivor.unit_ids:
            energy_agrees(c, unit, tuple(found.values()))
        line.task.cancel()

    in_virtual_time(story, CHARGES, a_policy() if with_role else a_policy(grid_master_selection="fixed", grid_master_fixed_unit_id="E002"))


def survivor_wh(c: VirtualCommunity, deal: Deal) -> float:
    return c.community.nodes[deal.charge_unit_id].controller.account.deals[deal.deal_id].battery_wh


def test_a_dead_grid_master_off_the_line_is_followed_within_five_seconds() -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        old = master(c)
        units = [unit for unit in CHARGES if unit != old]
        givers = sorted(units, key=lambda unit: -CHARGES[unit])
        deal = await create(c, givers[0], givers[1], 50)
        await c.started(1)
        epoch = c.community.snapshot_now().epoch
        await c.community.kill_unit(old)
        await c.settle(5)
        assert master(c) != old
        assert c.community.snapshot_now().epoch > epoch
        found = await ended(c)
        assert found[deal.deal_id].is_completed
        assert found[deal.deal_id].interruptions == ()
        assert found[deal.deal_id].cumulate_amount_wh < 51
        assert c.community.grid_master_changes == 1

    in_virtual_time(story, CHARGES, ANYWHERE)


def test_an_idle_grid_master_that_dies_is_followed_and_the_next_deal_is_made_within_seconds() -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        await c.settle(20)
        old = master(c)
        await c.community.kill_unit(old)
        await c.settle(5)
        assert master(c) != old
        giver, taker = [unit for unit in sorted(CHARGES, key=lambda unit: -CHARGES[unit]) if unit != old][:2]
        deal = await create(c, giver, taker, 5)
        found = await ended(c)
        assert found[deal.deal_id].is_completed

    in_virtual_time(story, CHARGES, ANYWHERE)


def test_when_no_device_answers_for_forty_seconds_deals_end_in_order_and_new_ones_are_made() -> None:
    async def story(c: VirtualCommunity) -> None:
        deals = await two_deals(c)

        c.faults.update(dict.fromkeys(CHARGES, no_answer))
        await c.settle(40)
        c.faults.clear()
        found = await ended(c)
        assert all(found[deal.deal_id].scram_time is None for deal in deals)
        assert all(found[deal.deal_id].aborts or found[deal.deal_id].is_completed for deal in deals)
        assert c.community.board.mode is OperationMode.HETERONOMOUS
        again = await create(c, "E002", "E003", 5)
        assert (await ended(c))[again.deal_id].is_completed

    in_virtual_time(story, CHARGES, a_policy())


def test_when_all_units_die_at_once_the_guard_takes_current_modes_off_before_the_reference() -> None:
    async def story(c: VirtualCommunity) -> None:
        await two_deals(c)
        line, holder, begun_s = Line(c), reference(c), c.clock.monotonic()
        on = [unit for unit, mode in zip(c.engine.index, c.modes(), strict=True) if ConverterMode(mode).is_current_mode]
        assert len(on) == 3
        await asyncio.gather(*(c.community.kill_unit(unit) for unit in CHARGES))
        await c.settle(40)
        assert all_in_wait(c)
        assert line.longest_unheld_s == 0
        assert all(line.off_s[unit] - begun_s <= 5 + 2.5 for unit in on)
        assert max(line.off_s[unit] for unit in on) <= line.off_s[holder] <= begun_s + 35 + 2.5
        line.task.cancel()

    in_virtual_time(story, CHARGES)


def test_a_silent_driver_ends_only_its_units_deals_and_the_line_recovers() -> None:
    async def story(c: VirtualCommunity) -> None:
        own, other = await two_deals(c, ("E002", "E003"), ("E001", "E004"))
        holder = reference(c)
        victim = next(unit for unit in (*own.unit_ids, *other.unit_ids) if unit != holder and master(c) != unit)
        theirs, spared = (own, other) if victim in own.unit_ids else (other, own)

        async def silence(_request: DeviceRequest) -> Any:
            await asyncio.Event().wait()

        def cut(request: DeviceRequest) -> Any:
            return asyncio.wait_for(silence(request), 5)

        async def failing(request: DeviceRequest) -> Any:
            try:
                return await cut(request)
            except TimeoutError as error:
                raise DriverError(f"{request.path}: no answer") from error

        c.faults[victim] = failing
        await c.settle(240)
        assert c.modes()[c.engine.index[holder]] == ConverterMode.VOLTAGE_REFERENCE
        c.faults.clear()
        found = await ended(c)
        assert not found[theirs.deal_id].is_completed
        assert found[theirs.deal_id].scram_reason is None
        assert found[spared.deal_id].is_completed, found[spared.deal_id]
        assert c.community.board.mode is OperationMode.HETERONOMOUS
        assert all_in_wait(c)

    in_virtual_time(story, CHARGES)


@pytest.mark.parametrize("silent_s", [20, 34, 40, 60])
@pytest.mark.parametrize("hangs_s", [2, 60])
@pytest.mark.parametrize("policy", [ANYWHERE, a_policy()], ids=["anywhere", "on_the_reference"])
def test_when_the_references_own_device_is_silent_the_current_modes_leave_before_its_dead_man_can_reach_it(
    silent_s: float, hangs_s: float, policy: Policy
) -> None:
    async def story(c: VirtualCommunity) -> None:
        await two_deals(c, ("E002", "E003"), ("E001", "E004"))
        line, holder = Line(c), reference(c)

        async def failing(request: DeviceRequest) -> Any:
            await asyncio.sleep(hangs_s)
            raise DriverError(f"{request.path}: no answer")

        c.faults[holder] = failing
        await c.settle(silent_s)
        c.faults.clear()
        await c.settle(90)
        # Whatever became of the deals: no converter was left in a current mode on a line that nobody holds.
        assert line.longest_unheld_s == 0
        await ended(c)
        assert all_in_wait(c)
        for unit in set(CHARGES) - {holder}:
            energy_agrees(c, unit, await c.community.deals())
        line.task.cancel()

    in_virtual_time(story, CHARGES, policy)


@pytest.mark.parametrize("when", ["it begins", "the line rises", "it is complete"])
def test_a_device_that_does_not_answer_for_a_moment_costs_no_deal(when: str) -> None:
    async def story(c: VirtualCommunity) -> None:
        async def silent() -> Any:
            raise DriverError("no answer")

        async def for_a_moment() -> None:
            for unit in ("E001", "E003"):
                c.faults[unit] = lambda request: silent() if "/get/" in request.path else None
            await c.settle(2.5)
            c.faults.clear()

        await steer(c)
        if when == "it begins":
            moment = asyncio.create_task(for_a_moment())
        deal = await create(c, "E001", "E003", 10)
        if when == "the line rises":
            await c.until(lambda: ConverterMode.VOLTAGE_REFERENCE in c.modes())
            moment = asyncio.create_task(for_a_moment())
        if when == "it is complete":
            await c.started(1)
            begun_wh = float(c.engine.battery_integral_wh[2])
            await c.until(lambda: float(c.engine.battery_integral_wh[2]) - begun_wh >= 9.75)
            moment = asyncio.create_task(for_a_moment())
        found = await ended(c)
        await moment
        assert found[deal.deal_id].is_completed
        assert 10 <= found[deal.deal_id].cumulate_amount_wh < 11
        assert all_in_wait(c)

    in_virtual_time(story, CHARGES)
