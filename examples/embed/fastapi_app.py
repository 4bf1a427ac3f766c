"""A FastAPI app with a Bokeh app mounted in it: one process, one port.

    uvicorn --app-dir examples/embed fastapi_app:app [--workers 2]

`/` embeds the app that is mounted at `/bokeh`; whose page it is comes from a dependency, and whose session from the same
function. Log in with `/login/NAME`. Workers share sessions with `SVC_REDIS_URL=redis://...`; without it there may be one only.
"""

from typing import Annotated

from bokeh.embed import server_document
from bokeh.io import curdoc
from bokeh.models import Div
from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from program import powers
from starlette.requests import HTTPConnection

from svc import asgi

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>FastAPI</title></head>
<body><h1>A page of {user}'s</h1>{script}</body></html>"""


def user_of(request: HTTPConnection) -> str | None:
    """A real one would look into a signed cookie or a token."""
    return request.cookies.get("who")


def user(request: Request) -> str:
    return user_of(request) or "nobody"


def personal_powers(doc):
    powers(doc)
    doc.add_root(Div(name="user", text=curdoc().session_context.request.user))


bokeh = asgi.app({"/powers": personal_powers}, user=lambda scope: user_of(HTTPConnection(scope)) or "nobody")
app = FastAPI(lifespan=bokeh.lifespan)
app.mount("/bokeh", bokeh)


@app.get("/", response_class=HTMLResponse)
def page(request: Request, user: Annotated[str, Depends(user)]) -> str:
    return PAGE.format(user=user, script=server_document(f"{request.base_url}bokeh/powers"))


@app.get("/login/{name}")
def login(name: str) -> RedirectResponse:
    answer = RedirectResponse("/")
    answer.set_cookie("who", name, httponly=True, samesite="lax")
    return answer
