"""Thin Tornado handlers, and the pure rules they ask."""
