"""How units reach each other: in memory, for any number of units in one process."""
