"""Communities in virtual time."""
