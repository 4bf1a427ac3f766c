"""The secrets that all replicas share without having been given any: agreed upon through the store."""

from __future__ import annotations

import logging
from collections.abc import Callable

from service.tokens import generate_secret
from store.contract import Store
from store.errors import StoreError

__all__ = ("Agreement",)

log = logging.getLogger(__name__)


class Agreement:
    """Agrees on secrets, and says them again to a store that may have lost them.

    Otherwise the next replica to start would propose others, and refuse every page opened before.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, str] = {}
        self._adopt: dict[str, Callable[[str, str | None], None]] = {}

    async def on(self, name: str, adopt: Callable[[str, str | None], None]) -> None:
        """Agree on the secret ``name``; ``adopt(secret, previous)`` is told now and when it changes.

        Raises StoreError.
        """
        self._adopt[name] = adopt
        self._known[name] = await self._store.agree_secret(name, generate_secret())
        adopt(self._known[name], None)

    async def again(self) -> None:
        """The store may have lost the secrets. Of those who say theirs again, the first is right."""
        for name, secret in self._known.items():
            try:
                agreed = await self._store.agree_secret(name, secret)
            except StoreError as error:
                log.warning("cannot write agreed secrets to the store again: %s", error)
                return  # the store is away, and comes back with another doubt
            if agreed != secret:
                log.warning("the store lost the secret for %s, and a new replica was faster", name)
                self._known[name] = agreed
                self._adopt[name](agreed, secret)
