"""Runs when a session has been brought back on another replica."""


def on_session_restored(session_context):
    document = session_context._document
    document.get_model_by_name("news").text = "This session has moved; the count has not changed."
