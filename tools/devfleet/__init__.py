"""A whole fleet on one machine: real processes on loopback, started and always stopped again.

Both `tools/fleet.py` (what `make fleet` runs) and the tests build on this package. It knows the server
only from the outside, as a command line and a URL, and imports nothing from it.
"""
