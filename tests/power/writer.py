"""A process that stores and acknowledges, line by line, until it is killed: `writer.py FOLDER [careless]`."""

import asyncio
from pathlib import Path
import sys

from apis_core.cluster.memory_store import EmbeddedStore
from apis_core.cluster.store_file import StoreFile
from apis_core.ledger.database import LedgerDatabase, sqlite_url
from apis_core.ledger.unit_ledger import LedgerWriter, UnitLedger


async def main(folder: Path, *, careless: bool) -> None:
    file = StoreFile(folder / "cluster.sqlite")
    store = EmbeddedStore(file)
    database = LedgerDatabase(sqlite_url(folder / "apis.sqlite"))
    if careless:
        file._connection.execute("PRAGMA synchronous=OFF")
        with database._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA synchronous=OFF")
    ledger = UnitLedger(LedgerWriter(database, threaded=True), "E001")
    number = 0
    while True:
        number += 1
        if number % 3 == 0:
            await store.put("deal.a", {"n": number})
            kind = "a"
        elif number % 3 == 1:
            await store.put("deal.b", {"n": number})
            kind = "b"
        else:
            await ledger.set_state("count", {"n": number})
            kind = "ledger"
        sys.stdout.write(f"{kind} {number}\n")
        sys.stdout.flush()


asyncio.run(main(Path(sys.argv[1]), careless="careless" in sys.argv))
