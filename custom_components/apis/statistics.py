"""Energy by the hour for the Energy dashboard, from the ledger: also for the time when Home Assistant was off and a daemon was not."""

from datetime import UTC, datetime, timedelta

from homeassistant.components.recorder import get_instance
from homeassistant.components.recorder.models import StatisticData, StatisticMeanType, StatisticMetaData
from homeassistant.components.recorder.statistics import async_add_external_statistics, get_last_statistics, list_statistic_ids
from homeassistant.const import UnitOfEnergy
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.event import async_track_time_change
from homeassistant.helpers.start import async_at_started
from homeassistant.util import dt as dt_util, slugify
from homeassistant.util.unit_conversion import EnergyConverter

from apis_core.community import Community
from apis_core.model.errors import ApisError
from apis_core.model.hourly import HOUR, KINDS, LONGEST, POINT_KINDS, Hours, by_hour, hour_of, settled_until

from .const import CONF_POINT_VALUE, DOMAIN, LOGGER
from .coordinator import ApisConfigEntry

NAMES = {
    "battery_in": "battery charged",
    "battery_out": "battery discharged",
    "line_in": "energy received",
    "line_out": "energy shared",
    "points_paid": "cost of energy received",
    "points_earned": "compensation for energy shared",
}
WH_PER_KWH = 1000.0
# A clock that is so far away is that of an emulation.
SAME_DAY = timedelta(days=1)
MINUTE = 3
# So much of a ledger is asked for at once.
AT_ONCE = timedelta(days=30)


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

    async def changed(hass: HomeAssistant, _entry: ApisConfigEntry) -> None:
        """Points may be worth something now."""
        await write(hass)

    entry.async_on_unload(entry.add_update_listener(changed))
    entry.async_on_unload(async_at_started(hass, write))
    entry.async_on_unload(async_track_time_change(hass, write, minute=MINUTE, second=0))


async def async_write(hass: HomeAssistant, entry: ApisConfigEntry) -> None:
    """Write each hour that is over and not written yet, once. Raises ApisError if the ledger does not answer."""
    data = entry.runtime_data
    theirs, ours = data.coordinator.data.time, dt_util.utcnow()
    if abs(theirs - ours) > SAME_DAY:
        return
    # A node whose clock is behind still makes deals in the hour that is over here.
    now = min(theirs, ours)
    point_value: float = entry.options.get(CONF_POINT_VALUE, 0.0)
    kinds = (*KINDS, *POINT_KINDS) if point_value else KINDS
    for unit in data.coordinator.data.units:
        last = {kind: await _async_last(hass, statistic_id(entry, unit.unit_id, kind)) for kind in kinds}
        known = [hour for hour, _ in last.values() if hour is not None]
        since = None if len(known) < len(kinds) else min(known) - LONGEST
        found, until = await _async_hours(data.community, unit.unit_id, since, now)
        # All of a unit's begin together: the dashboard wants what was never received or given to be there too, as nothing.
        begin = min((hour for hours in found.values() for hour in hours if hour < until), default=until - HOUR)
        for kind in kinds:
            is_money = kind in POINT_KINDS
            # An hour that was written keeps the value that a point had then.
            rows = _rows(found[kind], *last[kind], (begin, until), factor=point_value if is_money else 1 / WH_PER_KWH)
            if rows:
                metadata = StatisticMetaData(
                    has_sum=True,
                    mean_type=StatisticMeanType.NONE,
                    name=f"{unit.name} {NAMES[kind]}",
                    source=DOMAIN,
                    statistic_id=statistic_id(entry, unit.unit_id, kind),
                    unit_class=None if is_money else EnergyConverter.UNIT_CLASS,
                    unit_of_measurement=hass.config.currency if is_money else UnitOfEnergy.KILO_WATT_HOUR,
                )
                async_add_external_statistics(hass, metadata, rows)


async def _async_hours(community: Community, unit_id: str, since: datetime | None, now: datetime) -> tuple[dict[str, Hours], datetime]:
    """A unit's hours by kind, and up to when they are settled; asked for in parts, for a daemon may have years of them."""
    if since is None:
        months = [line["month"] for line in await community.statement(unit_id)]
        # A month begins where the unit is, within a day of ours.
        since = min((datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC) for month in months), default=now) - LONGEST
    found: dict[str, Hours] = {kind: {} for kind in (*KINDS, *POINT_KINDS)}
    until = now
    while since is not None:
        end = since + AT_ONCE if since + AT_ONCE < now else None
        deals = await community.deals(since, end, unit_id)
        until = min(until, settled_until(deals, now))
        for kind, hours in by_hour(unit_id, deals).items():
            for hour, amount in hours.items():
                found[kind][hour] = found[kind].get(hour, 0.0) + amount
        since = end
    return found, until


def _rows(hours: Hours, last: datetime | None, total: float, span: tuple[datetime, datetime], *, factor: float) -> list[StatisticData]:
    """The hours after the last one that was written, or from the span's begin, without a hole, up to its end."""
    begin, until = span
    first = begin if last is None else last + HOUR
    rows = []
    while first < until:
        state = hours.get(first, 0.0) * factor
        total += state
        rows.append(StatisticData(start=first, state=state, sum=total))
        first += HOUR
    return rows


async def _async_last(hass: HomeAssistant, wanted: str) -> tuple[datetime | None, float]:
    """The last hour that was written, and the sum up to it."""
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
