"""Timing figures, each beside something measured in the same run. Nothing here decides whether a change lands."""
