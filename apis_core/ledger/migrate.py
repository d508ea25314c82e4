"""Bringing a stored schema that is older up to date, with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
import sqlalchemy as sa

from ..model.errors import LedgerError


def upgrade(engine: sa.Engine) -> None:
    """Run the migrations that are missing.

    Raises:
        LedgerError: if the stored schema is none that this program knows (a newer program wrote it).

    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise LedgerError(f"ledger {engine.url}: {error}; it was written by a newer version") from error
