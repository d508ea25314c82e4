"""Energy by the hour for the Energy dashboard, from the ledger: also for the time when Home Assistant was off and a daemon was not."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from homeassistant.components.recorder import get_instance
from homeassistant.components.recorder.models import StatisticData, StatisticMeanType, StatisticMetaData
from homeassistant.components.recorder.statistics import async_add_external_statistics, get_last_statistics, list_statistic_ids
from homeassistant.const import UnitOfEnergy
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.event import async_track_time_change
from homeassistant.helpers.start import async_at_started
from homeassistant.util import dt as dt_util, slugify
from homeassistant.util.unit_conversion import EnergyConverter

from apis_core.model.deal import Deal
from apis_core.model.errors import ApisError
from apis_core.model.hourly import HOUR, KINDS, Hours, by_hour, hour_of, settled_until

from .const import DOMAIN, LOGGER
from .coordinator import ApisConfigEntry

NAMES = {"battery_in": "battery charged", "battery_out": "battery discharged", "line_in": "energy received", "line_out": "energy shared"}
# A deal is looked for from so long before the first hour that is missing: none runs longer.
LONGEST = timedelta(days=2)
MINUTE = 3


def statistic_id(entry: ApisConfigEntry, unit_id: str, kind: str) -> str:
    """The statistic of a unit."""
    return f"{DOMAIN}:{slugify(f'{entry.entry_id}_{unit_id}_{kind}')}"


@callback
def async_keep(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Write what is missing after the start and after each hour; an accelerated clock is no clock of the day."""
    if entry.runtime_data.coordinator.data.acceleration != 1.0 or "recorder" not in hass.config.components:
        return

    async def write(_now: datetime | HomeAssistant) -> None:
        try:
            await async_write(hass, entry)
        except (ApisError, TimeoutError) as error:
            LOGGER.debug("the hours are written later: %s", error)

    entry.async_on_unload(async_at_started(hass, write))
    entry.async_on_unload(async_track_time_change(hass, write, minute=MINUTE, second=0))


async def async_write(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Write each hour that is over and not written yet, once. Raises ApisError if the ledger does not answer."""
    data, now = entry.runtime_data, dt_util.utcnow()
    for unit in data.coordinator.data.units:
        last = {kind: await _async_last(hass, statistic_id(entry, unit.unit_id, kind)) for kind in KINDS}
        known = [hour for hour, _ in last.values() if hour is not None]
        since = None if len(known) < len(KINDS) else min(known) - LONGEST
        deals: Sequence[Deal] = await data.community.deals(since, None, unit.unit_id)
        until = settled_until(deals, now)
        for kind, hours in by_hour(unit.unit_id, deals).items():
            rows = _rows(hours, *last[kind], until)
            if rows:
                metadata = StatisticMetaData(
                    has_sum=True,
                    mean_type=StatisticMeanType.NONE,
                    name=f"{unit.name} {NAMES[kind]}",
                    source=DOMAIN,
                    statistic_id=statistic_id(entry, unit.unit_id, kind),
                    unit_class=EnergyConverter.UNIT_CLASS,
                    unit_of_measurement=UnitOfEnergy.KILO_WATT_HOUR,
                )
                async_add_external_statistics(hass, metadata, rows)


def _rows(hours: Hours, last: datetime | None, sum_kwh: float, until: datetime) -> list[StatisticData]:
    """The hours after the last one that was written, without a hole, up to the one that is not settled."""
    first = min(hours, default=None) if last is None else last + HOUR
    rows = []
    while first is not None and first < until:
        state_kwh = hours.get(first, 0.0) / 1000
        sum_kwh += state_kwh
        rows.append(StatisticData(start=first, state=state_kwh, sum=sum_kwh))
        first += HOUR
    return rows


async def _async_last(hass: HomeAssistant, wanted: str) -> tuple[datetime | None, float]:
    """The last hour that was written, and the sum up to it [kWh]."""
    found = await get_instance(hass).async_add_executor_job(get_last_statistics, hass, 1, wanted, False, {"sum"})
    if not found.get(wanted):
        return None, 0.0
    (row,) = found[wanted]
    return hour_of(dt_util.utc_from_timestamp(row["start"])), float(row["sum"] or 0.0)


async def async_forget(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Remove what was written for a community that is removed."""
    if "recorder" not in hass.config.components:
        return
    instance = get_instance(hass)
    begins = f"{DOMAIN}:{slugify(entry.entry_id)}_"
    found = await instance.async_add_executor_job(list_statistic_ids, hass)
    instance.async_clear_statistics([row["statistic_id"] for row in found if row["statistic_id"].startswith(begins)])
