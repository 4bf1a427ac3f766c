"""Session tokens, session ids and relay tokens: made and verified here, and nowhere else.

Ours are JWTs with BokehJS's envelope in the JOSE header; Bokeh's own formats (what
``bokeh.client`` and ``generate_session_id`` make, see ``bokeh/util/token.py``) are accepted as
the ``--session-ids`` mode allows. Only this module imports ``jwt``. No message of an error
raised here holds any part of a token, an id or a secret.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import jwt

from service.bokeh_tokens import (
    PAYLOAD_KEY,
    from_base64,
    inflate,
    parse_object,
    random_string,
    signature,
    to_base64,
)
from service.errors import ConfigError, TokenExpired, TokenInvalid, TokenMisdirected
from service.page_versions import LEGACY, PageVersions

__all__ = ("FileGrant", "RelayGrant", "SessionIds", "TokenAuthority", "VerifiedToken", "generate_secret")

MAX_TOKEN_LENGTH = 64 * 1024
"""Characters. Bokeh's own tokens carry all cookies and headers, ours stay under 500."""

MAX_PAYLOAD = 64 * 1024
"""Bytes of a Bokeh token's extra payload after inflating it."""

MAX_ID_LENGTH = 256
"""Characters of a session id; Bokeh makes 44, or 88 with a signature."""

_ALGORITHM = "HS256"
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")


class SessionIds(StrEnum):
    """As ``bokeh serve --session-ids``, and one that Bokeh's ``Server`` can be in."""

    UNSIGNED = "unsigned"
    """Anyone may name a session id."""
    SIGNED = "signed"
    """Ids and tokens carry signatures; we make them."""
    EXTERNAL_SIGNED = "external-signed"
    """The same, and we make no ids: they come from outside with every page request."""
    EXTERNAL_UNSIGNED = "external-unsigned"
    """Anyone may name a session id, and we make none: ``generate_session_ids=False`` alone."""

    @property
    def must_sign(self) -> bool:
        return self in (SessionIds.SIGNED, SessionIds.EXTERNAL_SIGNED)

    @property
    def are_made_here(self) -> bool:
        return self in (SessionIds.UNSIGNED, SessionIds.SIGNED)


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a token says, after everything but its age was verified."""

    session_id: str
    token_id: str
    """Names the token in the store: the JWT's ``jti``, or a digest of a Bokeh token."""
    expiry: float
    """Wall-clock seconds. Limits the *first* use only; see :meth:`expired`."""
    minted_by_us: bool
    user: str = ""
    """A digest of the user it was made for; empty when there was none, or it is Bokeh's token."""
    page: PageVersions | None = None
    """What the page was made with; None for Bokeh's tokens, which come from Python clients, too."""
    payload: dict[str, Any] | None = None
    """A Bokeh token's extra payload (``headers``, ``cookies``, ``arguments``, ...); None for ours,
    whose payload is the handoff in the store."""

    def expired(self, now: float) -> bool:
        """Whether the token may no longer *begin* a session (re-attaching to one is fine)."""
        return now >= self.expiry


@dataclass(frozen=True, slots=True)
class RelayGrant:
    """What a verified relay token allows: to speak for this session at this epoch."""

    app: str
    session_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class FileGrant:
    """What a verified file token allows: to read this static file."""

    path: str
    """As in its URL, below the prefix."""


def generate_secret() -> str:
    """A key with 261 bits of randomness, in the form ``bokeh secret`` prints."""
    return random_string()


def new_token_id() -> str:
    """Twelve random characters; a token is found by this and its session together."""
    return secrets.token_urlsafe(9)


class TokenAuthority:
    """Makes and verifies everything that is signed with the fleet's secret.

    ``previous`` is the secret before the last rotation: still verified, never used to make
    anything. JWTs are signed with keys derived from the secret, one per purpose; Bokeh's formats
    use the secret as it is, because Bokeh does. So they can never be taken for each other.
    """

    def __init__(
        self,
        secret: str,
        previous: str | None = None,
        *,
        session_ids: SessionIds = SessionIds.UNSIGNED,
        max_token_length: int = MAX_TOKEN_LENGTH,
        max_payload: int = MAX_PAYLOAD,
    ) -> None:
        if not secret or previous == "":
            raise ConfigError("a secret key must not be empty")
        self._secrets = [s.encode() for s in (secret, previous) if s is not None]
        self._session_keys = [_derive(s, b"session") for s in self._secrets]
        self._relay_keys = [_derive(s, b"relay") for s in self._secrets]
        self.session_ids = session_ids
        self._max_token_length = max_token_length
        self._max_payload = max_payload

    # -- session tokens ------------------------------------------------------------------------

    def mint(
        self,
        app_path: str,
        session_id: str,
        *,
        lifetime: float,
        now: float,
        token_id: str | None = None,
        user: str | None = None,
        page: PageVersions | None = None,
    ) -> str:
        """A token for the WebSocket that will follow a page of ``app_path``.

        ``lifetime`` is in seconds, ``now`` in wall-clock seconds, ``token_id`` what the token's
        handoff is stored under (random if not given), ``user`` who alone may use it, ``page`` what
        the page is made with.
        BokehJS reads ``session_id`` from the base64 JSON before the first dot, a JWT's header.
        """
        expiry = math.ceil(now + lifetime)
        claims = {"aud": _audience(app_path), "exp": expiry, "jti": token_id or new_token_id()}
        if user is not None:
            claims["usr"] = self._user_digest(user)
        if page is not None:
            claims["page"] = page.text
        header = {"session_id": session_id, "session_expiry": expiry}
        return jwt.encode(claims, self._session_keys[0], _ALGORITHM, headers=header)

    def verify(self, token: str, app_path: str) -> VerifiedToken:
        """What ``token`` says, for a session of ``app_path``.

        Raises TokenInvalid. Does not look at the clock: an old token is good for re-attaching.
        Two dots make a JWT of ours; anything else is in one of Bokeh's formats, which do not
        name an app.
        """
        _check_shape(token, self._max_token_length)
        if token.count(".") == 2:
            return self._verify_ours(token, app_path)
        return self._verify_bokeh(token)

    def _verify_ours(self, token: str, app_path: str) -> VerifiedToken:
        decoded = _decode_jwt(token, self._session_keys, _audience(app_path))
        session_id = decoded["header"].get("session_id")
        _check_id_text(session_id)
        claims = decoded["payload"]
        user = claims.get("usr", "")
        page = PageVersions.from_text(claims["page"]) if "page" in claims else LEGACY
        return VerifiedToken(
            session_id, claims["jti"], float(claims["exp"]), minted_by_us=True, user=user, page=page
        )

    def check_user(self, token: VerifiedToken, *users: str | None) -> None:
        """Raise TokenInvalid when a token of ours was made for somebody else than any of ``users``."""
        rights = {
            "" if user is None else _user_digest(secret, user) for user in users for secret in self._secrets
        }
        if token.minted_by_us and token.user not in rights:
            raise TokenInvalid("the token was made for another user")

    def _user_digest(self, user: str) -> str:
        return _user_digest(self._secrets[0], user)

    def _verify_bokeh(self, token: str) -> VerifiedToken:
        """``base64(json)`` or ``base64(json).signature``: the signature comes before any parsing."""
        base, dot, signed = token.partition(".")
        if dot and not self._signed_by_us(base, signed):
            raise TokenInvalid("the token's signature is wrong")
        if not dot and self.session_ids.must_sign:
            raise TokenInvalid("the token is not signed, and --session-ids asks for that")
        fields = parse_object(from_base64(base))
        if "alg" in fields:  # the first segment of one of ours looks like an unsigned token
            raise TokenInvalid("the token is cut off")
        session_id = fields.pop("session_id", None)
        self.check_session_id(session_id)
        expiry = _seconds(fields.pop("session_expiry", None))
        payload = self._bokeh_payload(fields)
        return VerifiedToken(session_id, _digest(token), expiry, minted_by_us=False, payload=payload)

    def _bokeh_payload(self, fields: dict[str, Any]) -> dict[str, Any]:
        packed = fields.pop(PAYLOAD_KEY, None)
        if packed is not None:
            fields |= parse_object(inflate(from_base64(packed), self._max_payload), with_bytes=True)
        return {key: value for key, value in fields.items() if key not in ("session_id", "session_expiry")}

    # -- session ids ---------------------------------------------------------------------------

    def new_session_id(self) -> str:
        """A random id: 44 letters and digits, and a signature if the mode asks for it.

        Raises TokenInvalid in the external modes, where ids come from outside only.
        """
        if not self.session_ids.are_made_here:
            raise TokenInvalid(f"no bokeh-session-id is given, and --session-ids is {self.session_ids}")
        base = random_string()
        return f"{base}.{self.sign(base)}" if self.session_ids.must_sign else base

    def check_session_id(self, session_id: Any) -> None:
        """Raise TokenInvalid unless ``session_id`` (from outside) may name a session in this mode."""
        _check_id_text(session_id)
        if not self.session_ids.must_sign:
            return
        base, dot, signed = session_id.partition(".")
        if not dot or not self._signed_by_us(base, signed):
            raise TokenInvalid("the session id's signature is missing or wrong (see --session-ids)")

    def sign(self, text: str) -> str:
        """Bokeh's signature of ``text`` (``bokeh.util.token._signature``)."""
        return signature(self._secrets[0], text)

    def _signed_by_us(self, text: str, signed: str) -> bool:
        given = signed.encode("utf-8", "surrogatepass")
        rights = [signature(secret, text).encode() for secret in self._secrets]
        return any([hmac.compare_digest(given, right) for right in rights])  # noqa: C419 - no shortcut

    # -- relay tokens --------------------------------------------------------------------------

    def mint_relay(
        self,
        app: str,
        session_id: str,
        epoch: int,
        target_replica: str,
        lifetime: float = 30.0,
        *,
        now: float,
    ) -> list[str]:
        """Tokens with which this replica may speak for the session at ``target_replica``; either will do.

        There is one for each secret, newest first: the other replica may not have the new one yet.
        ``lifetime`` and ``now`` are in seconds; both replicas have to have about the same ``now``.
        """
        expiry = now + lifetime
        claims = {"aud": f"svc-relay:{target_replica}", "exp": expiry, "jti": secrets.token_urlsafe(9)}
        claims |= {"app": app, "sid": session_id, "epoch": epoch}
        return [jwt.encode(claims, key, _ALGORITHM) for key in self._relay_keys]

    def verify_relay(self, token: str, target_replica: str, *, now: float) -> RelayGrant:
        """What the relay token allows here.

        Raises TokenInvalid, TokenExpired when it is too old, TokenMisdirected when it is for another replica.
        """
        claims = self._internal(token, f"svc-relay:{target_replica}", now)
        match claims:
            case {"app": str(app), "sid": str(session_id), "epoch": int(epoch)}:
                return RelayGrant(app, session_id, epoch)
        raise TokenInvalid("the relay token does not name a session")

    def mint_file(self, path: str, target_replica: str, lifetime: float = 30.0, *, now: float) -> list[str]:
        """Tokens with which this replica may read a file of ``target_replica``; see :meth:`mint_relay`."""
        claims = {"aud": f"svc-file:{target_replica}", "exp": now + lifetime, "jti": secrets.token_urlsafe(9)}
        return [jwt.encode(claims | {"path": path}, key, _ALGORITHM) for key in self._relay_keys]

    def verify_file(self, token: str, target_replica: str, *, now: float) -> FileGrant:
        """What the file token allows here. Raises as :meth:`verify_relay`."""
        claims = self._internal(token, f"svc-file:{target_replica}", now)
        if not isinstance(claims.get("path"), str):
            raise TokenInvalid("the file token does not name a file")
        return FileGrant(claims["path"])

    def _internal(self, token: str, audience: str, now: float) -> dict[str, Any]:
        """The claims of another replica's token. Raises as :meth:`verify_relay`."""
        _check_shape(token, self._max_token_length)
        claims: dict[str, Any] = _decode_jwt(token, self._relay_keys, audience)["payload"]
        if now >= claims["exp"]:
            raise TokenExpired("the other replica's token has expired")
        return claims


def _audience(app_path: str) -> str:
    return f"svc:{app_path}"


def _user_digest(secret: bytes, user: str) -> str:
    """Keyed, so that a token does not tell who its user is."""
    name, key = user.encode("utf-8", "surrogatepass"), _derive(secret, b"user")
    return to_base64(hashlib.blake2b(name, key=key, digest_size=12).digest())


def _derive(secret: bytes, purpose: bytes) -> bytes:
    """A 256-bit key for one purpose: PyJWT refuses short ones, and no two purposes may share one."""
    return hmac.new(secret, b"svc jwt " + purpose, hashlib.sha256).digest()


def _digest(token: str) -> str:
    """Longer than a ``jti``, so that nobody can make an unsigned token with the id of one of ours."""
    return hashlib.blake2b(token.encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=16)
def _checked_once(key: bytes) -> jwt.PyJWK:
    """PyJWT (2.10 to 2.15) asks for each token anew whether plain bytes may be a key of another kind."""
    return jwt.PyJWK({"kty": "oct", "k": to_base64(key)}, _ALGORITHM)


def _decode_jwt(token: str, keys: list[bytes], audience: str) -> dict[str, Any]:
    """Header and payload, verified but for the age, which is a number afterwards."""
    for key in keys:
        try:
            decoded = jwt.decode_complete(
                token,
                _checked_once(key),
                algorithms=[_ALGORITHM],
                audience=audience,
                options={"require": ["aud", "exp", "jti"], "verify_exp": False},
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidAudienceError:
            raise TokenMisdirected("the token was made for something else") from None
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise TokenInvalid("the token is malformed") from None
        _check_claims(decoded["payload"])
        return dict(decoded)
    raise TokenInvalid("the token's signature is wrong")


def _check_claims(claims: dict[str, Any]) -> None:
    _seconds(claims["exp"])
    if not isinstance(claims["jti"], str) or not claims["jti"]:
        raise TokenInvalid("the token has no usable id")


def _check_shape(token: str, max_length: int) -> None:
    """Cheap checks before any key is used. Padding and stray bits would let one token have many texts."""
    if len(token) > max_length:
        raise TokenInvalid("the token is too long")
    segments = token.split(".")
    if len(segments) > 3 or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise TokenInvalid("the token is malformed")
    if any(to_base64(from_base64(segment)) != segment for segment in segments):
        raise TokenInvalid("the token is malformed")


def _check_id_text(session_id: Any) -> None:
    if not isinstance(session_id, str) or not 0 < len(session_id) <= MAX_ID_LENGTH:
        raise TokenInvalid(f"a session id has 1 to {MAX_ID_LENGTH} characters")
    if not session_id.isprintable():
        raise TokenInvalid("a session id has printable characters only")


def _seconds(value: Any) -> float:
    try:
        if type(value) in (int, float) and math.isfinite(value):
            return float(value)
    except OverflowError:  # an integer of 400 digits is JSON, too
        pass
    raise TokenInvalid("the token's expiry is not a number")
