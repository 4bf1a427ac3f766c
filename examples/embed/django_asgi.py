"""A Django project in one file, with a Bokeh app in the same process: what would be its asgi.py is at the end.

    uvicorn --app-dir examples/embed django_asgi:application [--workers 2]

Log in as demo, with the password demo. `/` embeds the app that is served below `/bokeh/`, and whose sessions are those of
the user of Django's session. Workers share sessions with `SVC_REDIS_URL=redis://...`; without it there may be one only.
"""

import io
import os
import tempfile
from importlib import import_module

import django
from bokeh.embed import server_document
from bokeh.io import curdoc
from bokeh.models import Div
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.core.management import call_command
from django.shortcuts import render
from django.urls import path
from program import powers

from svc import asgi

HTML = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>Django</title></head>
<body>%s</body></html>"""
LOGIN = HTML % '<form method="post">{% csrf_token %}{{ form.as_p }}<button>Log in</button></form>'
PAGE = HTML % '<h1>A page of {{ user }}\'s</h1>{{ script|safe }}<a href="/login">Log in as somebody else</a>'

# settings.py
settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DEMO_DATABASE", os.path.join(tempfile.gettempdir(), "django_asgi.sqlite3")),
    }},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    LOGIN_URL="/login",
    LOGIN_REDIRECT_URL="/",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="a demo's secret",
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "context_processors": ["django.contrib.auth.context_processors.auth"],
            "loaders": [("django.template.loaders.locmem.Loader", {"login.html": LOGIN, "page.html": PAGE})],
        },
    }],
)  # fmt: skip
django.setup()

from django.contrib.auth import aget_user, get_user_model  # noqa: E402 - they need the settings
from django.contrib.auth.decorators import login_required  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402

# manage.py migrate, and a user to try it with
call_command("migrate", verbosity=0)
if not get_user_model().objects.filter(username="demo").exists():
    get_user_model().objects.create_user("demo", password="demo")


# views.py
@login_required
def page(request):
    return render(request, "page.html", {"script": server_document(request.build_absolute_uri("/bokeh/powers"))})


# urls.py
urlpatterns = [path("", page), path("login", LoginView.as_view(template_name="login.html"))]


# asgi.py
async def user_of(scope):
    """Who has logged in to Django: what its middleware would find for a view."""
    request = ASGIRequest({"method": "GET", **scope}, io.BytesIO())  # a WebSocket has no method of its own
    sessions = import_module(settings.SESSION_ENGINE).SessionStore
    request.session = sessions(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    return await aget_user(request)


def personal_powers(doc):
    powers(doc)
    doc.add_root(Div(name="user", text=curdoc().session_context.request.user))


bokeh = asgi.app({"/powers": personal_powers}, prefix="/bokeh", user=user_of, login_url=settings.LOGIN_URL)
pages = get_asgi_application()


async def application(scope, receive, send):
    ours = scope["type"] == "lifespan" or scope["path"].startswith("/bokeh/")
    await (bokeh if ours else pages)(scope, receive, send)
