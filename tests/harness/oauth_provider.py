"""An OAuth provider on loopback, as far as Panel's handlers go: codes, tokens that expire, userinfo.

It approves of whoever comes, as `user`. Refresh tokens are good for one use, as those of careful providers.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from harness.providers import Provider, ProviderHandler, challenge_of


@dataclass
class Issued:
    """What a refresh token stands for."""

    user: str
    used: bool = False


@dataclass
class OAuthProvider(Provider):
    """`with OAuthProvider() as provider: provider.args()`. Its fields may be changed at any time."""

    user: str = "ada@example.com"
    lifetime: float = 300.0
    """Seconds for which access tokens are good."""
    client_id: str = "dashboards"
    client_secret: str = "a client secret"
    away: bool = False
    """It answers token requests with 503."""
    before_answer: Callable[[], None] = lambda: None
    """Called in the midst of each token request, on its thread."""
    padding: int = 0
    """Further characters in access tokens."""
    grants: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh_tokens: dict[str, Issued] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Grant types of all token requests, in order."""
    refused: int = 0
    """How often a refresh token came that had been used before, or was not trusted any more."""
    access_tokens: list[str] = field(default_factory=list)
    """All that were given, in order."""
    ends: dict[str, float] = field(default_factory=dict)
    authorized: list[dict[str, str]] = field(default_factory=list)
    """Parameters of all requests to authorize."""

    def __post_init__(self) -> None:
        super().__init__(_Handler)
        self._lock = threading.Lock()

    @property
    def refreshes(self) -> int:
        """How often somebody asked for fresh tokens."""
        return self.asked.count("refresh_token")

    def args(self, kind: str = "generic", secret: str = "a secret of these tests, for cookies") -> list[str]:
        """Flags of a server whose users log in here."""
        urls = {
            "AUTHORIZE_URL": f"{self.url}/authorize", "TOKEN_URL": f"{self.url}/token",
            "USER_URL": f"{self.url}/user", "scope": ["openid", "email"],
        }  # fmt: skip
        flags = ["--oauth-provider", kind, "--oauth-key", self.client_id, "--cookie-secret", secret]
        if kind == "generic":
            flags += ["--oauth-secret", self.client_secret]
        return [*flags, "--oauth-extra-params", repr(urls)]

    def is_good(self, access_token: str) -> bool:
        return self.ends.get(access_token, 0) > time.time()

    def revoke(self) -> None:
        """No refresh token given so far is worth anything from here on."""
        self.refresh_tokens.clear()

    # what it answers

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        self.authorized.append(asked)
        assert asked["response_type"] == "code"
        assert asked["client_id"] == self.client_id
        code = secrets.token_urlsafe(8)
        self.grants[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, asked: dict[str, str]) -> dict[str, Any] | None:
        """None for whoever may not have any."""
        with self._lock:
            self.asked.append(asked["grant_type"])
        self.before_answer()
        with self._lock:
            return self._token(asked)

    def _token(self, asked: dict[str, str]) -> dict[str, Any] | None:
        if asked["client_id"] != self.client_id:
            return None
        match asked["grant_type"]:
            case "authorization_code":
                return self._of_code(asked)
            case "password":
                return self._tokens(asked["username"]) if asked["password"] == "open sesame" else None
            case "refresh_token":
                issued = self.refresh_tokens.get(asked["refresh_token"])
                if issued is None or issued.used:
                    self.refused += 1
                    return None
                issued.used = True
                return self._tokens(issued.user)
        return None

    def _of_code(self, asked: dict[str, str]) -> dict[str, Any] | None:
        grant = self.grants.pop(asked["code"], None)
        if grant is None or grant["redirect_uri"] != asked["redirect_uri"]:
            return None
        if "code_challenge" in grant:
            proven = grant["code_challenge"] == challenge_of(asked["code_verifier"])
        else:
            proven = asked.get("client_secret") == self.client_secret
        return self._tokens(self.user) if proven else None

    def _tokens(self, user: str) -> dict[str, Any]:
        number, now = len(self.access_tokens) + 1, time.time()
        refresh_token = f"refresh-{number}-{secrets.token_urlsafe(8)}"
        access_token = f"access-{number}-{user}" + "x" * self.padding
        self.refresh_tokens[refresh_token] = Issued(user)
        self.access_tokens.append(access_token)
        self.ends[access_token] = now + self.lifetime
        return {
            "access_token": access_token, "refresh_token": refresh_token, "token_type": "Bearer",
            "expires_in": int(self.lifetime),
        }  # fmt: skip

    def userinfo(self, authorization: str) -> dict[str, Any] | None:
        token = authorization.removeprefix("Bearer ")
        if not self.is_good(token):
            return None
        return {"email": token.rstrip("x").split("-", 2)[2], "sub": "4711"}


class _Handler(ProviderHandler):
    provider: OAuthProvider

    def do_GET(self) -> None:  # noqa: N802 - its name there
        asked = urlsplit(self.path)
        if asked.path == "/authorize":
            self.redirect(self.provider.authorize(dict(parse_qsl(asked.query))))
        elif asked.path == "/user":
            self.answer(self.provider.userinfo(self.headers.get("Authorization", "")))
        else:
            self.answer(None, 404)

    def do_POST(self) -> None:  # noqa: N802 - its name there
        asked = self.form()
        if self.provider.away:
            self.answer(None, 503)
        else:
            self.answer(self.provider.token(asked))
