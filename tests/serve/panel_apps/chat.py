"""Chats that answer word by word (asynchronously) and at once (a plain function)."""

import asyncio

import panel as pn

pn.extension()


async def words(contents, user, instance):
    text = ""
    for word in ["you", "said", *contents.split()]:
        text = f"{text} {word}".strip()
        yield text
        await asyncio.sleep(30 if word == "wait" else 0.02)


def at_once(contents, user, instance):
    return f"{contents.upper()}, and {len(instance.objects)} messages before"


kind = pn.state.session_args.get("kind", [b"words"])[0].decode()
chat = pn.chat.ChatInterface(callback={"words": words, "plain": at_once}[kind], height=400)
told = pn.pane.Str("told", name="told")
tell = pn.widgets.Button(name="tell")
tell.on_click(lambda event: setattr(told, "object", f"told {event.new}: {chat.serialize()}"))
pn.Column(chat, tell, told).servable()
