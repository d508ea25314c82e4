"""The report of a run: one HTML file with everything in it, made with Plotly (the extra `report`)."""

from collections.abc import Callable
from datetime import timedelta
from html import escape
from importlib import resources
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

from ..emulator.line import Array
from . import indicators
from .tables import Hour, Result

GREEN, BLUE, ORANGE, GREY, RED, YELLOW = "#2e9e5b", "#2f6fb5", "#e08a2e", "#8a8f98", "#c8443c", "#e8c33d"
HEIGHT_PX = 420


# Longer runs show the batteries' charge by day: of so many hours only a block of colour is seen.
HOURLY_DAYS = 21
# More flows than these are a tangle.
FLOWS = 120


def html(result: Result, without: Result | None) -> str:
    """The page. `without`: the same time without sharing, to compare with."""
    figures = [
        (
            "Energy of each day",
            "Above the line what came in (and, at the top, the sun that found no use), below it what became of it.",
            energy_by_day(result),
        ),
        (
            "Self-sufficiency of each house",
            "The share of a house's load that did not have to be bought.",
            self_sufficiency(result, without),
        ),
        (
            "Charge of the batteries",
            "Half of all houses lie in the dark band, nine in ten in the light one; in a long run, of all hours of a day.",
            charge_bands(result),
        ),
        ("Where the losses are", "Each house's losses by where they arise.", losses(result)),
    ]
    if result.deals:
        figures += [
            ("Who gave to whom", "Energy into the battery of the house that took.", who_to_whom(result)),
            ("The flow between houses", f"From those that gave to those that took; the {FLOWS} largest flows at most.", flow(result)),
            ("Deals by hour of the day", "When deals began.", deals_by_hour(result)),
            ("Points", "What each house earned by giving and paid for taking.", points(result)),
            ("Converters at work", "The share of the time in which a converter was on for a deal.", duty(result)),
        ]
    sections = []
    for number, (title, text, figure) in enumerate(figures):
        _style(figure)
        # The same run gives the same page; where nothing hovers, a toolbar would lie on the plot.
        settings: dict[str, Any] = {"displayModeBar": False}
        library = "inline" if number == 0 else False
        body = pio.to_html(figure, include_plotlyjs=library, full_html=False, config=settings, div_id=f"figure-{number}")
        sections.append(f"<section><h2>{escape(title)}</h2><p>{escape(text)}</p>{body}</section>")
    page = resources.files(__package__).joinpath("data/report.html").read_text(encoding="utf-8")
    parts = {"TITLE": _title(result), "TILES": _tiles(result, without), "SECTIONS": "\n".join(sections), "DEFINITIONS": _definitions()}
    for name, text in parts.items():
        page = page.replace(f"<!--{name}-->", text)
    return page


def _title(result: Result) -> str:
    days = round((result.hours[-1].elapsed_s - result.hours[0].elapsed_s) / 86_400, 1)
    start = result.options.start
    return escape(f"{result.options.units} houses, {days:g} days from {start:%d %B %Y}, seed {result.options.seed}")


def _tiles(result: Result, without: Result | None) -> str:
    own = indicators.community(result)
    other = indicators.community(without) if without is not None else None
    before = f"{_share(other['self_sufficiency'])} without sharing" if other is not None else ""
    saved = _saved(other["bought_wh"] - own["bought_wh"]) if other is not None else ""
    tiles = [
        ("self-sufficiency", _share(own["self_sufficiency"]), before),
        ("bought from the mains", f"{own['bought_wh'] / 1000:,.0f} kWh", saved),
        ("PV used", _share(own["self_consumption"]), f"{own['curtailed_wh'] / 1000:,.0f} kWh curtailed"),
        ("shared", f"{own['shared_wh'] / 1000:,.0f} kWh", f"{own['deals_completed']:,} deals completed of {own['deals']:,}"),
        ("battery to battery", _share(own["exchange_efficiency"]), "of what was given arrived"),
    ]
    return "".join(
        f"<div class=tile><b>{escape(value)}</b><span>{escape(name)}</span><small>{escape(note)}</small></div>"
        for name, value, note in tiles
    )


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _saved(saved_wh: float) -> str:
    return f"{abs(saved_wh) / 1000:,.0f} kWh {'less' if saved_wh >= 0 else 'more'} than without"


def _definitions() -> str:
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in indicators.DEFINITIONS.items())


def _style(figure: go.Figure) -> None:
    figure.update_layout(
        template="plotly_white",
        height=figure.layout.height or HEIGHT_PX,
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#7a808a"},
        legend={"orientation": "h", "y": -0.18, "yanchor": "top", "x": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        bargap=0.15,
    )
    faint = "rgba(128,128,128,0.25)"
    figure.update_xaxes(gridcolor=faint, zerolinecolor=faint, linecolor=faint)
    figure.update_yaxes(gridcolor=faint, zerolinecolor=faint, linecolor=faint)


def _daily_kwh(result: Result) -> tuple[list[str], dict[str, Array]]:
    """What flowed on each day of the calendar in all houses [kWh]; the first and the last may be parts of one."""
    first, *rest = result.hours
    # An hour belongs to the day in which it ends, and the last one of a day ends with it.
    dates = [(result.local(hour) - timedelta(seconds=1)).date().isoformat() for hour in rest]
    lasts = [hour for hour, date, following in zip(rest, dates, [*dates[1:], None], strict=True) if date != following]
    ends, days = [first, *lasts], list(dict.fromkeys(dates))

    def by_day(read: Callable[[Hour], Array]) -> Array:
        return np.diff([float(read(hour).sum()) for hour in ends]) / 1000

    flows = {name: by_day(lambda hour, name=name: hour.totals_wh[name]) for name in result.hours[0].totals_wh}  # type: ignore[misc]
    return days, {**flows, "stored": by_day(lambda hour: hour.energy_wh)}


def energy_by_day(result: Result) -> go.Figure:
    """Sources and uses of each day."""
    days, flows = _daily_kwh(result)
    stored = flows["stored"]
    bars = [
        ("sun", flows["solar"], YELLOW),
        ("mains", flows["mains"], BLUE),
        ("out of batteries", np.maximum(-stored, 0), GREEN),
        ("load", -flows["load"], ORANGE),
        ("losses", -(flows["ac_loss"] + flows["dc_loss"]), GREY),
        ("into batteries", -np.maximum(stored, 0), "#8fd0a8"),
        ("curtailed sun", flows["curtailed"], "#f3e6b0"),
    ]
    figure = go.Figure(
        [go.Bar(name=name, x=days, y=np.round(values, 2), marker={"color": colour, "line": {"width": 0}}) for name, values, colour in bars]
    )
    figure.update_layout(barmode="relative", yaxis_title="kWh a day")
    return figure


def self_sufficiency(result: Result, without: Result | None) -> go.Figure:
    """Each house's self-sufficiency, beside the same without sharing."""
    runs = [("with sharing" if result.options.sharing else "without sharing", result, GREEN if result.options.sharing else GREY)]
    if without is not None:
        runs.insert(0, ("without sharing", without, GREY))
    figure = go.Figure(
        [
            go.Bar(
                name=name, x=list(run.options.unit_ids), y=[unit.self_sufficiency for unit in indicators.units(run)], marker_color=colour
            )
            for name, run, colour in runs
        ]
    )
    figure.update_layout(barmode="group", yaxis={"title": "self-sufficiency", "tickformat": ".0%"})
    return figure


def charge_bands(result: Result) -> go.Figure:
    """Bands of all batteries' charge over the run [%]: of each hour, or of each day where the run is long."""
    capacity_wh = np.array([house.battery_wh for house in result.options.houses()])
    percent = np.array([hour.energy_wh for hour in result.hours]) / capacity_wh * 100
    each = 24 if len(percent) > HOURLY_DAYS * 24 else 1
    whole = len(percent) // each * each
    percent = percent[:whole].reshape(-1, each * percent.shape[1])
    times = [(result.options.start + timedelta(seconds=hour.elapsed_s)).isoformat() for hour in result.hours[:whole:each]]
    low, quarter, middle, three, high = np.percentile(percent, [5, 25, 50, 75, 95], axis=1).round(1)
    no_line: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure = go.Figure(
        [
            go.Scatter(x=times, y=low, **no_line),
            go.Scatter(x=times, y=high, fill="tonexty", fillcolor="rgba(46,158,91,0.18)", **no_line),
            go.Scatter(x=times, y=quarter, **no_line),
            go.Scatter(x=times, y=three, fill="tonexty", fillcolor="rgba(46,158,91,0.35)", **no_line),
            go.Scatter(x=times, y=middle, mode="lines", line={"color": GREEN, "width": 1.5}, name="median house"),
        ]
    )
    figure.update_layout(yaxis={"title": "state of charge", "ticksuffix": " %", "range": [0, 100]})
    return figure


def losses(result: Result) -> go.Figure:
    """Losses of each house by where they arise [kWh]."""
    first, last = result.hours[0].totals_wh, result.hours[-1].totals_wh
    lost = {name: (last[name] - first[name]) / 1000 for name in ("ac_loss", "dc_loss", "converter_loss")}
    bars = [
        ("mains side: UPS in bypass, transformer", lost["ac_loss"], BLUE),
        ("battery side: UPS, system", lost["dc_loss"] - lost["converter_loss"], ORANGE),
        ("converter to the line", lost["converter_loss"], RED),
    ]
    ids = list(result.options.unit_ids)
    figure = go.Figure([go.Bar(name=name, x=ids, y=np.round(values, 2), marker_color=colour) for name, values, colour in bars])
    figure.update_layout(barmode="stack", yaxis_title="kWh")
    return figure


def who_to_whom(result: Result) -> go.Figure:
    """The matrix of givers and takers [kWh]."""
    ids = list(result.options.unit_ids)
    matrix = indicators.flows_between(result) / 1000
    heat = go.Heatmap(
        z=np.where(matrix > 0, np.round(matrix, 2), np.nan),
        x=ids,
        y=ids,
        zmin=0,
        colorscale=[[0, "#d8f0e0"], [1, "#14663a"]],
        colorbar={"title": "kWh"},
        hovertemplate="%{y} gave %{z} kWh to %{x}<extra></extra>",
    )
    figure = go.Figure(heat)
    side_px = max(HEIGHT_PX, min(900, 26 * len(ids) + 120))
    figure.update_layout(height=side_px, xaxis_title="took", yaxis={"title": "gave", "autorange": "reversed"})
    return figure


def flow(result: Result) -> go.Figure:
    """The same as a flow from left to right; the largest flows where there are many."""
    ids, matrix = list(result.options.unit_ids), indicators.flows_between(result) / 1000
    largest = sorted(((float(matrix[i, j]), i, j) for i, j in np.argwhere(matrix > 0)), reverse=True)[:FLOWS]
    gives = sorted({i for _, i, _ in largest})
    takes = sorted({j for _, _, j in largest})
    place = {**{("gives", i): k for k, i in enumerate(gives)}, **{("takes", j): len(gives) + k for k, j in enumerate(takes)}}
    sankey = go.Sankey(
        node={"label": [ids[i] for i in gives] + [ids[j] for j in takes], "color": [GREEN] * len(gives) + [BLUE] * len(takes), "pad": 8},
        link={
            "source": [place["gives", i] for _, i, _ in largest],
            "target": [place["takes", j] for _, _, j in largest],
            "value": [round(value, 3) for value, _, _ in largest],
            "color": "rgba(120,130,140,0.25)",
        },
        valuesuffix=" kWh",
    )
    figure = go.Figure(sankey)
    figure.update_layout(height=max(HEIGHT_PX, 22 * max(len(gives), len(takes)) + 80))
    return figure


def deals_by_hour(result: Result) -> go.Figure:
    """How many deals began in each hour of the day."""
    counts = np.zeros(24, dtype=int)
    for deal in result.deals:
        counts[deal.create_time.astimezone(result.options.zone).hour] += 1
    figure = go.Figure(go.Bar(x=list(range(24)), y=counts, marker_color=GREEN))
    figure.update_layout(xaxis={"title": "hour of the day", "dtick": 3}, yaxis_title="deals")
    return figure


def points(result: Result) -> go.Figure:
    """Points of each house."""
    figures, ids = indicators.units(result), list(result.options.unit_ids)
    figure = go.Figure(
        [
            go.Bar(name="earned", x=ids, y=[round(unit.points_earned) for unit in figures], marker_color=GREEN),
            go.Bar(name="paid", x=ids, y=[-round(unit.points_paid) for unit in figures], marker_color=ORANGE),
        ]
    )
    figure.update_layout(barmode="relative", yaxis_title="points")
    return figure


def duty(result: Result) -> go.Figure:
    """The share of the time each converter was on."""
    figures = indicators.units(result)
    figure = go.Figure(go.Bar(x=list(result.options.unit_ids), y=[unit.converter_duty for unit in figures], marker_color=BLUE))
    figure.update_layout(yaxis={"title": "converter on", "tickformat": ".1%"})
    return figure
