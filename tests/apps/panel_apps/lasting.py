"""Sessions that decide themselves how long they last."""

import panel as pn

pn.extension()
name = pn.state.session_args.get("name", [b"nobody"])[0].decode()
word = pn.widgets.TextInput(name="word")
out = pn.pane.Str("idle")


def say(event):
    session = pn.state.curdoc.session_context.session
    match event.new:
        case "block":
            session.block_expiration()
        case "with":
            with pn.state.block_expiration():
                out.object = f"within {session.expiration_blocked_count}"
            return
        case "unblock others":
            for each in pn.state.curdoc.session_context.server_context.sessions:
                if each.expiration_blocked:
                    each.unblock_expiration()
        case "unblock":
            session.unblock_expiration()
        case "end":
            session.request_expiration()
    out.object = f"{event.new} {session.expiration_blocked} {session.expiration_requested}"


word.param.watch(say, "value")
pn.state.on_session_destroyed(lambda context: print(f"{name} has ended", flush=True))
pn.Column(word, out).servable()
