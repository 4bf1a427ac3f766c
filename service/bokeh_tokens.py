"""Bokeh's own formats of tokens and session ids, without any policy (``bokeh/util/token.py``).

Reimplemented rather than imported: Bokeh parses before it verifies, inflates without a limit,
and reads its settings when it is imported. Nothing here knows keys but as arguments; every
failure is a TokenInvalid that says nothing about the content.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import string
import zlib
from typing import Any

from service.errors import TokenInvalid

__all__ = ("PAYLOAD_KEY", "from_base64", "inflate", "parse_object", "random_string", "signature", "to_base64")

PAYLOAD_KEY = "__bk__zlib_"
"""Where a token's compressed extra payload is (``bokeh.util.token._TOKEN_ZLIB_KEY``)."""

_ALPHABET = (string.ascii_letters + string.digits).encode()
_LETTERS = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))
_UNFAIR = bytes(range(256 // len(_ALPHABET) * len(_ALPHABET), 256))


def random_string(length: int = 44) -> str:
    """Letters and digits; 44 of them hold 261 bits of randomness."""
    text = ""
    while len(text) < length:
        # One call of the system for all. Bytes that would favour the first letters are left out.
        text += secrets.token_bytes(2 * length).translate(_LETTERS, _UNFAIR).decode()
    return text[:length]


def signature(secret: bytes, text: str) -> str:
    """HMAC-SHA256 of ``text``, as Bokeh writes it behind a dot."""
    mac = hmac.new(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return to_base64(mac.digest())


def to_base64(data: bytes) -> str:
    """URL-safe, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64(text: Any) -> bytes:
    """The reverse. Raises TokenInvalid for anything else, ``None`` included."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
    except (ValueError, TypeError):
        raise TokenInvalid("the token is malformed") from None


def inflate(data: bytes, limit: int) -> bytes:
    """Never makes more than ``limit`` bytes, whatever a bomb promises."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, limit + 1)
    except zlib.error:
        raise TokenInvalid("the token's payload is malformed") from None
    if len(text) > limit:
        raise TokenInvalid(f"the token's payload is over {limit} bytes")
    if not inflater.eof or inflater.unused_data:
        raise TokenInvalid("the token's payload is malformed")
    return text


def parse_object(text: bytes, *, with_bytes: bool = False) -> dict[str, Any]:
    """A JSON object; ``with_bytes`` turns ``{"bytes": base64}`` into bytes."""
    try:
        value = json.loads(text, object_hook=_revive_bytes if with_bytes else None)
    except (ValueError, RecursionError):
        raise TokenInvalid("the token is malformed") from None
    if not isinstance(value, dict):
        raise TokenInvalid("the token is malformed")
    return value


def _revive_bytes(value: dict[str, Any]) -> Any:
    """``bokeh.util.token._BytesDecoder``: how the arguments' bytes travel."""
    return from_base64(value["bytes"]) if value.keys() == {"bytes"} else value
