"""Chats that answer word by word, at once, or with something to click on."""

import asyncio
import json

import panel as pn

pn.extension()
asked = []


async def words(contents, user, instance):
    asked.append(contents)
    text = ""
    for word in ["you", "said", *contents.split()]:
        text = f"{text} {word}".strip()
        yield text
        await asyncio.sleep(30 if word == "wait" else 0.02)


def generated(contents, user, instance):
    asked.append(contents)
    text = ""
    for word in ["you", "said", *contents.split()]:
        text = f"{text} {word}".strip()
        yield text


def plain(contents, user, instance):
    asked.append(contents)
    return f"{contents.upper()}, and {len(instance.objects)} messages before"


def offered(contents, user, instance):
    asked.append(contents)
    text = pn.pane.Str(f"take {contents}?")
    take = pn.widgets.Button(name=f"take {contents}")
    take.on_click(lambda event: setattr(text, "object", f"took {contents} {event.new}"))
    return pn.Column(text, take)


KINDS = {"words": words, "generated": generated, "plain": plain, "offered": offered, "kept": plain}
kind = pn.state.session_args.get("kind", [b"words"])[0].decode()
what = {"widgets": [pn.widgets.TextInput()], "reset_on_send": False} if kind == "kept" else {}
chat = pn.chat.ChatInterface(
    callback=KINDS[kind], user="Ada", avatar="A", callback_user="Bot", callback_avatar="B", height=400, **what
)
told = pn.pane.Str("told", name="told")
tell = pn.widgets.Button(name="tell")


def say(event):
    messages = [[each.user, each.avatar, each.serialize()] for each in chat.objects]
    told.object = f"told {event.new}: {json.dumps([messages, asked])}"


tell.on_click(say)
pn.Column(chat, tell, told).servable()
