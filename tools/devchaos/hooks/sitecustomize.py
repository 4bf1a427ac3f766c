"""Python runs this at its start where it is on its path: names are looked up at port NAMESERVER_PORT.

On 127.0.0.1, by glibc, as ever: it asks, waits, asks again and gives up as its `resolv.conf` says, and the
thread that called it hangs meanwhile. That file has no place for a port, and port 53 is root's; but glibc
(since 2.26, `resolv/resolv_context.c`) leaves alone what a thread has written into its own `_res`.
"""

import ctypes
import functools
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

_LIBC = ctypes.CDLL(None)
_LIBC.__res_state.restype = ctypes.c_void_p
_COUNT_AT, _ADDRESSES_AT = 16, 20
"""In `struct __res_state` of 64 bits (resolv.h): how many nameservers there are, and their `sockaddr_in`."""
_OURS = (
    struct.pack("=H", socket.AF_INET)
    + struct.pack("!H", int(os.environ["NAMESERVER_PORT"]))
    + socket.inet_aton("127.0.0.1")
    + bytes(8)
)


def _asking_ours(lookup: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(lookup)
    def asks(*args: Any, **options: Any) -> Any:
        _LIBC.__res_init()
        state = _LIBC.__res_state()
        ctypes.memmove(state + _COUNT_AT, struct.pack("=i", 1), 4)
        ctypes.memmove(state + _ADDRESSES_AT, _OURS, len(_OURS))
        return lookup(*args, **options)

    return asks


for _name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo"):
    setattr(socket, _name, _asking_ours(getattr(socket, _name)))
