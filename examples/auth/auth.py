"""A login form. Anybody gets in who knows the one password: put your own check into `is_right`.

    svc serve --auth-module examples/auth/auth.py --enable-xsrf-cookies examples/auth/app.py
"""

import hmac
import os

from tornado.escape import xhtml_escape
from tornado.web import RequestHandler

login_url = "/login"
logout_url = "/logout"


def is_right(name, password):
    return bool(name) and hmac.compare_digest(password, os.environ.get("DEMO_PASSWORD", "bokeh"))


def get_user(request_handler):
    return request_handler.get_signed_cookie("user", max_age_days=1)


def within(url):
    """Only paths of this server: a `next` that leads elsewhere would help phishing.

    Browsers take a backslash for a slash, and leave control characters out before they read a URL.
    """
    is_path = url.startswith("/") and not url.startswith("//")
    return url if is_path and url.isprintable() and "\\" not in url else "/"


def from_here(handler, url):
    """Seen from the login page, so that it holds behind a proxy that takes a path away from what it passes on."""
    path = handler.request.uri.partition("?")[0]
    prefix = path.rstrip("/").removesuffix(login_url)  # that of svc serve --prefix, or where an ASGI program has us
    return (".." if path.endswith("/") else ".") + url.removeprefix(prefix)


class LoginHandler(RequestHandler):
    def get(self, error=""):
        self.finish(f"""<!DOCTYPE html><html lang="en"><title>Log in</title><form method="post">
            {self.xsrf_form_html()}<p>{xhtml_escape(error)}</p>
            <label>Name <input name="name" autofocus></label>
            <label>Password <input name="password" type="password"></label>
            <button>Log in</button></form></html>""")

    def post(self):
        name, password = self.get_argument("name", ""), self.get_argument("password", "")
        if not is_right(name, password):
            self.set_status(403)
            self.get("That is not right.")
            return
        self.set_signed_cookie("user", name)
        self.clear_cookie("_xsrf")  # what a stranger may have planted before the login is worth nothing after it
        self.redirect(from_here(self, within(self.get_argument("next", "/"))))


class LogoutHandler(RequestHandler):
    """Logging out takes a POST, so that no link or image on somebody else's page can do it."""

    def get(self):
        self.finish(f"""<!DOCTYPE html><html lang="en"><title>Log out</title><form method="post">
            {self.xsrf_form_html()}<button>Log out</button></form></html>""")

    def post(self):
        self.clear_cookie("user")
        self.clear_cookie("_xsrf")
        self.redirect(from_here(self, login_url))
