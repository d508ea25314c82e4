"""What an emulated house is made of: battery, PV, UPS and converter, with the original's losses as defaults."""

from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses of a house's parts [W], and per watt of load [W/W] (hardware reference 1.5)."""

    system_w: float = 17.5
    wait_w: float = 4.5
    charge_w: float = 71.0
    discharge_w: float = 55.0
    ups_battery_w: float = 129.0
    ups_battery_ratio: float = 0.140
    ups_bypass_w: float = 67.0
    ups_bypass_ratio: float = 0.033
    transformer_w: float = 57.0
    transformer_ratio: float = 0.027
    ac_charge_loss_w: float = 10.0
    ac_charge_w: float = 150.0


@dataclass(frozen=True, slots=True)
class Triggers:
    """When the UPS changes what feeds it [% of the battery]: to bypass, back to battery, mains charging on, off."""

    bypass_on_pct: float = 30.0
    bypass_off_pct: float = 35.0
    ac_on_pct: float = 20.0
    ac_off_pct: float = 25.0


@dataclass(frozen=True, slots=True)
class Protection:
    """A converter's own thresholds; `active` makes them trip it. The defaults are what the original shows and never uses."""

    active: bool = False
    line_over_voltage_v: float = 400.0
    line_under_voltage_v: float = 300.0
    battery_current_a: float = 25.0
    battery_over_voltage_v: float = 59.0
    battery_under_voltage_v: float = 40.0


@dataclass(frozen=True, slots=True)
class House:
    """One house of the emulation. `household` counts through the profiles and beyond them.

    `grid_current_max_a`: the largest set-point its converter takes [A]; the default is a TDK-Lambda EZA-2500's.
    `permission`: the battery's own word, 0 none, 1 charge only, 2 discharge only, 3 both; None if it says nothing.
    """

    unit_id: str
    household: int
    state_of_charge_pct: float = 50.0
    battery_wh: float = 4800.0
    solar_kw: float = 4.0
    load_scale: float = 1.0
    battery_voltage_v: float = 48.0
    grid_current_max_a: float = 8.5162
    permission: int | None = None
    losses: Losses = field(default_factory=Losses)
    protection: Protection = field(default_factory=Protection)


LOSS_NAMES = tuple(item.name for item in fields(Losses))
