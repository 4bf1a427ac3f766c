"""Users of an OpenID Connect provider: Keycloak, Entra ID, Okta, Google, Authentik and so on.

    pip install 'pyjwt[crypto]'
    export OIDC_ISSUER=https://login.example.com/realms/main OIDC_CLIENT_ID=dashboards OIDC_CLIENT_SECRET=...
    svc serve --auth-module examples/auth/oidc.py examples/auth/app.py

Register https://YOUR.HOST/login there as the redirect URI (with --prefix, that before /login). Further settings:

    OIDC_USER_CLAIM     which claim names the user; `sub`, the default, is the only one that all providers keep unique
    OIDC_SCOPE          `openid email profile`
    OIDC_REDIRECT_URI   if it is not the address that browsers see

Panel apps find what the provider says of the user in `pn.state.user`, `pn.state.user_info` and `pn.state.access_token`.

A client without a secret is a public one. Everybody whom the provider lets in is a user: where that is half of the
world, look at more of the claims in `user_of`.
"""

import base64
import hashlib
import hmac
import json
import logging
import os
import secrets
from urllib.parse import quote_plus, urlencode

import jwt
from tornado.escape import xhtml_escape
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.httputil import url_concat
from tornado.web import HTTPError, RequestHandler


def setting(name, default=None):
    value = os.environ.get(name, default)
    if value is None:
        raise ValueError(f"set {name} in the environment")
    return value


ISSUER = setting("OIDC_ISSUER")
CLIENT_ID = setting("OIDC_CLIENT_ID")
CLIENT_SECRET = setting("OIDC_CLIENT_SECRET", "")
USER_CLAIM = setting("OIDC_USER_CLAIM", "sub")
SCOPE = setting("OIDC_SCOPE", "openid email profile")
REDIRECT_URI = setting("OIDC_REDIRECT_URI", "")

SIGNED_BY = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
TEN_MINUTES = 600  # s, to log in there
OF_PANEL = ("id_token", "access_token")
MAX_COOKIE = 4096  # bytes of name and value; browsers drop what is longer

log = logging.getLogger(__name__)

login_url = "/login"
logout_url = "/logout"


def get_user(request_handler):
    return request_handler.get_signed_cookie("user", max_age_days=1)


# -- the provider ----------------------------------------------------------------------------------


async def fetch(url, **request):
    response = await AsyncHTTPClient().fetch(url, request_timeout=10, **request)
    return json.loads(response.body)


async def provider():
    """What the provider says of itself. Asked for at each login, as its keys are: both may change."""
    found = await fetch(f"{ISSUER.rstrip('/')}/.well-known/openid-configuration")
    if found["issuer"] != ISSUER:
        raise HTTPError(502, "the provider calls itself %r: is OIDC_ISSUER right?", found["issuer"])
    return found


async def redeem(there, code, verifier, redirect_uri):
    """The tokens behind the code that the browser brought."""
    fields = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier,
              "redirect_uri": redirect_uri}
    request = {}
    if CLIENT_SECRET and "client_secret_basic" in there.get("token_endpoint_auth_methods_supported",
                                                             ["client_secret_basic"]):
        request = {"auth_username": quote_plus(CLIENT_ID), "auth_password": quote_plus(CLIENT_SECRET)}
    else:
        fields |= {"client_id": CLIENT_ID} | ({"client_secret": CLIENT_SECRET} if CLIENT_SECRET else {})
    try:
        tokens = await fetch(there["token_endpoint"], method="POST", body=urlencode(fields), **request)
    except HTTPClientError as error:
        if error.code != 400:
            raise
        raise HTTPError(403, "the provider refuses the code: %r", error.response.body, reason="Not let in") from error
    return tokens


async def claims_of(there, token, nonce):
    """What the id token says, if the provider signed it for us and for this login."""
    kid = jwt.get_unverified_header(token).get("kid")
    keys = jwt.PyJWKSet.from_dict(await fetch(there["jwks_uri"])).keys
    key = next((each for each in keys if kid in (None, each.key_id)), None)
    if key is None:
        raise jwt.InvalidTokenError(f"signed with {kid!r}, which is no key of the provider's")
    claims = jwt.decode(token, key, algorithms=SIGNED_BY, audience=CLIENT_ID, issuer=ISSUER, leeway=60,
                        options={"require": ["exp", "iat", "iss", "aud", "sub"]})
    if not hmac.compare_digest(str(claims.get("nonce")), nonce):
        raise jwt.InvalidTokenError("made for another login")
    return claims


def user_of(claims):
    """Who it is. Put further conditions here: a domain, a group."""
    if USER_CLAIM == "email" and not claims.get("email_verified"):
        raise jwt.InvalidTokenError("the provider has not verified the email address")
    if not claims.get(USER_CLAIM):
        raise jwt.InvalidTokenError(f"no claim {USER_CLAIM}")
    return str(claims[USER_CLAIM])


# -- our pages -------------------------------------------------------------------------------------


def within(url):
    """Only paths of this server: a `next` that leads elsewhere would help phishing.

    Browsers take a backslash for a slash, and leave control characters out before they read a URL.
    """
    is_path = url.startswith("/") and not url.startswith("//")
    return url if is_path and url.isprintable() and "\\" not in url else "/"


def from_here(handler, url):
    """Seen from the login page, so that it holds behind a proxy that takes a path away from what it passes on."""
    path = handler.request.uri.partition("?")[0]
    prefix = path.rstrip("/").removesuffix(login_url)  # that of svc serve --prefix, or where an ASGI program has us
    return (".." if path.endswith("/") else ".") + url.removeprefix(prefix)


def keep_for_panel(handler, tokens):
    """Behind `pn.state.user_info` and `pn.state.access_token`. Where no app asks for those, leave it out.

    They are not encrypted: who has the browser can read them, as with `panel serve`.
    """
    for name in OF_PANEL:
        token = tokens.get(name, "")
        signed = handler.create_signed_value(name, token)
        if token and len(name) + len(signed) < MAX_COOKIE:
            handler.set_cookie(name, signed, expires_days=1)
        else:
            handler.clear_cookie(name)
            log.log(logging.WARNING if token else logging.INFO,
                    "pn.state does not have the %s of %d characters", name, len(token))


def kept_in(state):
    """The cookie of one login, so that two tabs can log in at the same time."""
    return f"login-{hashlib.sha256(state.encode()).hexdigest()[:16]}"


class LoginHandler(RequestHandler):
    """Both ends of the login: where it begins, and where the provider sends the browser back to.

    What the second needs of the first is in a signed cookie, so any replica can do either.
    """

    async def get(self):
        try:
            await (self.complete() if "state" in self.request.query_arguments else self.begin())
        except jwt.PyJWTError as error:
            raise HTTPError(403, "the id token is not right: %s", error, reason="Not let in") from error
        except (HTTPClientError, OSError) as error:
            raise HTTPError(502, "the provider: %s", error, reason="The login service does not answer") from error

    async def begin(self):
        there = await provider()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        kept = {"nonce": nonce, "verifier": verifier, "next": within(self.get_query_argument("next", "/"))}
        self.set_signed_cookie(kept_in(state), json.dumps(kept), expires_days=None, max_age=TEN_MINUTES,
                               path=None)  # that of the login page, as the browser knows it
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        self.redirect(url_concat(there["authorization_endpoint"], {
            "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": self.redirect_uri, "scope": SCOPE,
            "state": state, "nonce": nonce, "code_challenge": challenge.decode(), "code_challenge_method": "S256",
        }))

    async def complete(self):
        name = kept_in(self.get_query_argument("state"))
        kept = self.get_signed_cookie(name, max_age_days=TEN_MINUTES / 86400)
        self.clear_cookie(name, path=None)
        if kept is None:
            raise HTTPError(403, "no such login", reason="Begun elsewhere, or too long ago")
        if "error" in self.request.query_arguments:
            raise HTTPError(403, "the provider says %r", self.get_query_argument("error"), reason="Not let in")
        begun, there = json.loads(kept), await provider()
        tokens = await redeem(there, self.get_query_argument("code"), begun["verifier"], self.redirect_uri)
        self.set_signed_cookie("user", user_of(await claims_of(there, tokens["id_token"], begun["nonce"])))
        keep_for_panel(self, tokens)
        self.clear_cookie("_xsrf")  # what a stranger may have planted before the login is worth nothing after it
        self.redirect(from_here(self, begun["next"]))

    @property
    def redirect_uri(self):
        return REDIRECT_URI or f"{self.request.protocol}://{self.request.host}{self.request.uri.partition('?')[0]}"

    def write_error(self, status_code, **kwargs):
        self.finish(f"""<!DOCTYPE html><html lang="en"><title>Log in</title>
            <p>{xhtml_escape(self._reason)}. <a href="{xhtml_escape(self.request.path.rpartition('/')[2])}">Try again</a></p></html>""")


class LogoutHandler(RequestHandler):
    """Ends the login here and, where the provider has a page for that, there.

    It takes a POST, so that no link or image on somebody else's page can do it.
    """

    def get(self):
        self.finish(f"""<!DOCTYPE html><html lang="en"><title>Log out</title><form method="post">
            {self.xsrf_form_html()}<button>Log out</button></form></html>""")

    async def post(self):
        for name in ("user", "_xsrf", *OF_PANEL):
            self.clear_cookie(name)
        there = await provider()
        if "end_session_endpoint" in there:
            self.redirect(url_concat(there["end_session_endpoint"], {"client_id": CLIENT_ID}))
        else:
            self.finish('<!DOCTYPE html><html lang="en"><title>Log out</title><p>You are logged out.</p></html>')
