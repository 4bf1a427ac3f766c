from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount

from service import asgi


class Policy:
    """As `bokeh.server.auth.AuthPolicy` (3.10)."""

    logout_url = None

    async def authenticate(self, request):
        cookie = request.cookies.get("who")
        return cookie and cookie.value

    def get_login_url(self, request):
        return f"{request.root_path}/login"


bokeh = asgi.app({"/who": Path(__file__).with_name("who.py")}, auth_policy=Policy())
app = Starlette(routes=[Mount("/apps", bokeh)], lifespan=bokeh.lifespan)
