"""The embedded store's file: what was stored is on disk before it is acknowledged, one sync for all that came together."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
import logging
from pathlib import Path
import sqlite3

from .. import sqlite_file

_LOGGER = logging.getLogger(__name__)
RETRY_S = 5.0


class StoreFile:
    """A SQLite file with every key's present value, and the highest revision there ever was."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it.

        Raises:
            sqlite3.Error: if that cannot be done.

        """
        self._executor = ThreadPoolExecutor(1, "store")
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for statement in (
            *sqlite_file.OPENING,
            "CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB, revision INTEGER NOT NULL)",
        ):
            self._connection.execute(statement)
        self._pending: dict[str, tuple[bytes | None, int]] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._durable = 0
        self.trouble = ""

    def load(self) -> tuple[dict[str, tuple[bytes, int]], int]:
        """All values with their revisions, and the highest revision of any change."""
        rows = self._connection.execute("SELECT key, value, revision FROM entries").fetchall()
        return {key: (value, revision) for key, value, revision in rows if value is not None}, max((row[2] for row in rows), default=0)

    async def checkpoint(self, hold: bool) -> None:
        """Bring all that was kept into the one file; `hold`: that stays as it is then, for whoever copies it."""
        work, loop = self._connection.execute, asyncio.get_running_loop()
        for statement in sqlite_file.bringing_in(hold=hold):
            await loop.run_in_executor(self._executor, work, statement)

    async def keep(self, key: str, value: bytes | None, revision: int) -> None:
        """Return when the change is on disk, or when the disk does not take it: then `trouble` says why, and it is tried again."""
        self._pending[key] = (value, revision)
        while self._durable < revision and not self.trouble:
            if self._flushing is None or self._flushing.done():
                self._flushing = asyncio.create_task(self._flush())
            await asyncio.shield(self._flushing)
        if self.trouble and (self._flushing is None or self._flushing.done()):
            self._flushing = asyncio.create_task(self._retry())

    async def _flush(self) -> None:
        batch = dict(self._pending)
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._write, batch)
        except sqlite3.Error as error:
            if not self.trouble:
                _LOGGER.error("the store's file does not take what is stored: %s", error)
            self.trouble = str(error)
            return
        self.trouble = ""
        # What is not in this batch was in an earlier one, or was overtaken by what is.
        self._durable = max(revision for _, revision in batch.values())
        for key, written in batch.items():
            if self._pending.get(key) == written:
                del self._pending[key]

    async def _retry(self) -> None:
        while self.trouble:
            await asyncio.sleep(RETRY_S)
            await self._flush()

    def _write(self, batch: dict[str, tuple[bytes | None, int]]) -> None:
        rows = [(key, value, revision) for key, (value, revision) in batch.items()]
        newest = max(revision for _, _, revision in rows)
        connection = self._connection
        connection.execute("BEGIN")
        try:
            connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
            # Deleted keys leave room; the newest of them keeps the count of revisions from going back.
            connection.execute("DELETE FROM entries WHERE value IS NULL AND revision < ?", (newest,))
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    async def close(self) -> None:
        """Write what is left and let go."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
        if self._pending:
            await self._flush()
        self._executor.shutdown()
        self._connection.close()
