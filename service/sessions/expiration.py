"""When a session ends, as far as its app may decide."""

from __future__ import annotations

__all__ = ("Expirable",)


class Expirable:
    """The part of a session that is for apps: the names are those of Bokeh's ``ServerSession``."""

    def __init__(self) -> None:
        self._expiration_requested = False
        self._expiration_blocked_count = 0

    @property
    def expiration_requested(self) -> bool:
        return self._expiration_requested

    @property
    def expiration_blocked(self) -> bool:
        return self._expiration_blocked_count > 0

    @property
    def expiration_blocked_count(self) -> int:
        return self._expiration_blocked_count

    def request_expiration(self) -> None:
        """End it at the next look at unused sessions, once nobody is connected."""
        self._expiration_requested = True

    def block_expiration(self) -> None:
        """Keep it, whoever uses it, until :meth:`unblock_expiration` was called as often."""
        self._expiration_blocked_count += 1

    def unblock_expiration(self) -> None:
        """Raises RuntimeError without a :meth:`block_expiration` before."""
        if not self.expiration_blocked:
            raise RuntimeError("mismatched block_expiration / unblock_expiration")
        self._expiration_blocked_count -= 1
