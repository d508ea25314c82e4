"""The daemon's local endpoint and the client that speaks to it."""
