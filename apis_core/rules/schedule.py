"""When a loop has something to do next: from state to a moment, so that nothing sleeps for a fixed time."""

from collections.abc import Iterable

BACKOFF_LIMIT = 4
JITTER = 0.2
USABLE_WALL_S = 2.0
# A transition is about four commands, each with its checkpoint and the time its messages and writes take [s].
TRANSITION_COMMANDS, COMMAND_S = 4, 0.5
# Deals are to be complete twice as far apart as one end takes: what each will take is not known to the second.
END_SPACING = 2.0


def next_reading_s(last_read_s: float | None, period_s: float) -> float:
    """When the device is read next: one period after it was last read, by whomever."""
    return 0.0 if last_read_s is None else last_read_s + period_s


def usable_s(period_s: float, wall_per_s: float) -> float:
    """How old a reading may be to decide by [community s]: two periods, at least two seconds of the wall."""
    return max(2 * period_s, USABLE_WALL_S / wall_per_s)


def next_request_s(last_request_s: float | None, period_s: float, failures: int, jitter: float) -> float:
    """When a unit looks at its battery again: after its period, longer after each vain request, spread by `jitter` (0 to 1)."""
    if last_request_s is None:
        return 0.0
    stretch = 1 if failures == 0 else float(2 ** min(failures - 1, BACKOFF_LIMIT)) * (1 + JITTER * jitter)
    return last_request_s + period_s * stretch


def next_on_grid_s(now_s: float, period_s: float) -> float:
    """How long until the next multiple of a period [s]: where looks are made only for a reason, they keep their rhythm."""
    return period_s - now_s % period_s


def next_pass_s(last_pass_s: float, period_s: float, due_s: Iterable[float]) -> float:
    """When the Grid Master looks at the line again: at its period, or when the first deal is predicted to be complete."""
    return min([last_pass_s + period_s, *due_s])


def beginning_apart_s(now_s: float, lasts_s: float, completions_s: Iterable[float], apart_s: float) -> float:
    """When a deal that lasts so long may begin, so that it is not complete within `apart_s` of another one."""
    begin_s = now_s
    for due_s in sorted(completions_s):
        if abs(begin_s + lasts_s - due_s) < apart_s:
            begin_s = due_s + apart_s - lasts_s
    return begin_s


def next_ramp_check_s(now_s: float, voltage_v: float, target_v: float, slope_v_per_s: float | None, period_s: float) -> float:
    """When a rising line is looked at again: at its predicted arrival, at the latest after one period."""
    if slope_v_per_s is None or slope_v_per_s <= 0:
        return now_s + period_s / 10
    return now_s + min(period_s, max(period_s / 50, (target_v - voltage_v) / slope_v_per_s))


def line_is_needed_soon(now_s: float, completions_s: Iterable[float], checkpoint_wait_s: float, seen_s: float = 0.0) -> bool:
    """Whether a running deal will be complete before a transition begun now is over: it would have to wait for the line.

    `seen_s`: how long the last transitions took: on an accelerated emulator every answer takes its time on the wall.
    """
    transition_s = max(seen_s, TRANSITION_COMMANDS * (checkpoint_wait_s + COMMAND_S))
    return any(due_s - now_s < transition_s for due_s in completions_s)
