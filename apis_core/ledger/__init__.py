"""What happened and must not be lost: deals, energy, errors, modes, scenarios (SQLAlchemy; SQLite by default)."""
