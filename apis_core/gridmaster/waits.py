"""How long deals wait for the line, and when that is given up: whoever wished for them learns why, and may wish again."""

from ..model.deal import Deal
from .access import Access


class Waits:
    """Since when [wall s] each deal has waited for a line that cannot be used, or for the one that does not let go of it."""

    def __init__(self, access: Access) -> None:
        """Nobody waits."""
        self._access = access
        self.since_s: dict[str, float] = {}
        self._taken: tuple[str, float] | None = None

    def let_go(self) -> None:
        """No deal is in transition."""
        self._taken = None

    def held_too_long(self, deal: Deal, *, is_held: bool) -> str | None:
        """Why a deal that could not begin now is given up, or None. `is_held`: the line cannot be used; else it is only not ready yet."""
        since_s = self.since_s.setdefault(deal.deal_id, self._access.clock.wall()) if is_held else None
        return self._too_long(deal, since_s)

    def behind_too_long(self, deal: Deal, taker: Deal) -> str | None:
        """Why a deal that has not begun is given up while another one is in transition, or None."""
        if self._taken is None or self._taken[0] != taker.deal_id:
            self._taken = taker.deal_id, self._access.clock.wall()
        if deal.activate_time is not None:
            return None
        too_long = self._too_long(deal, self._taken[1])
        return None if too_long is None else f"{too_long}: deal {taker.deal_id} holds it"

    def _too_long(self, deal: Deal, since_s: float | None) -> str | None:
        times, clock = self._access.policy.times, self._access.clock
        if deal.interruptions and deal.activate_time is None:
            interrupted_s = (clock.now() - deal.interruptions[-1].time).total_seconds() * clock.to_wall(1.0)
            if interrupted_s > times.interruption_limit_s:
                return f"interrupted for over {times.interruption_limit_s:g} s: {deal.interruptions[-1].reason}"
        if since_s is not None and clock.wall() - since_s > times.held_line_limit_s:
            return f"the line could not be used for {times.held_line_limit_s:g} s"
        return None
