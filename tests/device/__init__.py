"""The device driver and its serial lines."""
