"""A Django project in one file, whose page embeds an app of a server elsewhere.

    svc serve examples/sliders.py --allow-websocket-origin localhost:8000
    python examples/embed/django_app.py --bokeh-url http://localhost:5006/sliders
"""

import argparse
from wsgiref.simple_server import make_server

from bokeh.embed import server_document
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.template import engines
from django.http import HttpResponse
from django.urls import path

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>Django</title></head>
<body><h1>A page of Django's</h1>{{ script|safe }}</body></html>"""


def index(request):
    template = engines["django"].from_string(PAGE)
    return HttpResponse(template.render({"script": server_document(settings.BOKEH_URL)}))


urlpatterns = [path("", index)]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--bokeh-url", default="http://localhost:5006/sliders")
    arguments = parser.parse_args()

    settings.configure(
        ALLOWED_HOSTS=["localhost", "127.0.0.1"],
        BOKEH_URL=arguments.bokeh_url,
        ROOT_URLCONF=__name__,
        SECRET_KEY="a demo's secret",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    )
    with make_server("127.0.0.1", arguments.port, get_wsgi_application()) as server:
        print(f"the page is at http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
