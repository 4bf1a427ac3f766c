"""A FastAPI program that logs its users in by OpenID Connect, and a Panel app that is mounted in it."""

import base64
import hashlib
import json
import os
import secrets
from typing import Annotated
from urllib.parse import quote_plus, urlencode
from urllib.request import Request as Asking
from urllib.request import urlopen

import jwt
import panel as pn
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

from svc import asgi

CLIENT = {name: os.environ[f"OIDC_{name}"] for name in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET")}


def greeting():
    return pn.pane.Str(f"hello {pn.state.user}")


bokeh = asgi.app({"/greeting": greeting}, user=lambda scope: scope["session"].get("user"), login_url="/login")
app = FastAPI(lifespan=bokeh.lifespan)
app.mount("/apps", bokeh)
app.add_middleware(SessionMiddleware, secret_key="a secret of these tests")


def answer_of(url, form=None):
    credentials = ":".join(quote_plus(CLIENT[name]) for name in ("CLIENT_ID", "CLIENT_SECRET"))
    asking = Asking(url, data=urlencode(form).encode() if form else None)
    asking.add_header("Authorization", "Basic " + base64.b64encode(credentials.encode()).decode())
    with urlopen(asking) as answer:
        return json.load(answer)


def provider():
    return answer_of(f"{CLIENT['ISSUER']}/.well-known/openid-configuration")


@app.get("/login")
def login(request: Request, onward: Annotated[str, Query(alias="next")] = "/") -> RedirectResponse:
    verifier = secrets.token_urlsafe(32)
    under_way = {"state": secrets.token_urlsafe(8), "nonce": secrets.token_urlsafe(8)}
    request.session["login"] = {**under_way, "verifier": verifier, "next": onward}
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {
        **under_way,
        "response_type": "code",
        "client_id": CLIENT["CLIENT_ID"],
        "redirect_uri": str(request.url_for("callback")),
        "scope": "openid email",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return RedirectResponse(f"{provider()['authorization_endpoint']}&{urlencode(asked)}", 302)


@app.get("/callback")
def callback(request: Request, code: str, state: str) -> RedirectResponse:
    under_way = request.session.pop("login", {})
    if state != under_way.get("state"):
        raise HTTPException(403)
    found = provider()
    tokens = answer_of(
        found["token_endpoint"],
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": str(request.url_for("callback")),
            "code_verifier": under_way["verifier"],
        },
    )
    key = jwt.PyJWKClient(found["jwks_uri"]).get_signing_key_from_jwt(tokens["id_token"])
    claims = jwt.decode(tokens["id_token"], key, ["ES256"], audience=CLIENT["CLIENT_ID"])
    if claims["nonce"] != under_way["nonce"]:
        raise HTTPException(403)
    request.session["user"] = claims["email"]
    return RedirectResponse(under_way["next"], 302)


@app.get("/logout")
def logout(request: Request) -> str:
    request.session.clear()
    return "you have logged out"
