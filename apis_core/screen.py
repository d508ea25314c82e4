"""What the command line shows: tables of units and deals, the live picture of the demo."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .local_community import LocalCommunity
from .model.deal import Deal
from .model.view import Event, Snapshot, UnitView
from .rules.lifecycle import outcome, state as state_of

DEAL_COLUMNS = ("deal", "created", "from", "to", "state", "agreed_wh", "exchanged_wh", "point_per_wh", "points", "reason")
EVENTS_SHOWN = 8
COLOURS = {"CHARGE": "green", "DISCHARGE": "yellow", "VOLTAGE_REFERENCE": "cyan", "WAIT": "dim"}
EVENT_COLOURS = {"error": "red", "grid_master": "cyan", "mode": "magenta", "notice": "yellow"}


def units_table(snapshot: Snapshot) -> Table:
    """The units of a snapshot."""
    table = Table(title=f"{snapshot.time:%Y-%m-%d %H:%M:%S} UTC · mode {snapshot.mode}", title_justify="left")
    for name, justify in (("unit", "left"), ("charge", "left"), ("", "right"), ("converter", "left"), ("line V", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name in ("line A", "battery W"):
        table.add_column(name, justify="right")
    table.add_column("role")
    for unit in snapshot.units:
        table.add_row(*_unit_row(unit))
    notes = [f"if this process ends: {snapshot.guard}"] if snapshot.guard else []
    notes += [f"dropped messages: {', '.join(f'{n} {kind}' for kind, n in sorted(snapshot.dropped.items()))}"] if snapshot.dropped else []
    notes += [f"no new deals: {snapshot.alert}"] if snapshot.alert else []
    table.caption, table.caption_justify = "\n".join(notes) or None, "left"
    return table


def _unit_row(unit: UnitView) -> list[RenderableType]:
    charge = unit.state_of_charge_pct
    mode = unit.converter_mode or "unknown"
    roles = [name for name, has in (("Grid Master", unit.is_grid_master), ("reference", unit.is_voltage_reference)) if has]
    if not unit.alive:
        roles = ["[red]away[/]"]
    return [
        Text(unit.name, style="bold" if unit.alive else "dim"),
        ProgressBar(total=100, completed=charge or 0, width=16),
        "?" if charge is None else f"{charge:.1f} %",
        Text(mode.lower().replace("_", " "), style=COLOURS.get(mode, "red")),
        _number(unit.grid_voltage_v, 0),
        _number(unit.grid_current_a, 2),
        _number(unit.battery_power_w, 0),
        ", ".join(roles),
    ]


def _number(value: float | None, digits: int) -> str:
    return "?" if value is None else f"{value + 0.0:.{digits}f}"


def deal_row(deal: Deal) -> tuple[Any, ...]:
    """A deal as a row of values."""
    return (
        deal.deal_id,
        deal.create_time.isoformat(timespec="seconds"),
        deal.discharge_unit_id,
        deal.charge_unit_id,
        str(outcome(deal) if deal.is_ended else state_of(deal)),
        deal.amount_wh,
        round(deal.cumulate_amount_wh, 2),
        deal.point_per_wh,
        round(deal.points(), 1),
        deal.scram_reason or deal.abort_reason or "",
    )


def deals_table(deals: Iterable[Deal]) -> Table:
    """Deals, one a line."""
    table = Table(title_justify="left")
    for name in ("deal", "created", "from → to", "state"):
        table.add_column(name)
    for name in ("agreed Wh", "exchanged Wh", "points"):
        table.add_column(name, justify="right")
    table.add_column("reason")
    for deal in deals:
        row = deal_row(deal)
        exchanged = f"{deal.cumulate_amount_wh:.1f}"
        table.add_row(
            row[0][:8], f"{deal.create_time:%m-%d %H:%M:%S}", f"{row[2]} → {row[3]}", row[4], str(row[5]), exchanged, f"{row[8]:g}", row[9]
        )
    return table


def running_table(deals: Iterable[Deal]) -> Table:
    """Deals that go on, with their progress."""
    table = Table(title="Deals", title_justify="left")
    for name in ("from → to", "state", "progress", "Wh"):
        table.add_column(name)
    for deal in deals:
        table.add_row(
            f"{deal.discharge_unit_id} → {deal.charge_unit_id}",
            str(state_of(deal)) + (" ·ref" if deal.is_master else ""),
            ProgressBar(total=deal.amount_wh, completed=deal.cumulate_amount_wh, width=24),
            f"{deal.cumulate_amount_wh:.1f} / {deal.amount_wh}",
        )
    return table


def event_line(event: Event) -> Text:
    """An event, one line."""
    line = Text(f"{event.time:%H:%M:%S} ", style="dim")
    return line.append(event.message, style=EVENT_COLOURS.get(event.kind, ""))


def picture(community: LocalCommunity) -> RenderableType:
    """The demo's live picture."""
    snapshot = community.snapshot_now()
    events = list(community.events)[-EVENTS_SHOWN:]
    log = Group(*(event_line(event) for event in events)) if events else Text("nothing yet", style="dim")
    return Group(units_table(snapshot), running_table(snapshot.deals), Panel(log, title="Last events", title_align="left"))


class Lines:
    """The demo without a terminal: a line for each event."""

    def __init__(self, console: Console) -> None:
        """Nothing has been printed yet."""
        self._console = console
        self._printed = 0

    def show(self, community: LocalCommunity) -> None:
        """Print the events that are new."""
        events = list(community.events)
        for event in events[self._printed :]:
            self._console.print(event_line(event), soft_wrap=True)
        self._printed = len(events)


def summary(record: dict[str, Any]) -> RenderableType:
    """The end of a demo: what was exchanged, and how the books agree with the physics."""
    deals = [Deal.from_json(item) for item in record["deals"]]
    completed = sum(deal.is_completed for deal in deals)
    table = Table(title=f"{completed} deals completed, {len(deals) - completed} ended early", title_justify="left")
    table.add_column("unit")
    for name in ("deals", "in deals Wh", "other Wh", "sum Wh", "physics Wh", "differs"):
        table.add_column(name, justify="right")
    for unit_id, unit in record["units"].items():
        recorded, physics = unit["recorded_wh"], unit["emulator_wh"]
        differs = f"{abs(recorded - physics) / abs(physics):.2%}" if physics else "-"
        table.add_row(
            unit_id,
            str(unit["deals"]),
            f"{unit['deals_wh']:.2f}",
            f"{unit['unattributed_wh']:.2f}",
            f"{recorded:.2f}",
            f"{physics:.2f}",
            differs,
        )
    balance = record["energy_balance_wh"]
    text = f"given {balance['given']:.1f} Wh, taken {balance['taken']:.1f} Wh, lost on the way {balance['lost']:.1f} Wh"
    return Group(table, Text(text))
