"""The embedded cluster and the lease on top of it: what a network engine must do as well."""

import asyncio
from typing import Any

import pytest

from apis_core.clock import VirtualClock, run_virtual
from apis_core.cluster.embedded import EmbeddedHub
from apis_core.cluster.memory_store import EmbeddedStore
from apis_core.gridmaster.lease import StoreLease
from apis_core.model.errors import ClusterError, CommandRefusedError, NoAnswerError, StoreConflictError
from apis_core.model.policy import Policy
from apis_core.rules import role
from apis_core.unit.board import LEASE
from tests.builders import NOON, a_policy


async def test_compare_and_set() -> None:
    store = EmbeddedStore()
    first = await store.create("a", {"n": 1})
    with pytest.raises(StoreConflictError, match="expected no value"):
        await store.create("a", {"n": 2})
    second = await store.update("a", {"n": 2}, first)
    with pytest.raises(StoreConflictError, match=f"found revision {second}, expected {first}"):
        await store.update("a", {"n": 3}, first)
    with pytest.raises(StoreConflictError):
        await store.delete("a", first)
    await store.delete("a", second)
    await store.delete("a")
    assert await store.get("a") is None
    with pytest.raises(StoreConflictError, match="found revision None"):
        await store.update("a", {}, second)
    await store.put("b", {})
    assert [entry.key for entry in await store.items("")] == ["b"]


async def test_a_watcher_sees_what_is_there_and_every_change_in_order() -> None:
    store = EmbeddedStore()
    await store.put("deal.1", {"n": 1})
    await store.put("other", {})
    seen: list[tuple[str, Any]] = []

    async def watch() -> None:
        async for entry in store.watch("deal."):
            seen.append((entry.key, entry.value))
            if len(seen) == 4:
                return

    task = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await store.put("deal.1", {"n": 2})
    await store.put("deal.2", {})
    await store.delete("deal.1")
    await task
    assert seen == [("deal.1", {"n": 1}), ("deal.1", {"n": 2}), ("deal.2", {}), ("deal.1", None)]


async def test_messages_reach_whom_they_are_for() -> None:
    hub = EmbeddedHub()
    one, two, three = (hub.join(f"E00{i}") for i in (1, 2, 3))
    heard: list[str] = []

    async def answer(sender: str, message: dict[str, Any]) -> dict[str, Any]:
        heard.append(sender)
        return {"got": message["n"]}

    async def refuse(_sender: str, _message: dict[str, Any]) -> dict[str, Any]:
        raise CommandRefusedError("no")

    two.handle("ask", answer)
    three.handle("ask", refuse)
    assert one.unit_id == "E001"
    assert one.live() == {"E001", "E002", "E003"}
    assert await one.request("E002", "ask", {"n": 5}, 1) == {"got": 5}
    with pytest.raises(CommandRefusedError, match="no"):
        await one.request("E003", "ask", {"n": 5}, 1)
    with pytest.raises(NoAnswerError, match="E009 is not in the cluster"):
        await one.request("E009", "ask", {"n": 5}, 1)
    with pytest.raises(ClusterError, match="does not answer other"):
        await one.request("E002", "other", {}, 1)
    assert await one.scatter({"E002", "E003", "E009"}, "ask", {"n": 6}, 1) == {"E002": {"got": 6}}
    await one.publish("ask", {"n": 7})
    await asyncio.sleep(0)
    assert heard == ["E001"] * 3
    with pytest.raises(ClusterError, match="already in this cluster"):
        hub.join("E001")
    await two.close()
    assert one.live() == {"E001", "E003"}
    await one.close()
    await three.close()


def test_who_does_not_answer_in_time_is_not_waited_for() -> None:
    async def main() -> None:
        hub = EmbeddedHub()
        one, two = hub.join("E001"), hub.join("E002")

        async def never(_sender: str, _message: dict[str, Any]) -> None:
            await asyncio.sleep(3600)

        two.handle("ask", never)
        loop = asyncio.get_running_loop()
        with pytest.raises(NoAnswerError, match="within 2 s"):
            await one.request("E002", "ask", {}, 2)
        assert loop.time() == pytest.approx(2)
        assert await one.scatter({"E002"}, "ask", {}, 3) == {}
        assert loop.time() == pytest.approx(5)
        asked = asyncio.create_task(one.request("E002", "ask", {}, 60))
        await asyncio.sleep(1)
        await two.close()
        with pytest.raises(NoAnswerError, match="left while it was asked"):
            await asked
        await one.close()

    run_virtual(main)


def test_a_scatter_ends_when_all_have_answered() -> None:
    async def main() -> None:
        hub = EmbeddedHub()
        ends = [hub.join(f"E{i}") for i in range(5)]

        async def later(_sender: str, _message: dict[str, Any]) -> dict[str, Any]:
            await asyncio.sleep(0.1)
            return {}

        for end in ends:
            end.handle("ask", later)
        answers = await ends[0].scatter({end.unit_id for end in ends}, "ask", {}, 60)
        assert len(answers) == 5
        assert asyncio.get_running_loop().time() == pytest.approx(0.1)

    run_virtual(main)


def test_the_lease_has_one_holder_and_its_epoch_only_grows() -> None:
    async def main() -> None:
        store, clock = EmbeddedStore(), VirtualClock(NOON)
        lost: list[str] = []
        first, second = (StoreLease(store, clock, unit, lambda: 15.0, lambda unit=unit: lost.append(unit)) for unit in ("E001", "E002"))  # type: ignore[misc]
        assert await first.try_take(0)
        assert (first.epoch, first.is_held, first.holder) == (1, True, "E001")
        assert not await second.try_take(0)
        assert second.holder == "E001"
        await asyncio.sleep(10)
        assert await first.renew()
        await asyncio.sleep(10)
        assert not await second.try_take(0)
        await asyncio.sleep(15.0)
        assert not first.is_held
        assert second.holder is None
        assert await second.try_take(7)
        assert second.epoch == 8
        assert lost == []
        assert not await first.renew()
        assert (first.epoch, lost) == (0, ["E001"])
        assert not await first.renew()
        assert not await first.try_take(9, "E003"), "who is gone is not who holds it"
        assert await first.try_take(9, "E002")
        assert first.epoch == 10
        assert not await second.renew()
        assert await second.try_take(10, "E001")
        assert lost == ["E001", "E002"]
        await second.hand_to("E001")
        assert not await second.try_take(0)
        assert await first.try_take(0)
        assert first.epoch == 13
        await first.hand_to("")
        await first.hand_to("E002")
        assert await second.try_take(0)
        assert second.epoch == 14

    run_virtual(main)


def test_a_renewal_whose_answer_was_lost_is_read_back() -> None:
    class Forgetful(EmbeddedStore):
        lose = False

        async def update(self, key: str, value: dict[str, Any], revision: int) -> int:
            new = await super().update(key, value, revision)
            if self.lose:
                self.lose = False
                raise StoreConflictError("no answer")
            return new

    async def main() -> None:
        store, clock = Forgetful(), VirtualClock(NOON)
        lease = StoreLease(store, clock, "E001", lambda: 15.0, lambda: None)
        assert await lease.try_take(0)
        store.lose = True
        assert await lease.renew()
        assert await lease.renew()
        await store.delete(LEASE)
        assert not await lease.renew()

    run_virtual(main)


@pytest.mark.parametrize(
    ("policy", "reference", "live", "wanted"),
    [
        (a_policy(), "E002", {"E001", "E002"}, "E002"),
        (a_policy(), None, {"E001", "E002"}, None),
        (a_policy(grid_master_selection="anywhere"), "E002", {"E002"}, None),
        (a_policy(grid_master_selection="fixed", grid_master_fixed_unit_id="E003"), "E002", {"E003"}, "E003"),
        (a_policy(grid_master_selection="fixed", grid_master_fixed_unit_id="E003"), "E002", {"E002"}, None),
    ],
)
def test_where_the_role_belongs(policy: Policy, reference: str | None, live: set[str], wanted: str | None) -> None:
    assert role.desired_unit(policy, reference, live) == wanted
