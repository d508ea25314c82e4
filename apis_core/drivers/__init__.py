"""How a unit reaches its hardware."""
