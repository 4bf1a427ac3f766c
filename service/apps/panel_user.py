"""``pn.state.user`` is who was let in, whoever did that (panel 1.9 and 1.10).

Panel reads the name from a cookie that its own logins sign. Auth modules, policies and programs around an
ASGI application know users in other ways.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from service.apps.when_imported import when_imported

__all__ = ("install",)

_STATE = "panel.io.state"


def install() -> None:
    """Idempotent."""
    when_imported(_STATE, _name_user)


def _name_user(module: ModuleType) -> None:
    panels = module._state.user.fget

    def user(self: Any) -> str | None:
        known = _known(self.curdoc)
        # First who was let in: cookies may be of an earlier login, and that of guests is not signed.
        # More than a name is JSON there, whose name is in the cookie, if the auth module was made for Panel.
        if known is None or known.startswith(("{", "[")):
            return panels(self) or known
        return known

    module._state.user = property(user, doc=module._state.user.__doc__)


def _known(document: Any) -> str | None:
    context = document.session_context if document else None
    user: str | None = getattr(getattr(context, "request", None), "user", None)
    return user
