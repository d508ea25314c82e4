"""What all our database files have in common: a change is on disk before it is acknowledged, in a log that is brought in now and then.

Source: SQLite, "Write-Ahead Logging" and "PRAGMA statements".
"""

OPENING = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA busy_timeout=5000")
# So much is kept beside the file before it is brought in: SQLite's own default.
_LOG_PAGES = 1000


def bringing_in(*, hold: bool) -> tuple[str, str]:
    """The statements that bring the log into the file; `hold`: that stays as it is then, for whoever copies it."""
    return f"PRAGMA wal_autocheckpoint={0 if hold else _LOG_PAGES}", "PRAGMA wal_checkpoint(TRUNCATE)"
