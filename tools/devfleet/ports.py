"""Loopback ports: pick one that is free, wait until somebody listens on it."""

from __future__ import annotations

import socket
import time

LOOPBACK = "127.0.0.1"


def free_port(*, below: int = 65536) -> int:
    """A port nobody listens on right now. Between this and its use somebody may take it: retry then."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port < below:
            return port


def free_ports_in_a_row(count: int) -> int:
    """The first of `count` neighbours, all of them free right now."""
    while True:
        first = free_port(below=65536 - count)
        if all(map(_is_free, range(first, first + count))):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def is_open(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def wait_open(port: int, timeout: float = 10) -> None:
    """Returns when somebody accepts connections on `port`; TimeoutError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not is_open(port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody listens on {LOOPBACK}:{port} after {timeout} s")
        time.sleep(0.02)
