"""The community to try: a past that is kept, a present that goes on from it, and what people changed on it."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from apis_core import app
from apis_core.ledger.database import LedgerDatabase, sqlite_url
from apis_core.model.errors import CommandRefusedError
from apis_core.model.modes import OperationMode
from apis_core.trial import LEDGER, make_past

TOKYO = ZoneInfo("Asia/Tokyo")


async def test_a_community_to_try_has_a_past_and_remembers(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    await asyncio.to_thread(make_past, tmp_path, 3, now, TOKYO, 1.0)
    async with app.open_trial_community(tmp_path, TOKYO, 3) as community:
        await community.set_mode(OperationMode.STOP, None, "test")
        deals = await community.deals(end=now)
        assert deals
        assert all(deal.is_ended and deal.create_time < now for deal in deals)
        units = {unit.unit_id: unit for unit in (await community.snapshot()).units}
        assert units["E001"].state_of_charge_pct is not None
        assert units["E001"].state_of_charge_pct >= 84
        shared_wh = sum(unit.totals["shared_wh"] for unit in units.values())
        assert shared_wh == pytest.approx(sum(deal.side_energy(deal.discharge_unit_id).grid_wh for deal in deals), rel=0.01)
        lines = await community.statement("E001")
        assert {line["partner"] for line in lines} <= {"E002", "E003"}
        assert units["E002"].preset == "balanced"
        await community.set_preset("E002", "storm", "resident")
        await community.move_edges("E003", request_below_pct=50, offer_above_pct=None, who="resident")
        with pytest.raises(CommandRefusedError, match="expected less"):
            await community.move_edges("E003", request_below_pct=85, offer_above_pct=None, who="resident")
        with pytest.raises(CommandRefusedError, match="expected one of balanced"):
            await community.set_preset("E002", "party", "resident")
        assert [version["who"] for version in await community.scenario_versions("E003")] == ["start", "resident"]
    async with app.open_trial_community(tmp_path, TOKYO, 3) as again:
        units = {unit.unit_id: unit for unit in (await again.snapshot()).units}
        assert units["E002"].preset == "storm"
        assert (units["E003"].request_below_pct, units["E003"].offer_above_pct) == (50, 80)
        assert len(await again.deals(end=now)) == len(deals)


def test_no_deal_of_the_past_goes_on_for_ever(tmp_path: Path) -> None:
    for hour in range(10, 14):
        folder = tmp_path / str(hour)
        make_past(folder, 4, datetime(2026, 6, 2, hour, 7, tzinfo=TOKYO).astimezone(UTC), TOKYO, 0.5)
        database = LedgerDatabase(sqlite_url(folder / LEDGER))
        assert all(deal.is_ended for unit_id in database.unit_ids() for deal in database.deals(unit_id))
        database.close()
