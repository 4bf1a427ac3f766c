"""``--admin-password``: the admin page's own login, beside that of the users (as Panel 1.10 has it).

The cookie is signed with the secret that all replicas share, so any of them knows who has logged in. It is of
the admin page's path as the browser sees it, whatever a proxy makes of that.
"""

from __future__ import annotations

import hashlib
import hmac

from tornado.web import RequestHandler

from service.web.base import UserHandler
from service.web.resources import TEMPLATES

__all__ = ("AdminLoginHandler", "AdminLogoutHandler", "has_logged_in")

_FORM = TEMPLATES / "admin_login.html"
_COOKIE = "svc_admin"
_DAYS = 1


def has_logged_in(handler: RequestHandler, password: str) -> bool:
    """Whether the request has the cookie of that ``password``: of another one it is void."""
    found = handler.get_signed_cookie(_COOKIE, max_age_days=_DAYS)
    return found is not None and hmac.compare_digest(found, _digest(password))


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
        self.set_signed_cookie(_COOKIE, _digest(password), expires_days=_DAYS, path=None)
        self.redirect(_page_of(self))

    def _show(self, problem: str) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Frame-Options", "DENY")
        self.render(str(_FORM), problem=problem, with_xsrf=self.services.settings.enable_xsrf_cookies)


class AdminLogoutHandler(UserHandler):
    """Forgets the cookie."""

    def get(self) -> None:
        self.clear_cookie(_COOKIE, path=None)
        self.redirect("login")


def _page_of(handler: UserHandler) -> str:
    """The admin page seen from its login page: without a slash at the end, where its files are."""
    return f"../{handler.services.settings.admin_endpoint.rpartition('/')[2]}"


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode()).hexdigest().encode()
