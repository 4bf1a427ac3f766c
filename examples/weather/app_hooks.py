"""What happens around sessions: counting them, and reading the wish of each request."""

import logging

log = logging.getLogger(__name__)

visits = 0


def on_server_loaded(server_context) -> None:
    log.info("weather: loaded")


def on_server_unloaded(server_context) -> None:
    log.info("weather: %d visits in all", visits)


def on_session_created(session_context) -> None:
    global visits
    visits += 1
    log.info("weather: visit %d", visits)


def on_session_destroyed(session_context) -> None:
    log.info("weather: a visit ended")


def process_request(request) -> dict:
    """Americans see Fahrenheit first. The result travels with the session, wherever that is served."""
    languages = request.headers.get("Accept-Language", "")
    return {"unit": "°F" if languages.startswith("en-US") else "°C"}
