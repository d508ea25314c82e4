"""Who may use a node's endpoint from another machine: whoever was told a code by its owner, until that is taken back."""

from collections.abc import Callable
import contextlib
from datetime import UTC, datetime
import hashlib
import os
from pathlib import Path
import secrets
import time
from typing import Any

import orjson

from ..model.errors import CommandRefusedError
from ..rules.pairing import Offer, offered, tried

FILE_NAME = "pairs.json"


class Pairing:
    """The pairs of a node: names, and hashes of their tokens. A token itself is told once and kept nowhere."""

    def __init__(self, path: Path, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Remember who was paired before."""
        self._path = path
        self._clock_s = clock_s
        self._offer: Offer | None = None
        self._pairs: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(FileNotFoundError):
            self._pairs = orjson.loads(path.read_bytes())
        self.on_revoked: list[Callable[[str], None]] = []

    def begin(self) -> str:
        """A code for one more; any code before it is void."""
        self._offer = offered(secrets.randbelow(10**9), self._clock_s())
        return self._offer.code

    def trade(self, code: str, name: str) -> str:
        """A token for the code. Raises CommandRefusedError with the reason."""
        self._offer, reason = tried(self._offer, code, self._clock_s())
        if reason:
            raise CommandRefusedError(reason)
        token, pair_id = secrets.token_urlsafe(32), secrets.token_hex(4)
        self._pairs[pair_id] = {"name": name[:80], "hash": _hash(token), "time": datetime.now(UTC).isoformat(timespec="seconds")}
        self._keep()
        return token

    def who(self, token: str) -> str | None:
        """Whose token it is."""
        found = _hash(token)
        return next((pair_id for pair_id, pair in self._pairs.items() if secrets.compare_digest(pair["hash"], found)), None)

    def listed(self) -> list[dict[str, str]]:
        """Everybody who is paired."""
        return [{"id": pair_id, "name": pair["name"], "time": pair["time"]} for pair_id, pair in self._pairs.items()]

    def revoke(self, pair_id: str) -> None:
        """Take back one, or `all`. Raises CommandRefusedError for one that there is none of."""
        gone = list(self._pairs) if pair_id == "all" else [pair_id]
        for each in gone:
            if each not in self._pairs:
                raise CommandRefusedError(f"pair {each}: expected one of {', '.join(self._pairs) or 'none'}")
            del self._pairs[each]
        self._keep()
        for each in gone:
            for tell in self.on_revoked:
                tell(each)

    def _keep(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_suffix(".unfinished")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(self._pairs, option=orjson.OPT_INDENT_2))
        unfinished.replace(self._path)


def _hash(token: str) -> str:
    # A token is 256 random bits: nobody guesses it, so a plain hash keeps it.
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
