"""What lies in the store is unreadable there, and cannot be changed or put elsewhere unnoticed.

An encrypted value (integers are big-endian)::

    0xC1 0x01   format; msgpack begins nothing with 0xC1, so a value in plain text is told apart by this
    n           how many secrets can read it
    n times     key id (8 bytes), nonce (12), the data key encrypted with a key derived from that secret (48)
    context     8 bytes: an epoch, or which token a request belongs to
    nonce       12 bytes, random
    the rest    AES-256-GCM of the value, with its tag (16 bytes)

Data keys are random. One serves for many values of one process, so that few are derived and wrapped. While
a secret is replaced there are two, and what is written can be read with either: replicas that have only the
old one yet go on reading what the others write. Format, context and place (:class:`Place`) are associated
data. The only module that imports ``cryptography``, and only where there is something to encrypt or decrypt.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from store.errors import RecordDamaged, StoreConfigError, StoreUnavailable
from store.pieces import Pieces

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ("NO_CONTEXT", "PLAIN", "Encryption", "Place")

Packed: TypeAlias = bytes | Pieces

FORMAT = b"\xc1\x01"
NO_CONTEXT = bytes(8)

KEY_ID, NONCE, KEY, TAG = 8, 12, 32, 16
RECIPIENT = KEY_ID + NONCE + KEY + TAG

VALUES_PER_DATA_KEY = 2**20
"""Nonces are random: of 2^32 with one key two may be alike, with a chance that NIST (SP 800-38D) bounds."""

KNOWN_DATA_KEYS = 512
"""Of other processes, kept unwrapped: a value takes 2 us then, not 10."""

MISSING = "the package cryptography is missing: pip install 'svc-bokeh[encrypt]'"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value belongs; it is readable nowhere else."""

    prefix: str
    """Of the fleet's keys."""
    kind: str
    """``request``, ``journal``, ..."""
    name: str
    """A session's tag, or what else tells values of one kind apart."""
    field: str = ""

    def associated(self, head: bytes) -> bytes:
        """Unambiguous: each part follows its length."""
        parts = [part.encode() for part in (self.prefix, self.kind, self.name, self.field)]
        return head + b"".join(struct.pack(">I", len(part)) + part for part in parts)


class Encryption:
    """Encrypts what goes into the store, if ``writes``, and decrypts what comes out.

    ``secrets`` are the fleet's, the one in use first. Values in plain text are read as well, unless it
    ``requires`` encrypted ones. Raises StoreConfigError when it is to encrypt and cannot.
    """

    def __init__(self, secrets: Sequence[str] = (), *, writes: bool = False, requires: bool = False) -> None:
        if writes and not secrets:
            raise StoreConfigError("encryption needs a secret key")
        if writes and (problem := missing_package()):
            raise StoreConfigError(problem)
        self.writes = writes
        self.requires = requires
        self._secrets = [secret.encode() for secret in secrets]
        self._keys: list[_SecretKey] | None = None
        self._data_key: _DataKey | None = None
        self._unwrapped = lru_cache(KNOWN_DATA_KEYS)(self._unwrap)

    def encrypt(self, place: Place, value: Packed, context: bytes = NO_CONTEXT) -> Packed:
        """``value`` as it goes into the store. Large ones are not copied but for the encrypted text."""
        if not self.writes:
            return value
        key, nonce = self._data_key_in_use(), os.urandom(NONCE)
        head = key.head + context
        associated = place.associated(head)
        if isinstance(value, Pieces):
            return Pieces((head + nonce, *key.encrypted_parts(nonce, value, associated)))
        return b"".join((head, nonce, key.cipher.encrypt(nonce, value, associated)))

    def decrypt(self, place: Place, data: bytes) -> tuple[bytes, bytes | None]:
        """The value, and its context (None: it was in plain text).

        Raises RecordDamaged when it cannot be read, belongs elsewhere, or was changed.
        """
        if not is_encrypted(data):
            if self.requires:
                raise RecordDamaged("it is not encrypted, and --encrypt-store required asks for that")
            return data, None
        head, nonce, text = _parts(data)
        key = self._unwrapped(head[: -len(NO_CONTEXT)])
        from cryptography.exceptions import InvalidTag

        try:
            return key.decrypt(nonce, text, place.associated(head)), head[-len(NO_CONTEXT) :]
        except InvalidTag:
            raise RecordDamaged("its authentication tag is wrong: it was changed, or moved here") from None

    def hidden(self, place: Place, name: str) -> str:
        """The name of a field, which may tell something, as it is in the store."""
        if not self.writes:
            return name
        key = self._secret_keys()[0].names
        return "e" + hashlib.blake2b(place.associated(name.encode()), key=key, digest_size=16).hexdigest()

    def is_ours(self, data: bytes) -> bool:
        """Whether the secret in use can read it; always, where nothing is encrypted."""
        if not self.writes:
            return True
        return is_encrypted(data) and self._secret_keys()[0].id in _recipients(_parts(data)[0])

    # -- keys ----------------------------------------------------------------------------------

    def _secret_keys(self) -> list[_SecretKey]:
        if self._keys is None:
            if problem := missing_package():
                # Not a RecordError: with the package it can be read, so nobody may throw it away.
                raise StoreUnavailable(f"what is in the store is encrypted, and {problem}")
            self._keys = [_SecretKey.of(secret) for secret in self._secrets]
        return self._keys

    def _data_key_in_use(self) -> _DataKey:
        key = self._data_key
        if key is None or key.used >= VALUES_PER_DATA_KEY:
            key = self._data_key = self._new_data_key()
        key.used += 1
        return key

    def _new_data_key(self) -> _DataKey:
        fresh, keys = os.urandom(KEY), self._secret_keys()
        recipients = b"".join(key.id + key.wrapped(fresh) for key in keys)
        return _DataKey(fresh, FORMAT + bytes([len(keys)]) + recipients)

    def _unwrap(self, head: bytes) -> _DataKey:
        keys = {key.id: key for key in self._secret_keys()}
        for id_, wrapped in _recipients(head + NO_CONTEXT).items():
            if id_ in keys:
                return _DataKey(keys[id_].unwrapped(wrapped), head)
        raise RecordDamaged(
            "it is encrypted with another secret key than SVC_SECRET_KEY or SVC_PREVIOUS_SECRET_KEY"
            if keys
            else "it is encrypted, and no secret key was given (SVC_SECRET_KEY)"
        )


PLAIN = Encryption()
"""Encrypts nothing, and cannot read what is encrypted."""


@dataclass(frozen=True, slots=True, repr=False)
class _SecretKey:
    """What is derived from one of the fleet's secrets."""

    id: bytes
    """Names it, and tells nothing of it."""
    names: bytes
    """For names of fields."""
    cipher: AESGCM
    """For data keys."""

    @classmethod
    def of(cls, secret: bytes) -> _SecretKey:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return cls(_derive(secret, b"id", KEY_ID), _derive(secret, b"names", KEY),
                   AESGCM(_derive(secret, b"data keys", KEY)))  # fmt: skip

    def wrapped(self, data_key: bytes) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + self.cipher.encrypt(nonce, data_key, self.id)

    def unwrapped(self, wrapped: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return self.cipher.decrypt(wrapped[:NONCE], wrapped[NONCE:], self.id)
        except InvalidTag:
            raise RecordDamaged("it was changed: the authentication tag of its key is wrong") from None


@dataclass(slots=True, repr=False)
class _DataKey:
    """A random key for values, and what values that it encrypted begin with."""

    raw: bytes
    head: bytes
    used: int = 0
    cipher: AESGCM = field(init=False)

    def __post_init__(self) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.cipher = AESGCM(self.raw)

    def encrypted_parts(self, nonce: bytes, value: Pieces, associated: bytes) -> list[bytes]:
        """As ``cipher.encrypt``, of what is not in one piece."""
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        encryptor = Cipher(algorithms.AES(self.raw), modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated)
        parts = [encryptor.update(part) for part in value.parts]
        return [*parts, encryptor.finalize() + encryptor.tag]

    def decrypt(self, nonce: bytes, text: memoryview, associated: bytes) -> bytes:
        return self.cipher.decrypt(nonce, text, associated)


def is_encrypted(data: bytes) -> bool:
    return data.startswith(FORMAT)


@lru_cache(1)
def missing_package() -> str:
    """What to do about it when nothing can be encrypted; empty when it can."""
    try:
        import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401
    except ImportError:
        return MISSING
    return ""


def _parts(data: bytes) -> tuple[bytes, bytes, memoryview]:
    """Head (with the context), nonce and encrypted text. Raises RecordDamaged."""
    begin = len(FORMAT) + 1
    head = begin + data[len(FORMAT)] * RECIPIENT + len(NO_CONTEXT) if len(data) > begin else len(data)
    if len(data) < head + NONCE + TAG:
        raise RecordDamaged("it is cut short")
    return data[:head], data[head : head + NONCE], memoryview(data)[head + NONCE :]


def _recipients(head: bytes) -> dict[bytes, bytes]:
    """Data keys, encrypted, by the ids of the keys that can read them."""
    starts = range(len(FORMAT) + 1, len(head) - len(NO_CONTEXT), RECIPIENT)
    return {head[at : at + KEY_ID]: head[at + KEY_ID : at + RECIPIENT] for at in starts}


def _derive(secret: bytes, purpose: bytes, length: int) -> bytes:
    """HKDF-SHA256 (RFC 5869), without salt."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt=None, info=b"svc store " + purpose).derive(secret)
