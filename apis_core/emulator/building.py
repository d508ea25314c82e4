"""An engine from its settings."""

from collections.abc import Sequence

from .engine import Engine, Site
from .houses import House
from .profiles import bundled, with_files
from .recorder import SUMMARY, CsvSink, Recorder, sink_for
from .settings import Settings


def build(settings: Settings) -> Engine:
    """The world that the settings describe. Raises ConfigError if a data file is not in its form."""
    houses = tuple(
        House(
            f"E{i + 1:03}",
            i,
            state_of_charge_pct=_nth(settings.charges_pct, i, 50.0),
            battery_wh=settings.battery_wh,
            battery_voltage_v=settings.battery_voltage_v,
            solar_kw=_nth(settings.solar_kw, i, 4.0),
            load_scale=settings.load_scale,
            losses=settings.losses,
        )
        for i in range(settings.units)
    )
    site = Site(settings.ramp_s, settings.line_resistance_ohm, settings.droop, settings.triggers)
    return Engine(houses, with_files(bundled(), settings.load, settings.solar), settings.start, site)


def _nth(values: Sequence[float], index: int, default: float) -> float:
    return values[index % len(values)] if values else default


def recorder_for(engine: Engine, settings: Settings) -> Recorder | None:
    """What writes the emulation down, if the settings want it. Raises ConfigError or OSError."""
    kept = settings.data_dir if settings.record else None
    individual_to = settings.individual or (str(kept / "units.csv") if kept is not None else None)
    summary_to = settings.summary or (kept / "summary.csv" if kept is not None else None)
    if individual_to is None and summary_to is None:
        return None
    individual = sink_for(individual_to) if individual_to is not None else None
    summary = CsvSink(summary_to, SUMMARY) if summary_to is not None else None
    return Recorder(engine, individual, summary, settings.record_interval_s)
