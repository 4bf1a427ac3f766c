from pathlib import Path

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import Mount

from service import asgi


class ByCookie(AuthenticationBackend):
    async def authenticate(self, conn):
        name = conn.cookies.get("who")
        return (AuthCredentials(), SimpleUser(name)) if name else None


bokeh = asgi.app({"/who": Path(__file__).with_name("who.py")})
app = Starlette(
    routes=[Mount("/apps", bokeh)],
    middleware=[Middleware(AuthenticationMiddleware, backend=ByCookie())],
    lifespan=bokeh.lifespan,
)
