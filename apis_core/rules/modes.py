"""Which operation mode holds for a unit."""

from ..model.modes import LOCAL_MODES, OperationMode

_MODES = {mode.value: mode for mode in OperationMode}


def global_mode(stored: str | None, policy_mode: str | None) -> OperationMode:
    """The community's mode: what was set, else the policy's, else `stop`."""
    return _MODES.get(stored or "") or _MODES.get(policy_mode or "") or OperationMode.STOP


def effective_mode(community: OperationMode, local: OperationMode | None) -> OperationMode:
    """A unit's mode: its own `heteronomous` or `stop` can only hold it back, never in `stop` or `manual`."""
    if community is OperationMode.AUTONOMOUS and local in LOCAL_MODES:
        return local
    if community is OperationMode.HETERONOMOUS and local is OperationMode.STOP:
        return local
    return community


def deals_must_end(mode: OperationMode) -> bool:
    """Whether running deals end now, in order. `heteronomous` lets them reach their amount."""
    return mode in (OperationMode.STOP, OperationMode.MANUAL)
