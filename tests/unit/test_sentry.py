"""A unit's own timers, and words that are none."""

import math
from typing import Any

from hypothesis import given, strategies as st
import pytest

from apis_core.model.contact import Contact, Target
from apis_core.model.converter import ConverterMode
from apis_core.model.errors import MessageError
from apis_core.model.safety_times import SafetyTimes
from apis_core.rules.deadlines import Anchor
from apis_core.unit.subjects import CONTACT, LEAVING
from tests.builders import VirtualCommunity, in_virtual_time
from tests.test_failures import Line
from tests.test_stories import create, steer

CHARGES = {"E001": 60.0, "E002": 80.0, "E003": 50.0, "E004": 50.0}
TIMES = SafetyTimes()
ages = st.floats(0, 100)


@given(st.lists(st.tuples(ages, st.none() | ages), max_size=10))
def test_a_current_mode_always_has_to_leave_before_the_reference(heard: list[tuple[float, float | None]]) -> None:
    anchor = Anchor(0.0, 0.0)
    for now_s, (renewal_age_s, acknowledged_age_s) in enumerate(heard):
        anchor = anchor.heard(Contact(1, renewal_age_s, acknowledged_age_s), float(now_s))
    for mode in (ConverterMode.CHARGE, ConverterMode.DISCHARGE, None):
        current_s, reference_s = anchor.limit_s(mode, TIMES), anchor.limit_s(ConverterMode.VOLTAGE_REFERENCE, TIMES)
        assert current_s is not None
        assert reference_s is not None
        assert current_s + TIMES.current_mode_dead_man_s + 3.5 <= reference_s
    assert anchor.limit_s(ConverterMode.WAIT, TIMES) is None


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"epoch": 1, "renewalAgeS": 0, "acknowledgedAgeS": None},
        {"epoch": "x", "renewalAgeS": 0, "acknowledgedAgeS": None, "targets": {}},
        {"epoch": 1, "renewalAgeS": -5, "acknowledgedAgeS": None, "targets": {}},
        {"epoch": 1, "renewalAgeS": math.nan, "acknowledgedAgeS": None, "targets": {}},
        {"epoch": 1, "renewalAgeS": 0, "acknowledgedAgeS": -1, "targets": {}},
        {"epoch": 1, "renewalAgeS": 0, "acknowledgedAgeS": None, "targets": {"d": {"E001": [1]}}},
    ],
)
def test_words_that_would_keep_a_converter_on_for_ever_are_refused(data: Any) -> None:
    with pytest.raises(MessageError, match="contact"):
        Contact.from_json(data)


def test_a_contact_survives_its_form() -> None:
    contact = Contact(7, 0.5, 1.5, {"d": {"E001": Target(50.25, 12.0)}})
    assert Contact.from_json(contact.to_json()) == contact


def test_an_older_epochs_word_changes_nothing() -> None:
    async def story(c: VirtualCommunity) -> None:
        node = c.community.nodes["E002"]
        before = node.sentry.overdue_s(ConverterMode.CHARGE)
        epoch = node.controller.highest_epoch
        answer = await c.hub.ends["E001"].request("E002", CONTACT, Contact(epoch - 1, 0.0, 0.0).to_json(), 1.0)
        assert answer["epoch"] == epoch
        assert node.sentry.overdue_s(ConverterMode.CHARGE) == before

    in_virtual_time(story, CHARGES)


def test_without_a_word_current_modes_leave_after_25_s_and_the_reference_ten_later() -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        await create(c, "E002", "E003", 50)
        await c.started(1)
        await c.settle(5)
        line, begun_s = Line(c), c.clock.monotonic()
        # Every unit goes on, but nobody is Grid Master any more.
        for node in c.community.nodes.values():
            node.role.reachable = frozenset
        for node in c.community.nodes.values():
            await node.role.step_down()
        await c.settle(20)
        assert "E002" not in line.off_s
        await c.settle(20)
        # They count from the last renewal of the lease, which may be three seconds older than the last word.
        assert 21 <= line.off_s["E002"] - begun_s <= 27.5
        assert 31 <= line.off_s["E003"] - begun_s <= 37.5
        assert line.longest_unheld_s == 0
        line.task.cancel()

    in_virtual_time(story, CHARGES)


def test_a_leaving_reference_takes_its_current_modes_along() -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        deal = await create(c, "E002", "E003", 50)
        await c.started(1)
        await c.settle(5)
        await c.hub.ends["E003"].publish(LEAVING, {"unitId": "E003"})
        await c.settle(0.5)
        assert c.modes()[c.engine.index["E002"]] == ConverterMode.WAIT
        await c.no_deals()
        (ended,) = await c.community.deals()
        assert ended.deal_id == deal.deal_id
        assert ended.is_completed
        assert [mark.reason for mark in ended.interruptions] == ["E002 stopped it: the voltage reference E003 leaves"]

    in_virtual_time(story, CHARGES)


def test_a_line_that_drops_is_left_within_seconds() -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        await create(c, "E002", "E003", 50)
        await c.started(1)
        await c.settle(5)
        line = Line(c)
        c.engine.set_mode(c.engine.index["E003"], ConverterMode.WAIT, 0, 0, 0)
        await c.settle(10)
        assert 0 < line.longest_unheld_s <= 3
        line.task.cancel()
        await c.no_deals()
        (ended,) = await c.community.deals()
        assert ended.is_completed, ended
        assert len(ended.interruptions) == 1

    in_virtual_time(story, CHARGES)
