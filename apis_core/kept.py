"""What a community keeps in a data directory: its ledger, its shared store, and the lock of whoever uses them."""

import asyncio
import contextlib
import fcntl
from pathlib import Path
import sqlite3
import tempfile

from .cluster.embedded import EmbeddedHub
from .cluster.store_file import StoreFile
from .ledger.database import LedgerDatabase, sqlite_url
from .local_community import later
from .model.deal import Deal
from .model.errors import ClusterError, ConfigError, Problem
from .model.modes import OperationMode
from .unit.board import DEAL, Board
from .unit.controller import ACCOUNT
from .workshop import UnitSetup

DATABASE_NAME = "apis.sqlite"
STORE_NAME = "cluster.sqlite"


def lock_cluster(setup: UnitSetup, data_dir: Path) -> contextlib.ExitStack:
    """The right of this process to the data directory, and to drive the cluster's converters on this machine; held until it is closed.

    The directory has what is shared (store, lease, guard): two communities in it would drive each other's converters. The cluster's
    own lock keeps a second process off that works in another directory.

    Raises:
        ConfigError: if another process has it.

    """
    settings = setup.settings
    with contextlib.ExitStack() as stack:
        _lock(stack, data_dir / ".apis.lock", f"data directory {data_dir}")
        if setup.files is not None:
            name = "".join(c if c.isalnum() else "-" for c in f"{settings.community_id}-{settings.cluster_id}")
            where = f"cluster {settings.cluster_id} of community {settings.community_id}"
            _lock(stack, Path(tempfile.gettempdir()) / f".apis-{name}.lock", where)
        return stack.pop_all()


def _lock(stack: contextlib.ExitStack, path: Path, where: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = stack.enter_context(path.open("w"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError((Problem(where, f"another process that holds {path}", "one process on this machine"),)) from None


def open_ledger(data_dir: Path) -> LedgerDatabase:
    """The ledger in a data directory, made if it is not there. Raises LedgerError."""
    data_dir.mkdir(parents=True, exist_ok=True)
    return LedgerDatabase(sqlite_url(data_dir / DATABASE_NAME))


def stored_deals(data_dir: Path) -> tuple[Deal, ...]:
    """Every deal that the ledger of a data directory knows, oldest first; nothing where there is none. It blocks.

    Raises:
        LedgerError: if it cannot be read.

    """
    if not (data_dir / DATABASE_NAME).is_file():
        return ()
    database = open_ledger(data_dir)
    try:
        found: dict[str, Deal] = {}
        for unit_id in database.unit_ids():
            for deal in database.deals(unit_id):
                found[deal.deal_id] = later(found.get(deal.deal_id), deal)
    finally:
        database.close()
    return tuple(sorted(found.values(), key=lambda deal: (deal.create_time, deal.deal_id)))


def open_store(data_dir: Path) -> StoreFile:
    """The shared store in a data directory, made if it is not there. Raises ClusterError."""
    try:
        return StoreFile(data_dir / STORE_NAME)
    except sqlite3.Error as error:
        raise ClusterError(f"{data_dir / STORE_NAME}: {error}") from error


async def settle_restored(data_dir: Path) -> None:
    """Let deals end that ran when a backup was made whose files these are: none of them goes on where it was then.

    Raises:
        ClusterError: if the store cannot be opened.

    """
    if not await asyncio.to_thread((data_dir / STORE_NAME).exists):
        return
    store_file = await asyncio.to_thread(open_store, data_dir)
    try:
        store = EmbeddedHub(store_file).store
        board = Board(store, lambda: OperationMode.STOP)
        for entry in await store.items(DEAL):
            await board.ask_to_stop(entry.key.removeprefix(DEAL), "restored from a backup")
    finally:
        await store_file.close()
    await asyncio.to_thread(_forget_flows, data_dir)


def _forget_flows(data_dir: Path) -> None:
    """What flowed when a backup was made went on nobody knows how long: none of the time since is counted by it."""
    for path in data_dir.glob("*.sqlite"):
        if path.name == STORE_NAME:
            continue
        database = LedgerDatabase(sqlite_url(path))
        try:
            for unit_id in database.unit_ids():
                account = database.state(unit_id, ACCOUNT)
                if account is not None and account.pop("flow", None) is not None:
                    database.set_state(unit_id, ACCOUNT, account)
        finally:
            database.close()
