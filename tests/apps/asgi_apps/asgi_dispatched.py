"""As a Django project's asgi.py may do it: by path, without a word about that in the scope."""

from program import powers

from service import asgi

bokeh = asgi.app({"/powers": powers}, prefix="/apps")


async def app(scope, receive, send):
    if scope["type"] == "lifespan" or scope["path"].startswith(("/apps", "/metrics")):
        await bokeh(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the host's own"})
