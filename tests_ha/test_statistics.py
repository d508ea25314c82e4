"""Energy by the hour: as the ledger has it, written once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.recorder.statistics import statistics_during_period
from homeassistant.core import HomeAssistant
from homeassistant.helpers.recorder import get_instance
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed
from pytest_homeassistant_custom_component.components.recorder.common import async_wait_recording_done

from apis_core.model.deal import SideEnergy
from apis_core.model.errors import ClusterError
from apis_core.model.hourly import HOUR, hour_of
from custom_components.apis.statistics import async_write, statistic_id

from .conftest import FakeCommunity, a_deal


@pytest.fixture(autouse=True)
def auto_enable_custom_integrations(recorder_mock: None, enable_custom_integrations: None) -> None:
    """A recorder is there before Home Assistant is."""


def deals_of(hours: int) -> tuple[Any, ...]:
    """A deal of a hundred watt-hours in each of the last hours; every third one goes over into the next hour."""
    now = hour_of(dt_util.utcnow())
    found = []
    for number in range(hours):
        start = now - (hours - number) * HOUR + timedelta(minutes=45 if number % 3 == 0 else 5)
        end = start + timedelta(minutes=30)
        energy = {"E001": SideEnergy(110.0, 105.0, 0.0, 1), "E002": SideEnergy(100.0, 104.0, 0.0, 1)}
        found.append(
            replace(
                a_deal(f"d{number}"),
                create_time=start,
                activate_time=start,
                start_time=start,
                stop_time=end,
                deactivate_time=end,
                energy=energy,
            )
        )
    return tuple(found)


async def written(hass: HomeAssistant, entry: MockConfigEntry, unit_id: str, kind: str) -> list[tuple[float, float]]:
    await async_wait_recording_done(hass)
    wanted = statistic_id(entry, unit_id, kind)
    begin = dt_util.utcnow() - timedelta(days=9)
    rows = await get_instance(hass).async_add_executor_job(
        statistics_during_period, hass, begin, None, {wanted}, "hour", None, {"state", "sum"}
    )
    return [(row["state"], row["sum"]) for row in rows.get(wanted, [])]


async def test_the_hours_of_the_time_when_nobody_looked(
    hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to("2026-11-20T12:30:00Z")
    community.past = deals_of(26)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    line_in = await written(hass, entry, "E002", "line_in")
    battery_out = await written(hass, entry, "E001", "battery_out")
    assert len(line_in) == len(battery_out) == 26
    assert line_in[-1][1] == pytest.approx(26 * 0.104)
    assert sum(state for state, _ in battery_out) == pytest.approx(26 * 0.110)
    assert {total for _, total in await written(hass, entry, "E001", "battery_in")} == {0.0}

    # A second start changes nothing.
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert await written(hass, entry, "E002", "line_in") == line_in

    # Two hours later with one more deal, and one that still runs in the second of them.
    freezer.tick(timedelta(hours=2))
    end = dt_util.utcnow() - timedelta(minutes=90)
    start = end - timedelta(minutes=10)
    more = replace(community.past[-1], deal_id="more", create_time=start, start_time=start, stop_time=end, deactivate_time=end)
    began = hour_of(dt_util.utcnow()) - timedelta(minutes=10)
    running = replace(more, deal_id="running", create_time=began, start_time=began, stop_time=None, deactivate_time=None)
    community.past = (*community.past, more, running)
    await async_write(hass, entry)
    later = await written(hass, entry, "E002", "line_in")
    assert later[:26] == line_in
    assert len(later) == 27
    assert later[-1][1] == pytest.approx(27 * 0.104)
    await async_write(hass, entry)
    assert await written(hass, entry, "E002", "line_in") == later

    # The hour after it has ended, everything is there.
    freezer.tick(timedelta(hours=1))
    ended = hour_of(dt_util.utcnow()) - timedelta(minutes=20)
    community.past = (*community.past[:-1], replace(running, stop_time=ended, deactivate_time=ended))
    await async_write(hass, entry)
    last = await written(hass, entry, "E002", "line_in")
    assert last[:27] == later
    assert last[-1][1] == pytest.approx(28 * 0.104)

    await hass.config_entries.async_remove(entry.entry_id)
    assert await written(hass, entry, "E002", "line_in") == []


async def test_a_year_that_nobody_looked_at_is_asked_for_in_parts(
    hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to("2026-11-20T12:30:00Z")
    community.past = deals_of(365 * 24)
    community.lines = ({"month": "2025-11", "partner": "E002", "deals": 3}, {"month": "2026-03", "partner": "E002", "deals": 3})
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    line_in = await written(hass, entry, "E002", "line_in")
    assert line_in[-1][1] == pytest.approx(365 * 24 * 0.104)
    spans = [(start, end) for what, start, end, unit_id in (each for each in community.asked if each[0] == "deals") if unit_id == "E002"]
    assert len(spans) > 12
    assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]
    assert all(end - start <= timedelta(days=30) for start, end in spans[:-1])
    assert spans[-1][1] is None


async def test_an_accelerated_clock_writes_nothing(hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity) -> None:
    community.past = deals_of(3)
    community.now = replace(community.now, acceleration=60.0)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert await written(hass, entry, "E002", "line_in") == []


async def test_the_hours_are_written_after_each_hour_and_again_where_the_ledger_did_not_answer(
    hass: HomeAssistant, loaded: MockConfigEntry, freezer: FrozenDateTimeFactory
) -> None:
    with patch("custom_components.apis.statistics.async_write", side_effect=ClusterError("nobody")) as write:
        for hours in (1, 2):
            freezer.move_to(hour_of(dt_util.utcnow()) + HOUR + timedelta(minutes=3, seconds=1))
            async_fire_time_changed(hass, dt_util.utcnow())
            await hass.async_block_till_done()
            assert write.await_count == hours
