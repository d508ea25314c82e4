"""Whole communities in virtual time: what sharing would do, and what becomes of it when things break."""
