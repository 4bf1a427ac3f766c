"""A Panel app in a FastAPI program, whose dependency knows the user."""

from pathlib import Path

import panel as pn
from fastapi import FastAPI, Request
from starlette.requests import HTTPConnection

from service import asgi


def user_of(request: HTTPConnection) -> str:
    return request.cookies.get("who", "nobody")


def greeting():
    return pn.pane.Str(f"hello {pn.state.user}")


bokeh = asgi.app(
    {"/people": Path(__file__).with_name("people"), "/greeting": greeting},
    user=lambda scope: user_of(HTTPConnection(scope)),
)
app = FastAPI(lifespan=bokeh.lifespan)
app.mount("/apps/panel", bokeh)


@app.get("/me")
def me(request: Request) -> str:
    return user_of(request)
