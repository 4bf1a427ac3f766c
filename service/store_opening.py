"""Which store the settings name, and with which keys what is written there is encrypted."""

from __future__ import annotations

import logging

from service.errors import ConfigError
from service.metrics import Metrics
from service.settings import Settings
from store.connect import open_store
from store.encryption import PLAIN, Encryption
from store.errors import StoreConfigError
from store.redis_store import RedisStore

__all__ = ("open_store_of",)

log = logging.getLogger(__name__)


def open_store_of(settings: Settings, metrics: Metrics) -> RedisStore:
    """The store that ``settings`` name. Raises ConfigError."""
    encryption = _encryption(settings)
    try:
        return open_store(
            settings.redis,
            prefix=settings.redis_prefix,
            observe=metrics.store_attempt,
            encryption=encryption,
            vault=_vault(settings),
        )
    except StoreConfigError as error:
        raise ConfigError(f"--redis: {error}") from error


def _vault(settings: Settings) -> Encryption:
    """For users' tokens, which are encrypted in any case where they leave this process."""
    if settings.redis is None or not settings.has_user_tokens:
        return PLAIN
    given = (settings.secret_key or settings.cookie_secret, settings.previous_secret_key)
    try:
        return Encryption([key for key in given if key], writes=True, requires=True)
    except StoreConfigError as error:
        raise ConfigError(f"--oauth-provider: tokens in Redis are encrypted: {error}") from error


def _encryption(settings: Settings) -> Encryption:
    """Of what is written, if asked for. What others have encrypted is read in any case."""
    mode = settings.encrypt_store
    if settings.redis is None:
        if mode != "off":
            log.info("--encrypt-store has no effect without --redis: sessions do not leave this process")
        return PLAIN
    secrets = [key for key in (settings.secret_key, settings.previous_secret_key) if key]
    try:
        return Encryption(secrets, writes=mode != "off", requires=mode == "required")
    except StoreConfigError as error:
        raise ConfigError(f"--encrypt-store: {error}") from error
