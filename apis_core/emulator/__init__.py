"""The physics of N houses on one line, and the device API in front of it."""
