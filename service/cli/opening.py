"""Opens the store for the commands that look at a running fleet: which one, and what may go wrong."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from service.errors import ConfigError, Unavailable
from service.options import add_options, lookup
from service.settings import OPTIONS
from store.connect import open_store
from store.contract import Store
from store.encryption import Encryption
from store.errors import StoreConfigError, StoreError

__all__ = ("add_store_arguments", "opened_store")

_OPTIONS = {name: OPTIONS[name] for name in ("redis", "redis_prefix", "secret_key", "previous_secret_key")}


def add_store_arguments(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` the flags that say which store, and how to read it, as ``svc serve`` has them."""
    add_options(parser, _OPTIONS)


@asynccontextmanager
async def opened_store(
    arguments: argparse.Namespace, environ: Mapping[str, str] = os.environ
) -> AsyncIterator[Store]:
    """The store that a fleet shares, for as long as the context lasts.

    Raises ConfigError when no usable store is named, Unavailable when it does not answer.
    """
    given = vars(arguments)
    url, prefix, *secrets = (_value(name, given, environ) for name in _OPTIONS)
    if not url:
        raise ConfigError("which fleet? Give its --redis URL (or set SVC_REDIS_URL)")
    try:
        store = open_store(url, prefix=prefix, encryption=Encryption([each for each in secrets if each]))
        try:
            yield store
        finally:
            await store.close()
    except StoreConfigError as error:
        raise ConfigError(f"--redis: {error}") from error
    except StoreError as error:
        raise Unavailable(str(error)) from error


def _value(name: str, given: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    return lookup(_OPTIONS[name], given.get(name), environ, {}, "")
