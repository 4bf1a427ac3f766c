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
