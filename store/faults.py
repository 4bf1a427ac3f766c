"""What went wrong, in this package's words: redis-py's and the server's errors become ours.

The one place that knows error texts. A message never holds a command's arguments or a URL, which
may carry secrets.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

from redis import exceptions as redis_errors

from store.errors import RecordError, StoreConfigError, StoreError, StoreFull, StoreUnavailable

__all__ = ("FAILURES", "translate")

FAILURES = (redis_errors.RedisError, redis_errors.RedisClusterException, OSError)
"""What redis-py lets out (``TimeoutError`` is an ``OSError``)."""

_REFUSED = (
    redis_errors.AuthenticationError,
    redis_errors.AuthorizationError,
    redis_errors.AuthenticationWrongNumberOfArgsError,
    redis_errors.NoPermissionError,
)
_AWAY = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.ReadOnlyError,
    redis_errors.ClusterError,
    redis_errors.TryAgainError,
    redis_errors.RedisClusterException,
    OSError,
)

# Servers before 7.0 wrap what a command inside a script says into an error of the script.
_FULL = re.compile(r"\bOOM ")
_PASSING = re.compile(r"\b(LOADING|BUSY|READONLY|MISCONF|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|TRYAGAIN) ")
_DENIED = re.compile(r"\b(NOAUTH|NOPERM|WRONGPASS)\b|AuthenticationError|invalid username-password")
_UNSUPPORTED = re.compile(r"unknown (sub)?command|syntax error|DB index|SELECT is not allowed", re.I)


def translate(error: BaseException, where: str) -> StoreError:
    """The error to raise instead; exactly ``StoreUnavailable`` when another attempt may help."""
    chain = list(_chain(error))
    text = " ".join(str(item) for item in chain)
    return (
        _denied(chain, text, where)
        or _misfit(error, chain, text, where)
        or _away(error, text, where)
        or StoreError(f"the store at {where} failed: {_brief(error)}")
    )


def _denied(chain: list[BaseException], text: str, where: str) -> StoreError | None:
    if any(isinstance(item, _REFUSED) for item in chain) or _DENIED.search(text):
        return StoreConfigError(
            f"the store at {where} refuses us: check user name, password and the user's permissions"
        )
    if any(isinstance(item, ssl.SSLCertVerificationError) for item in chain):
        return StoreConfigError(
            f"the certificate of the store at {where} is not trusted: {_brief(chain[-1])}"
        )
    return None


def _misfit(error: BaseException, chain: list[BaseException], text: str, where: str) -> StoreError | None:
    if isinstance(error, redis_errors.AskError):
        return StoreConfigError(f"{where} is part of a Redis Cluster; use a redis+cluster:// URL")
    if "WRONGTYPE" in text:
        return RecordError(f"a key in the store at {where} has another type: is its prefix in use elsewhere?")
    if isinstance(error, redis_errors.ResponseError) and _UNSUPPORTED.search(text):
        return StoreConfigError(f"the store at {where} does not support what we need: {_brief(error)}")
    return None


def _away(error: BaseException, text: str, where: str) -> StoreError | None:
    if isinstance(error, redis_errors.OutOfMemoryError) or _FULL.search(text):
        return StoreFull(f"the store at {where} has no memory left for new data")
    if isinstance(error, _AWAY) or _PASSING.search(text):
        return StoreUnavailable(f"the store at {where} is not available: {_brief(error)}")
    return None


def _brief(error: BaseException) -> str:
    if isinstance(error, redis_errors.RedisClusterException):
        return "the cluster cannot be reached or does not cover all slots"  # its text may quote a command
    text = " ".join(str(error).split())
    return text[:200] or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it: redis-py's cluster client hides a refused password in the cause."""
    seen: BaseException | None = error
    while isinstance(seen, FAILURES):
        yield seen
        seen = seen.__cause__ or seen.__context__
