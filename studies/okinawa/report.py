"""Writes docs/okinawa.md and its picture from the study's tables: `python studies/okinawa/report.py RESULTS`."""

import csv
from pathlib import Path
import sys

from matplotlib import pyplot as plt

ROOT = Path(__file__).parents[2]
type Rows = list[dict[str, str]]


def table(folder: Path, name: str) -> Rows:
    """A sweep's table."""
    with (folder / name / "table.csv").open() as file:
        return list(csv.DictReader(file))


def of(rows: Rows, **wanted: str) -> dict[str, float]:
    """The figures of the one cell with these values."""
    (row,) = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return {key: float(value) for key, value in row.items() if key.endswith("_kwh") or key in ("ssr_real", "pv_used")}


def draw(rows: Rows, path: Path) -> None:
    """Self-sufficiency by the current of a deal, for both batteries."""
    figure, axes = plt.subplots(figsize=(7, 3.6))
    currents = ["2", "3", "5", "7"]
    for battery, colour in (("4800", "#0277bd"), ("12000", "#2e7d32")):
        alone = 100 * of(rows, sharing="False", deal_current_a="2", battery_wh=battery)["ssr_real"]
        shared = [100 * of(rows, sharing="True", deal_current_a=current, battery_wh=battery)["ssr_real"] for current in currents]
        axes.plot([float(current) for current in currents], shared, "o-", color=colour, label=f"{float(battery) / 1000:g} kWh, sharing")
        axes.axhline(alone, color=colour, linestyle=":", label=f"{float(battery) / 1000:g} kWh, every house for itself")
    axes.set_xlabel("current of a deal [A]")
    axes.set_ylabel("self-sufficiency [%]")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    plt.rcParams["svg.hashsalt"] = "okinawa"
    figure.savefig(path, metadata={"Date": None})


def lines(folder: Path) -> list[str]:
    """The page's tables."""
    year, seasons, losses = table(folder, "sharing"), table(folder, "seasons"), table(folder, "losses")
    found = ["| battery | sharing | self-sufficiency | PV used | shared [kWh a year] |", "|---|---|---|---|---|"]
    for battery in ("4800", "12000"):
        for sharing, current in (("False", "2"), ("True", "2"), ("True", "3"), ("True", "5"), ("True", "7")):
            cell = of(year, sharing=sharing, deal_current_a=current, battery_wh=battery)
            how = f"{current} A" if sharing == "True" else "no"
            share = f"{cell['ssr_real']:.1%} | {cell['pv_used']:.1%} | {cell['taken_kwh']:,.0f}"
            found.append(f"| {float(battery) / 1000:g} kWh | {how} | {share} |")
    found += ["", "| season | alone | sharing at 2 A | at 7 A |", "|---|---|---|---|"]
    for name, first, days in (("January and February", "1", "59"), ("June to August", "152", "92")):
        span = {"first_day": first, "days": days}
        cells = [
            of(seasons, **span, sharing="False", deal_current_a="2"),
            *(of(seasons, **span, sharing="True", deal_current_a=a) for a in "27"),
        ]
        found.append(f"| {name} | " + " | ".join(f"{cell['ssr_real']:.1%}" for cell in cells) + " |")
    found += ["", "| UPS takes the mains below | losses | alone | sharing at 2 A |", "|---|---|---|---|"]
    for trigger in ("20", "30", "40"):
        for factor in ("1.0", "0.75", "0.5"):
            alone, shared = (of(losses, ups_trigger_pct=trigger, loss_factor=factor, sharing=each) for each in ("False", "True"))
            found.append(f"| {trigger} % | x {factor} | {alone['ssr_real']:.1%} | {shared['ssr_real']:.1%} |")
    return found


def main() -> None:
    """Write the picture, and put the tables into the page."""
    folder = Path(sys.argv[1])
    draw(table(folder, "sharing"), ROOT / "docs/images/okinawa.svg")
    page = ROOT / "docs/okinawa.md"
    before, _, rest = page.read_text().partition("<!-- tables -->\n")
    _, _, after = rest.partition("<!-- end of tables -->\n")
    page.write_text(before + "<!-- tables -->\n" + "\n".join(lines(folder)) + "\n<!-- end of tables -->\n" + after)


if __name__ == "__main__":
    main()
