"""The embedded cluster's store: in memory, with a file behind it that makes it outlive the process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from ..model.errors import StoreConflictError
from ..ports import Entry, Json
from .store_file import StoreFile


class EmbeddedStore:
    """Key-value store with one revision counter; watchers see every change in order.

    With a file, a change is on disk when its method returns. Watchers may see it a moment earlier: they end with this
    process, as the change would.
    """

    def __init__(self, file: StoreFile | None = None, *, direct: bool = False) -> None:
        """Begin with what the file holds, or empty. `direct`: values are kept as they are, in a run where nobody changes them."""
        self._file = file
        self._to_text: Callable[[Json], Any] = _as_it_is if direct else orjson.dumps
        self._from_text: Callable[[Any], Json] = _as_it_is if direct else orjson.loads
        self._values: dict[str, tuple[Any, int]] = {}
        self._revision = 0
        if file is not None:
            self._values, self._revision = file.load()
        self._watchers: list[tuple[str, asyncio.Queue[Entry]]] = []

    @property
    def trouble(self) -> str:
        """See Store."""
        return "" if self._file is None else self._file.trouble

    async def get(self, key: str) -> Entry | None:
        """See Store."""
        return self._entry(key)

    async def items(self, prefix: str) -> tuple[Entry, ...]:
        """See Store."""
        return self.there(prefix)

    @property
    def revision(self) -> int:
        """That of the last change."""
        return self._revision

    def there(self, prefix: str) -> tuple[Entry, ...]:
        """What `items` says, for who looks at the store itself and is no member."""
        return tuple(entry for key in sorted(self._values) if key.startswith(prefix) and (entry := self._entry(key)))

    async def create(self, key: str, value: Json) -> int:
        """See Store."""
        if key in self._values:
            raise StoreConflictError(f"{key}: found revision {self._values[key][1]}, expected no value")
        return await self._set(key, value)

    async def update(self, key: str, value: Json, revision: int) -> int:
        """See Store."""
        self._expect(key, revision)
        return await self._set(key, value)

    async def put(self, key: str, value: Json) -> int:
        """See Store."""
        return await self._set(key, value)

    async def delete(self, key: str, revision: int | None = None) -> None:
        """See Store."""
        if revision is not None:
            self._expect(key, revision)
        if self._values.pop(key, None) is not None:
            self._revision += 1
            deleted = Entry(key, None, self._revision)
            self._tell(deleted)
            if self._file is not None:
                await self._file.keep(key, None, deleted.revision)

    async def watch(self, prefix: str) -> AsyncIterator[Entry]:
        """See Store. What was there when iteration began comes first."""
        queue: asyncio.Queue[Entry] = asyncio.Queue()
        for entry in await self.items(prefix):
            queue.put_nowait(entry)
        watcher = (prefix, queue)
        self._watchers.append(watcher)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.remove(watcher)

    def holds(self, key: str) -> bool:
        """Whether there is a value under a key now."""
        return key in self._values

    def _entry(self, key: str) -> Entry | None:
        if key not in self._values:
            return None
        value, revision = self._values[key]
        return Entry(key, self._from_text(value), revision)

    def _expect(self, key: str, revision: int) -> None:
        found = self._values[key][1] if key in self._values else None
        if found != revision:
            raise StoreConflictError(f"{key}: found revision {found}, expected {revision}")

    async def _set(self, key: str, value: Json) -> int:
        old = None if self._file is None else self._entry(key)
        self._revision += 1
        revision, data = self._revision, self._to_text(value)
        self._values[key] = (data, revision)
        self._tell(Entry(key, self._from_text(data), revision))
        if self._file is not None and not _is_renewal(None if old is None else old.value, value):
            await self._file.keep(key, data, revision)
        return revision

    def _tell(self, entry: Entry) -> None:
        for prefix, queue in self._watchers:
            if entry.key.startswith(prefix):
                queue.put_nowait(entry)


def _as_it_is(value: Any) -> Any:
    return value


def _is_renewal(old: Json | None, new: Json) -> bool:
    """Whether a lease was only renewed: nothing of it is needed after this process, which alone can hold it."""
    return old is not None and "renewal" in new and {**old, "renewal": 0} == {**new, "renewal": 0}
