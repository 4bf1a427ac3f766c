from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount

from service import asgi

AUTH = Path(__file__).parents[3] / "examples" / "auth" / "auth.py"

bokeh = asgi.app({"/who": Path(__file__).with_name("who.py")}, auth_module=str(AUTH))
app = Starlette(routes=[Mount("/apps", bokeh)], lifespan=bokeh.lifespan)
