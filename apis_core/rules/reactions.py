"""What the system does about an error, by whom it concerns, where it comes from, and how bad it is."""

from enum import StrEnum

from ..model.errors import Category, ErrorReport, Extent, Level


class Reaction(StrEnum):
    """What follows an error, in order."""

    RECORD = "record"
    END_OWN_DEALS = "end_own_deals"
    WAIT = "wait"
    GIVE_UP_ROLE = "give_up_role"
    RECONCILE = "reconcile"
    CLOSE_NODE = "close_node"
    SCRAM = "scram"
    LATCH_STOP = "latch_stop"
    END_NAMED_UNITS_DEALS = "end_named_units_deals"
    NO_NEW_DEALS = "no_new_deals"
    END_ALL_DEALS = "end_all_deals"


_OWN = (Reaction.RECORD, Reaction.END_OWN_DEALS, Reaction.WAIT)


def reactions(report: ErrorReport) -> tuple[Reaction, ...]:
    """What follows `report`. An unknown level counts as ERROR, an unknown extent as GLOBAL."""
    if report.level is Level.WARN:
        return (Reaction.RECORD,)
    if report.extent is Extent.LOCAL:
        if report.level is Level.FATAL:
            return (*_OWN, Reaction.GIVE_UP_ROLE, Reaction.CLOSE_NODE)
        if report.category in (Category.FRAMEWORK, Category.LOGIC):
            return (*_OWN, Reaction.GIVE_UP_ROLE, Reaction.RECONCILE)
        return _OWN
    if report.level is Level.FATAL:
        return (Reaction.RECORD, Reaction.END_ALL_DEALS, Reaction.LATCH_STOP)
    if report.category is Category.HARDWARE:
        return (Reaction.RECORD, Reaction.SCRAM, Reaction.LATCH_STOP)
    return (Reaction.RECORD, Reaction.NO_NEW_DEALS, Reaction.END_NAMED_UNITS_DEALS)
