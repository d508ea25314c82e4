"""What a unit writes down of when it could not share, and what it knows of its driver."""

import asyncio
from datetime import UTC, datetime

from apis_core.clock import VirtualClock, run_virtual
from apis_core.ledger.memory import MemoryLedger
from apis_core.model.errors import DriverError
from apis_core.ports import Json
from apis_core.rules.outages import Cause
from apis_core.unit.health import KEY, PERIOD_S, Health


def test_a_silent_driver_is_asked_again_and_outages_are_kept() -> None:
    answers: list[Json | None] = [{"status": "good"}, None, {"status": "trouble"}]
    cause: list[Cause | None] = [None]

    async def main() -> None:
        clock = VirtualClock(datetime(2026, 11, 20, tzinfo=UTC))
        ledger = MemoryLedger("E001", lambda _deal: None, lambda _report, _time: None)

        async def ask() -> Json:
            answer = answers.pop(0)
            if answer is None:
                raise DriverError("silent")
            return answer

        health = Health(ledger, clock, lambda: cause[0], ask)
        assert health.is_kept
        assert health.shares() == {}
        running = asyncio.create_task(health.run())
        seen = []
        for _ in range(3):
            await clock.sleep(PERIOD_S / 2)
            seen.append(health.driver)
            cause[0] = Cause.FAULT
            await clock.sleep(PERIOD_S / 2)
        running.cancel()
        assert seen == [{"status": "good"}, {}, {"status": "trouble"}]
        assert health.shares()["1"]["fault"] > 0
        assert await ledger.state(KEY) is not None

    run_virtual(main)
