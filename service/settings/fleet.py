"""Options: the store that replicas share, and where they reach each other."""

from __future__ import annotations

from dataclasses import dataclass

from service.options import choice, option, text
from service.settings import values

__all__ = ("FleetSettings",)


@dataclass(frozen=True, kw_only=True)
class FleetSettings:
    """The store that replicas share, and where they reach each other."""

    redis: str | None = option(
        "--redis",
        text,
        "Redis that all replicas share; without it there can be one process only",
        metavar="URL",
        env=("SVC_REDIS_URL",),
        secret=True,
    )
    redis_prefix: str = option(
        "--redis-prefix",
        values.key_prefix,
        "What all our keys in Redis begin with",
        "svc",
        metavar="PREFIX",
        env=("SVC_REDIS_PREFIX",),
    )
    encrypt_store: str = option(
        "--encrypt-store",
        choice("off", "on", "required"),
        "Whether what users leave in Redis is encrypted, with keys derived from --secret-key: off; on, so "
        "that plain text is still read; or required, so that it is not. Needs the extra svc-bokeh[encrypt]",
        "off",
        metavar="MODE",
        env=("SVC_ENCRYPT_STORE",),
    )
    advertise: str | None = option(
        "--advertise",
        values.base_url,
        "Where other replicas reach this one (guessed if not given)",
        metavar="HOST:PORT|URL",
        env=("SVC_ADVERTISE",),
    )
    """A base URL without a slash at the end."""
