"""Faults, users who go through them, and a checker of what they saw: for `make chaos` and tests/chaos.

It looks at the product from outside: HTTP and WebSockets through nginx, what Redis was told, the apps' own
log of their runs. Nothing here imports the server.
"""
