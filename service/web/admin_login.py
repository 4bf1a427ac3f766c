"""``--admin-password``: the admin page's own login, beside that of the users (as Panel 1.10 has it).

The cookie is signed with the secret that all replicas share, so any of them knows who has logged in. It is of
the admin page's path as the browser sees it, whatever a proxy makes of that.
"""

from __future__ import annotations

import hashlib
import hmac

from tornado.escape import utf8
from tornado.web import RequestHandler

from service.web.base import UserHandler
from service.web.resources import TEMPLATES

__all__ = ("ADMIN_COOKIE", "AdminLoginHandler", "AdminLogoutHandler", "has_logged_in")

_FORM = TEMPLATES / "admin_login.html"
ADMIN_COOKIE = "svc_admin"
_DAYS = 1


def has_logged_in(handler: RequestHandler, password: str) -> bool:
    """Whether the request has the cookie of that ``password``: of another one it is void."""
    found = handler.get_signed_cookie(ADMIN_COOKIE, max_age_days=_DAYS)
    return found is not None and hmac.compare_digest(found, _proof(handler, password))


class AdminLoginHandler(UserHandler):
    """A form with one field."""

    def get(self) -> None:
        self._show("")

    def post(self) -> None:
        password = self.services.settings.admin_password or ""
        if not hmac.compare_digest(self.get_argument("password", "").encode(), password.encode()):
            self.set_status(403)
            self._show("That is not the password.")
            return
        self.set_signed_cookie(ADMIN_COOKIE, _proof(self, password), expires_days=_DAYS, path=None)
        self.redirect(_page_of(self))

    def _show(self, problem: str) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Frame-Options", "DENY")
        self.render(str(_FORM), problem=problem, with_xsrf=self.services.settings.enable_xsrf_cookies)


class AdminLogoutHandler(UserHandler):
    """Forgets the cookie."""

    def get(self) -> None:
        self.clear_cookie(ADMIN_COOKIE, path=None)
        self.redirect("login")


def _page_of(handler: UserHandler) -> str:
    """The admin page seen from its login page: without a slash at the end, where its files are."""
    return f"../{handler.services.settings.admin_endpoint.rpartition('/')[2]}"


def _proof(handler: RequestHandler, password: str) -> bytes:
    """Says nothing of the password to who has not the secret of cookies, too."""
    handler.require_setting("cookie_secret", "the login of the admin page")
    secret: str | bytes = handler.application.settings["cookie_secret"]
    return hmac.new(utf8(secret), password.encode(), hashlib.sha256).hexdigest().encode()
