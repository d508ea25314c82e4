"""What houses lose and take from the mains: powers of a moment and energies of any time by the same formulas, which are linear."""

import numpy as np

from .line import Array, Mask

type LossTable = dict[str, Array]


def ac_loss(loss: LossTable, time: float, in_bypass: Array | Mask, load_in_bypass: Array, ac_charging: Array | Mask) -> Array:
    """What is lost on the mains side, shape (N,): [W] from states and powers with a time of 1, [Wh] from hours and energies."""
    ratio = loss["ups_bypass_ratio"] + loss["transformer_ratio"]
    lost: Array = loss["transformer_w"] * time + loss["ups_bypass_w"] * in_bypass + ratio * load_in_bypass
    lost += loss["ac_charge_loss_w"] * ac_charging
    return lost


def dc_loss(loss: LossTable, time: float, in_bypass: Array | Mask, load: Array, load_in_bypass: Array, converter_loss: Array) -> Array:
    """The same of the battery side."""
    lost: Array = loss["system_w"] * time + converter_loss + loss["ups_battery_w"] * np.subtract(time, in_bypass)
    lost += loss["ups_battery_ratio"] * (load - load_in_bypass)
    return lost


def mains(loss: LossTable, lost: Array, load_in_bypass: Array, ac_charging: Array | Mask) -> Array:
    """The same of what comes from the mains."""
    taken: Array = load_in_bypass + lost + loss["ac_charge_w"] * ac_charging
    return taken
