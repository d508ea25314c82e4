"""A unit's own converter: epochs, deadlines, strikes, self-protection, and the energy it counts."""

import asyncio
from typing import Any

import pytest

from apis_core.model.converter import ConverterMode
from apis_core.model.errors import Category, CommandRefusedError, DriverError, ErrorReport, Extent, Level
from apis_core.model.modes import Command, CommandKind, OperationMode
from apis_core.ports import DeviceRequest
from apis_core.unit import deal_log
from apis_core.unit.errors import QUEUE_LENGTH
from tests.builders import NOON, UTC_ZONE, VirtualCommunity, a_deal, a_hardware, a_policy, in_virtual_time

CHARGES = {"E001": 70.0, "E002": 80.0, "E003": 50.0}


def command(kind: CommandKind, epoch: int, **params: Any) -> Command:
    return Command(kind, epoch, 16.0, **params)


def errors(c: VirtualCommunity, level: str = "ERROR") -> list[str]:
    return [e.data["message"] for e in c.community.events if e.kind == "error" and e.data["level"] == level]


def test_an_older_epoch_is_refused_also_after_a_restart() -> None:
    async def story(c: VirtualCommunity) -> None:
        controller = c.community.nodes["E001"].controller
        await controller.execute(command(CommandKind.WAIT, 7))
        with pytest.raises(CommandRefusedError, match="found epoch 6, expected at least 7"):
            await controller.execute(command(CommandKind.WAIT, 6))
        await c.community.nodes["E001"].kill()
        again = c.a_node("E001", a_hardware(), c.community.nodes["E002"].settings.scenario)
        await again.start()
        assert again.controller.highest_epoch == 7
        await again.kill()
        c.community.dead.add("E001")

    in_virtual_time(story, CHARGES)


def test_a_units_own_mode_survives_a_restart() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.STOP, "E001", "test")
        await c.community.nodes["E001"].kill()
        again = c.a_node("E001", a_hardware(), c.community.nodes["E002"].settings.scenario)
        await again.start()
        assert again.local_mode is OperationMode.STOP
        await again.kill()
        c.community.dead.add("E001")

    in_virtual_time(story, CHARGES)


def test_a_command_that_comes_too_late_is_not_begun() -> None:
    async def story(c: VirtualCommunity) -> None:
        controller = c.community.nodes["E001"].controller

        async def slow(request: DeviceRequest) -> Any:
            await asyncio.sleep(10)
            return await c.world.send(request)

        c.faults["E001"] = lambda request: slow(request) if "/set/" in request.path else None
        first = asyncio.create_task(controller.execute(command(CommandKind.VOLTAGE_REFERENCE, 1)))
        await c.settle(1)
        with pytest.raises(CommandRefusedError, match="came too late"):
            await controller.execute(Command(CommandKind.AUTHORISE, 1, 2.0))
        await first
        c.faults.clear()

    in_virtual_time(story, CHARGES)


def test_a_units_own_stop_interrupts_what_a_grid_master_ordered() -> None:
    async def story(c: VirtualCommunity) -> None:
        controller = c.community.nodes["E001"].controller
        await c.community.set_mode(OperationMode.MANUAL, None, "test")
        await controller.execute(command(CommandKind.VOLTAGE_REFERENCE, 1))
        await c.settle(130)
        proof = asyncio.create_task(controller.execute(command(CommandKind.AUTHORISE, controller.highest_epoch)))
        await c.settle(0.15)
        await controller.stop_local("test")
        with pytest.raises(CommandRefusedError, match="interrupted by the unit's own stop"):
            await proof
        assert controller.converter.mode is ConverterMode.WAIT

    in_virtual_time(story, CHARGES)


def test_a_device_that_shows_another_mode_is_an_error() -> None:
    async def story(c: VirtualCommunity) -> None:
        async def lie(request: DeviceRequest) -> Any:
            answer = await c.world.send(request)
            return {**answer, "status": {**answer["status"], "operationMode": "Dancing"}}

        c.faults["E001"] = lambda request: lie(request) if "/set/dcdc/E001" in request.path else None
        with pytest.raises(DriverError, match="the converter shows 'Dancing', expected 'Grid Autonomy'"):
            await c.community.nodes["E001"].controller.execute(command(CommandKind.VOLTAGE_REFERENCE, 1))
        c.faults.clear()

    in_virtual_time(story, CHARGES)


@pytest.mark.parametrize(
    "answer",
    [{}, [], {"dcdc": 1, "emu": {}}, {"dcdc": {"meter": {"vg": "x"}}, "emu": {}}, {"dcdc": {}, "emu": {"rsoc": 200}}, "text"],
)
def test_answers_that_are_none_are_driver_errors(answer: Any) -> None:
    async def story(c: VirtualCommunity) -> None:
        async def nonsense() -> Any:
            return answer

        c.faults["E001"] = lambda _request: nonsense()
        with pytest.raises(DriverError):
            await c.community.nodes["E001"].controller.refresh()
        c.faults.clear()

    in_virtual_time(story, CHARGES)


def test_an_active_converter_without_a_deal_is_ordered_off() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.settle(10)
        c.engine.set_mode(0, ConverterMode.VOLTAGE_REFERENCE, 350, 2, 0)
        await c.settle(20)
        assert "converters on without a deal go to wait: E001" in errors(c, "WARN")
        assert c.modes()[0] == ConverterMode.WAIT

    in_virtual_time(story, CHARGES)


@pytest.mark.parametrize("when", ["while it rises", "while it is held"])
def test_a_second_voltage_reference_without_a_deal_is_ordered_off_whatever_else_goes_on(when: str) -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        deal_id = (await c.community.create_deal("E001", "E002", 100, who="test")).deal_id
        if when == "while it is held":
            await c.started(1)
        else:
            await c.until(lambda: ConverterMode.VOLTAGE_REFERENCE in c.modes())
        held = c.modes().index(ConverterMode.VOLTAGE_REFERENCE)
        c.engine.set_mode(2, ConverterMode.VOLTAGE_REFERENCE, 350, 2, 0)
        await c.settle(12)
        assert c.modes()[2] is ConverterMode.WAIT
        assert c.modes()[held] is ConverterMode.VOLTAGE_REFERENCE
        assert "second voltage references leave the line's voltage: E003" in errors(c, "WARN")
        await c.settle(1800)
        found = next(deal for deal in c.database.deals("E001") if deal.deal_id == deal_id)
        assert found.is_completed

    in_virtual_time(story, CHARGES)


def test_a_hard_limit_stops_the_unit_at_once_and_ends_its_deals() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        await c.community.create_deal("E001", "E002", 500, who="test")
        await c.started(1)

        async def hot(request: DeviceRequest) -> Any:
            answer = await c.world.send(request)
            answer["dcdc"]["meter"]["tmp"] = 99.0
            return answer

        c.faults["E002"] = lambda request: hot(request) if "/get/unit" in request.path else None
        await c.settle(6)
        assert c.modes()[1] == ConverterMode.WAIT
        assert any("temperature_c is 99" in message for message in errors(c))
        c.faults.clear()
        await c.no_deals(60)
        (deal,) = await c.community.deals()
        assert "temperature_c is 99" in str(deal.abort_reason) or "went to wait by itself" in str(deal.abort_reason)

    in_virtual_time(story, CHARGES)


def test_a_unit_with_an_error_of_its_own_makes_no_deals_for_a_while() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        node = c.community.nodes["E001"]
        node.errors.report(ErrorReport("E001", Category.USER, Extent.LOCAL, Level.ERROR, "test"))
        with pytest.raises(CommandRefusedError, match="had an error a moment ago"):
            await c.community.create_deal("E001", "E002", 5, who="test")
        await c.settle(31)
        await c.community.create_deal("E001", "E002", 5, who="test")
        await c.no_deals()

    in_virtual_time(story, CHARGES)


def test_an_alert_of_the_community_refuses_deals_until_it_is_over() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        await c.community.create_deal("E001", "E002", 500, who="test")
        await c.started(1)
        report = ErrorReport("E001", Category.LOGIC, Extent.GLOBAL, Level.ERROR, "odd")
        await c.community.nodes["E002"].cluster.publish("error", report.to_json())
        await c.settle(0.5)
        with pytest.raises(CommandRefusedError, match="no new deals now: odd"):
            await c.community.create_deal("E001", "E003", 5, who="test")
        await c.no_deals()
        (deal,) = await c.community.deals()
        assert deal.abort_reason == "odd"
        await c.settle(40)
        await c.community.create_deal("E001", "E003", 5, who="test")
        await c.no_deals()

    in_virtual_time(story, CHARGES)


def test_reports_that_come_while_one_is_dealt_with_are_dealt_with_as_well() -> None:
    async def story(c: VirtualCommunity) -> None:
        node = c.community.nodes["E001"]
        for message in ("one", "one", "two"):
            node.errors.report(ErrorReport("E001", Category.USER, Extent.LOCAL, Level.ERROR, message))
        for _ in range(QUEUE_LENGTH + 5):
            node.errors.report(ErrorReport("E001", Category.USER, Extent.LOCAL, Level.WARN, "full"))
        assert node.errors.dropped > 0
        await c.settle(5)
        recorded = [report.message for _, report in c.database.errors("E001")]
        assert {"one", "two"} <= set(recorded)

    in_virtual_time(story, CHARGES)


def test_a_person_is_never_stopped_by_an_epoch() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.nodes["E001"].controller.execute(command(CommandKind.WAIT, 9))
        await c.community.set_mode(OperationMode.MANUAL, None, "test")
        await c.settle(1)
        await c.community.control_converter("E001", command(CommandKind.VOLTAGE_REFERENCE, 0))
        assert c.community.nodes["E001"].controller.highest_epoch == 9

    in_virtual_time(story, CHARGES)


def test_deal_logs_have_the_originals_place_and_form(tmp_path: Any) -> None:
    pattern = f"'{tmp_path}/dealLog/'uuuu'/'MM'/'dd"
    assert deal_log.expand("'a'uuuu-MM-dd HH:mm:ss'b'", NOON) == "a2020-06-01 12:00:00b"
    assert not deal_log.worth_logging(a_deal())
    path = deal_log.write(a_deal(activate_time=NOON), pattern, UTC_ZONE)
    assert path == tmp_path / "dealLog/2020/06/01/E002-E003"
    assert path.read_text().startswith('{"dealId":"E002-E003"')


def test_a_deal_log_that_cannot_be_written_is_a_warning_and_nothing_else() -> None:
    async def story(c: VirtualCommunity) -> None:
        node = c.community.nodes["E001"]
        node.answers.deal_log_format = "'/proc/nowhere'"
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        await c.community.create_deal("E001", "E002", 5, who="test")
        await c.no_deals()
        assert any("deal log" in message for message in errors(c, "WARN"))
        assert (await c.community.deals())[0].is_completed

    in_virtual_time(story, CHARGES)


def test_compensation_trims_until_the_reference_carries_its_share() -> None:
    """The giver's sensor is off: it pushes 0.1 A more than it is told, until it is trimmed."""

    async def story(c: VirtualCommunity) -> None:
        async def off(request: DeviceRequest) -> Any:
            answer = await c.world.send(request)
            unit = c.engine.index["E002"]
            if c.engine.mode[unit] == 2:
                c.engine.grid_current_a[unit] -= 0.1
                c.engine.grid_current_a[c.engine.index["E003"]] += 0.1
            return answer

        c.faults["E002"] = lambda request: off(request) if "/set/" in request.path else None
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        await c.community.create_deal("E002", "E003", 5, who="test", requester="E003")
        await c.started(1)
        assert c.engine.current_limit_a[c.engine.index["E002"]] == pytest.approx(0.9)
        (deal,) = c.community.board.deals()
        assert deal.charge_compensated_a == pytest.approx(1.0)
        c.faults.clear()
        await c.no_deals()

    in_virtual_time(story, CHARGES, a_policy(3, large_capacity_unit_ids=()))


def test_compensation_that_does_not_come_together_ends_the_deal() -> None:
    async def story(c: VirtualCommunity) -> None:
        asked = iter(range(1, 100))

        async def deaf(request: DeviceRequest) -> Any:
            c.engine.grid_current_a[c.engine.index["E003"]] += 0.2 * next(asked)
            return await c.world.send(request)

        c.faults["E003"] = lambda request: deaf(request) if "/get/dcdc/status" in request.path else None
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        await c.community.create_deal("E002", "E003", 5, who="test", requester="E003")
        await c.no_deals()
        (deal,) = await c.community.deals()
        assert deal.abort_time is not None
        assert deal.start_time is None
        c.faults.clear()

    in_virtual_time(story, CHARGES, a_policy(3, large_capacity_unit_ids=()))
