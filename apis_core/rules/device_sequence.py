"""In which order a converter takes its set-points and its mode when it changes to an active mode (hardware reference 3.4)."""

from enum import Enum, auto

from ..model.converter import ConverterMode


class Step(Enum):
    """One write: line voltage and droop, current limit, the mode that is wanted, or a wait in between."""

    VOLTAGE = auto()
    CURRENT = auto()
    MODE = auto()
    WAIT = auto()


def steps(present: ConverterMode | None, wanted: ConverterMode) -> tuple[Step, ...]:
    """The writes from the mode that the device is in (None: none of the four) to an active one.

    Set-points before the mode when it starts; the voltage before and the current after it when a current mode becomes the
    reference. What the hardware's table calls unused: a reference that becomes a current mode, as in a hand-over, gets its
    current first, since it would push its whole capacity otherwise; between the current modes it waits.
    """
    if present is wanted:
        return Step.VOLTAGE, Step.CURRENT
    if present is ConverterMode.WAIT:
        return Step.VOLTAGE, Step.CURRENT, Step.MODE
    if present is ConverterMode.VOLTAGE_REFERENCE:
        return Step.CURRENT, Step.MODE, Step.VOLTAGE
    if present is not None and wanted is ConverterMode.VOLTAGE_REFERENCE:
        return Step.VOLTAGE, Step.MODE, Step.CURRENT
    return Step.WAIT, Step.VOLTAGE, Step.CURRENT, Step.MODE
