"""Moving the line's voltage from one converter to another: droop, take over, let go, droop off (behaviour reference 4.9).

The plan is in the store before the first command, so that whoever is Grid Master next can finish it.
"""

from ..model.converter import ConverterMode
from ..model.errors import ApisError
from ..model.modes import CommandKind
from ..ports import Json
from ..rules.reference import HandOver
from .access import Access

KEY = "handOver"


async def hand_over(access: Access, plan: HandOver, reason: str) -> None:
    """Carry the four steps out.

    Both converters hold the voltage between the second and the third step, each with droop. If the new one does not take
    over, the old one goes on alone.

    Raises:
        ApisError: if a step failed; the line has one reference then wherever a converter still answers.

    """
    store, old, new = access.cluster.store, plan.old_unit_id, plan.new_unit_id
    await store.put(KEY, _record(plan))
    await access.command(old, CommandKind.WILL_HAND_OVER, reason)
    try:
        await access.command(new, CommandKind.WILL_TAKE_OVER, reason, grid_voltage_v=plan.voltage_v)
    except ApisError:
        await access.command(old, CommandKind.DID_TAKE_OVER, f"{reason}: {new} did not take over")
        await store.delete(KEY)
        raise
    mode = None if plan.old_mode is ConverterMode.WAIT else plan.old_mode
    current_a = plan.old_current_a if mode is not None else None
    await access.command(old, CommandKind.DID_HAND_OVER, reason, mode=mode, grid_current_a=current_a)
    await access.command(new, CommandKind.DID_TAKE_OVER, reason)
    await store.delete(KEY)


def _record(plan: HandOver) -> Json:
    return {
        "oldUnitId": plan.old_unit_id,
        "newUnitId": plan.new_unit_id,
        "voltageV": plan.voltage_v,
        "oldMode": plan.old_mode.name,
        "oldCurrentA": plan.old_current_a,
    }
