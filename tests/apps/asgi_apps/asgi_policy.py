from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount

from service import asgi

try:
    from bokeh.server.auth import AuthPolicy
except ImportError:  # bokeh 3.9

    class AuthPolicy:
        def __init__(self, authenticator, login_url, logout_url):
            self.authenticate = authenticator
            self.get_login_url = login_url
            self.logout_url = logout_url


async def who(request):
    cookie = request.cookies.get("who")
    return cookie and cookie.value


policy = AuthPolicy(who, login_url=lambda request: f"{request.root_path}/login", logout_url="/logout")
bokeh = asgi.app({"/who": Path(__file__).with_name("who.py")}, auth_policy=policy)
app = Starlette(routes=[Mount("/apps", bokeh)], lifespan=bokeh.lifespan)
