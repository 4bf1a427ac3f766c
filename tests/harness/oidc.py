"""A small OpenID Connect provider on loopback, whose one user lets everybody in who asks correctly.

It checks what a real one checks (redirect URI, client, code used once, PKCE) and can be told to err.
"""

from __future__ import annotations

import base64
import secrets
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from harness.providers import Provider, ProviderHandler, challenge_of


class OidcProvider(Provider):
    """`with OidcProvider() as provider`: `provider.env()` are the settings of `examples/auth/oidc.py`.

    `claims` are added to each id token, `key` signs it, `access_token` comes with it; `denies` makes the user
    decline.
    """

    client_id, client_secret = "dashboards", "a secret: with / and %"

    def __init__(self) -> None:
        self.published = ec.generate_private_key(ec.SECP256R1())
        self.redirect_uris: set[str] = set()
        self.grants: dict[str, dict[str, str]] = {}
        self.reset()
        super().__init__(_Handler)

    def reset(self) -> None:
        """Answers correctly from here on."""
        self.key = self.published
        self.claims: dict[str, Any] = {}
        self.denies = False
        self.access_token = "an opaque one"

    @property
    def issuer(self) -> str:
        return self.url

    def env(self) -> dict[str, str | None]:
        return {
            "OIDC_ISSUER": self.issuer,
            "OIDC_CLIENT_ID": self.client_id,
            "OIDC_CLIENT_SECRET": self.client_secret,
            "OIDC_USER_CLAIM": "email",
        }

    # what it answers

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?realm=tests",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/logout",
        }

    def keys(self) -> dict[str, Any]:
        key = jwt.algorithms.ECAlgorithm.to_jwk(self.published.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": "one", "alg": "ES256", "use": "sig"}]}

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the user is sent back to."""
        assert asked["realm"] == "tests"
        assert asked["response_type"] == "code"
        assert asked["client_id"] == self.client_id
        assert asked["redirect_uri"] in self.redirect_uris
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.grants[code] = asked
        answer = {"error": "access_denied"} if self.denies else {"code": code}
        return f"{asked['redirect_uri']}?{urlencode({**answer, 'state': asked['state']})}"

    def token(self, asked: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """The tokens behind a code, once; None to whoever may not have them."""
        grant = self.grants.pop(asked["code"], None)
        credentials = urlencode({"": self.client_id})[1:] + ":" + urlencode({"": self.client_secret})[1:]
        known = authorization == "Basic " + base64.b64encode(credentials.encode()).decode()
        if grant is None or not known or grant["redirect_uri"] != asked["redirect_uri"]:
            return None
        if grant["code_challenge"] != challenge_of(asked["code_verifier"]):
            return None
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": self.client_id, "sub": "4711", "nonce": grant["nonce"],
            "iat": now, "exp": now + 300, "email": "ada@example.com", "email_verified": True,
        }  # fmt: skip
        token = jwt.encode({**claims, **self.claims}, self.key, "ES256", headers={"kid": "one"})
        return {"id_token": token, "access_token": self.access_token, "token_type": "Bearer"}


class _Handler(ProviderHandler):
    provider: OidcProvider

    def do_GET(self) -> None:  # noqa: N802 - its name there
        asked = urlsplit(self.path)
        match asked.path:
            case "/.well-known/openid-configuration":
                self.answer(self.provider.configuration())
            case "/keys":
                self.answer(self.provider.keys())
            case "/authorize":
                self.redirect(self.provider.authorize(dict(parse_qsl(asked.query))))

    def do_POST(self) -> None:  # noqa: N802 - its name there
        self.answer(self.provider.token(self.form(), self.headers.get("Authorization", "")))
