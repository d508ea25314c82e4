"""The embedded store's file: whatever was acknowledged is there after any end of the process."""

import asyncio
from collections.abc import AsyncIterator, Callable
import contextlib
from pathlib import Path
import sqlite3

import pytest

from apis_core.cluster.memory_store import EmbeddedStore
from apis_core.cluster.store_file import StoreFile
from apis_core.model.errors import StoreConflictError

type Opener = Callable[[], StoreFile]


@pytest.fixture
async def open_file(tmp_path: Path) -> AsyncIterator[Opener]:
    files: list[StoreFile] = []

    def opened() -> StoreFile:
        files.append(StoreFile(tmp_path / "store"))
        return files[-1]

    yield opened
    for file in files:
        await file.close()


async def test_values_and_revisions_survive_and_never_go_back(open_file: Opener) -> None:
    file = open_file()
    store = EmbeddedStore(file)
    first = await store.create("deal.a", {"x": 1})
    second = await store.update("deal.a", {"x": 2}, first)
    await store.create("deal.b", {})
    await store.delete("deal.b")
    again = EmbeddedStore(open_file())
    entry = await again.get("deal.a")
    assert entry is not None
    assert (entry.value, entry.revision) == ({"x": 2}, second)
    assert await again.get("deal.b") is None
    assert await again.put("c", {}) > second + 2
    with pytest.raises(StoreConflictError):
        await again.update("deal.a", {}, first)


async def test_what_was_acknowledged_is_on_disk_before_the_file_is_closed(tmp_path: Path, open_file: Opener) -> None:
    store = EmbeddedStore(open_file())
    await asyncio.gather(*(store.put(f"key.{i % 7}", {"i": i}) for i in range(50)))
    with contextlib.closing(sqlite3.connect(tmp_path / "store")) as reader:
        rows = dict(reader.execute("SELECT key, value FROM entries"))
    assert rows == {f"key.{k}": f'{{"i":{max(i for i in range(50) if i % 7 == k)}}}'.encode() for k in range(7)}


async def test_a_lease_that_is_only_renewed_costs_no_write(tmp_path: Path, open_file: Opener) -> None:
    store = EmbeddedStore(open_file())
    revision = await store.create("lease", {"holder": "E001", "epoch": 1, "renewal": 0})
    await store.update("lease", {"holder": "E001", "epoch": 1, "renewal": 1}, revision)
    with contextlib.closing(sqlite3.connect(tmp_path / "store")) as reader:
        (stored,) = reader.execute("SELECT revision FROM entries").fetchone()
    assert stored == revision


async def test_a_disk_that_takes_nothing_is_told_and_tried_again(
    tmp_path: Path, open_file: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apis_core.cluster.store_file.RETRY_S", 0.01)
    file = open_file()
    store = EmbeddedStore(file)
    file._connection.execute("PRAGMA busy_timeout=1")
    with contextlib.closing(sqlite3.connect(tmp_path / "store", isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        await store.put("a", {"x": 1})
        assert "locked" in store.trouble
        blocker.execute("ROLLBACK")
    assert file._flushing is not None
    await file._flushing
    assert not store.trouble
    assert (await EmbeddedStore(open_file()).get("a")) is not None
