"""What is decided: pure functions over values; no I/O, no clock and no randomness of their own."""
