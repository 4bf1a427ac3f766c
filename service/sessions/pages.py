"""What the pages of a session are told beside its Document, and which of them have pulled that."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Set

from service.sessions.page_message import PageMessage, callback_failed, callbacks_lost
from service.sessions.slot import Client

__all__ = ("Pages",)


class Pages:
    """Of the session that ``clients`` are connected to. ``losses`` is what restoring it lost, in words.

    ``began_here`` says that no page can have pulled it before; an author who is ``developing`` the app sees
    what its callbacks raise.
    """

    def __init__(
        self, clients: Set[Client], losses: Iterable[str], *, began_here: bool, developing: bool
    ) -> None:
        self._clients = clients
        self._losses = list(losses)
        self._messages: list[PageMessage] = []
        self._pulled: set[str] | None = set() if began_here else None
        self._developing = developing

    @property
    def losses(self) -> list[str]:
        """What restoring lost, until a page has said so."""
        return list(self._losses)

    @property
    def messages(self) -> list[PageMessage]:
        return list(self._messages)

    def take_losses(self) -> list[str]:
        """The same, for the page that says so."""
        losses, self._losses = self._losses, []
        return losses

    def first_pull(self, token_id: str) -> bool:
        """Whether a page with this token surely has not pulled the Document before; notes that it has.

        Never sure once the session came from another replica.
        """
        if self._pulled is None or token_id in self._pulled:
            return False
        self._pulled.add(token_id)
        return True

    def callbacks_lost(self) -> None:
        """Callbacks that were added at run time did not come back with the session."""
        self._messages.append(callbacks_lost())

    def show(self) -> None:
        """Say to all that are connected what there is to say."""
        for client in self._clients:
            self.show_to(client)

    def show_to(self, client: Client) -> None:
        for message in self._messages:
            client.show(message)

    def callback_failed(self, error: BaseException) -> None:
        """Show the traceback to an author who develops the app."""
        if self._developing:
            message = callback_failed("".join(traceback.format_exception(error)))
            for client in self._clients:
                client.show(message)
