"""What is kept for years: the calendar of a unit, backups, and what remains when a community is removed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
import json
from pathlib import Path
from unittest.mock import patch

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryDisabler, ConfigEntryState, ConfigSubentryData
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from apis_core import kept
from apis_core.model.errors import ClusterError, LedgerError
from custom_components.apis.backup import async_post_backup, async_pre_backup

from .conftest import FakeCommunity, a_deal
from .test_config_flow import new_node

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def test_a_units_day_and_its_deals_on_a_calendar(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    community: FakeCommunity,
    freezer: FrozenDateTimeFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await hass.config.async_set_time_zone("UTC")
    freezer.move_to(NOON)
    begun = NOON - timedelta(hours=2)
    shared = replace(
        a_deal(),
        create_time=begun,
        activate_time=begun,
        start_time=begun,
        deactivate_time=begun + timedelta(minutes=9),
        cumulate_amount_wh=100.4,
    )
    stopped = replace(shared, deal_id="d2", abort_time=begun, abort_reason="stopped by Ann")
    community.past = (shared, stopped, replace(a_deal("never"), create_time=begun))
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    state = hass.states.get("calendar.house_1_agenda")
    assert (state.state, state.attributes["message"]) == ("on", "excess: discharge → 3840 Wh; short: charge → 1920 Wh")
    span = {"start_date_time": "2026-11-20T00:00:00Z", "end_date_time": "2026-11-21T00:00:00Z"}
    asked = {"entity_id": "calendar.house_1_agenda", **span}
    answer = await hass.services.async_call("calendar", "get_events", asked, blocking=True, return_response=True)
    found = [(event["start"][11:16], event["summary"], event.get("description")) for event in answer["calendar.house_1_agenda"]["events"]]
    assert found == [
        ("00:00", "excess: discharge → 3840 Wh; short: charge → 1920 Wh", None),
        ("10:00", "House 1 → House 2: 100 Wh", None),
        ("10:00", "House 1 → House 2: 100 Wh", "stopped by Ann"),
    ]
    # A community that is away for a moment is that, and no error of the calendar's.
    community.error = ClusterError("nobody")
    with pytest.raises(HomeAssistantError, match="does not answer: nobody"):
        await hass.services.async_call("calendar", "get_events", asked, blocking=True, return_response=True)
    freezer.tick(timedelta(minutes=6))
    async_fire_time_changed(hass)
    await hass.async_block_till_done()
    assert "Update for calendar.house_1_agenda fails" not in caplog.text
    community.error = None


async def test_an_accelerated_community_has_no_calendar(hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity) -> None:
    community.now = replace(community.now, acceleration=60.0)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert hass.states.get("calendar.house_1_agenda") is None


async def test_a_backup_has_whole_files_and_is_known_as_one(
    hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity, tmp_path: Path
) -> None:
    with patch.object(hass.config, "config_dir", str(tmp_path)), patch("apis_core.kept.settle_restored") as settle:
        folder = tmp_path / "apis" / entry.entry_id
        folder.mkdir(parents=True)
        MockConfigEntry(domain="apis", title="Off", data={"kind": "trial", "units": 2}, disabled_by=ConfigEntryDisabler.USER).add_to_hass(
            hass
        )
        MockConfigEntry(domain="apis", title="Away", data={"kind": "daemon", "url": "http://127.0.0.1:9"}).add_to_hass(hass)
        assert await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
        assert not settle.called
        await async_pre_backup(hass)
        assert community.asked == [("checkpoint", True)]
        copy = [path.name for path in folder.iterdir()]
        assert copy == ["backup"]
        await async_post_backup(hass)
        assert community.asked[1:] == [("checkpoint", False)]
        # What goes on here is no copy; what is put back is one, once.
        for files, calls in (([], 0), (copy, 1), ([], 1)):
            for name in files:
                (folder / name).touch()
            assert await hass.config_entries.async_reload(entry.entry_id)
            await hass.async_block_till_done()
            assert settle.call_count == calls
            assert list(folder.iterdir()) == []


async def test_a_backup_goes_on_where_a_community_does_not_run(
    hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity, tmp_path: Path
) -> None:
    with patch.object(hass.config, "config_dir", str(tmp_path)):
        folder = tmp_path / "apis" / entry.entry_id
        folder.mkdir(parents=True)
        await async_pre_backup(hass)
        await async_post_backup(hass)
        assert community.asked == []
        assert list(folder.iterdir()) == []


async def test_removing_units_that_ran_here_leaves_what_they_exchanged_and_nothing_else(
    hass: HomeAssistant, community: FakeCommunity, tmp_path: Path
) -> None:
    with patch.object(hass.config, "config_dir", str(tmp_path)):
        entry = await new_node(hass)
        folder = tmp_path / "apis" / entry.entry_id
        database = kept.open_ledger(folder)
        deal = replace(a_deal(), cumulate_amount_wh=40.0)
        database.record_deal("E001", deal, None)
        database.record_deal("E002", replace(deal, cumulate_amount_wh=42.0), None)
        database.close()
        await hass.config_entries.async_remove(entry.entry_id)
        await hass.async_block_till_done()
        assert not folder.exists()
        (archived,) = (tmp_path / "apis/archive").iterdir()
        assert archived.name.endswith("-street.json")
        assert [(record["deal_id"], record["exchanged_wh"]) for record in json.loads(archived.read_text())] == [("d1", 42.0)]
        # One that has never shared leaves nothing at all.
        entry = await new_node(hass)
        await hass.config_entries.async_remove(entry.entry_id)
        assert len(list((tmp_path / "apis/archive").iterdir())) == 1


async def test_a_ledger_that_cannot_be_read_is_kept_as_it_is(
    hass: HomeAssistant, community: FakeCommunity, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with patch.object(hass.config, "config_dir", str(tmp_path)), patch("apis_core.kept.stored_deals", side_effect=LedgerError("torn")):
        entry = await new_node(hass)
        folder = tmp_path / "apis" / entry.entry_id
        folder.mkdir(parents=True)
        (folder / "apis.sqlite").write_text("half a page")
        await hass.config_entries.async_remove(entry.entry_id)
        await hass.async_block_till_done()
        (archived,) = (tmp_path / "apis/archive").iterdir()
        assert (archived / "apis.sqlite").read_text() == "half a page"
    assert "cannot be read, and is kept as it is: torn" in caplog.text


@pytest.mark.parametrize("number", range(3))
async def test_what_the_first_release_stored_is_loaded(hass: HomeAssistant, community: FakeCommunity, number: int) -> None:
    stored = json.loads((Path(__file__).parent / "data/entries-0.1.0.json").read_text())[number]
    units = [
        ConfigSubentryData({key: each[key] for key in ("data", "subentry_type", "title", "unique_id")}) for each in stored.pop("subentries")
    ]
    entry = MockConfigEntry(domain="apis", subentries_data=units, **stored)
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.LOADED
    assert entry.data == stored["data"]
    assert entry.options == stored["options"]
    assert len(entry.get_subentries_of_type("unit")) == len(units)
    assert hass.states.get("sensor.house_1_battery_battery") is not None
