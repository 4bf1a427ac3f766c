"""What happens to the Document of a session: an app with all kinds of things that change, and how they do."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, Line, Plot, Range1d, Scatter
from bokeh.models.widgets import Button, Div, MultiSelect, Select, Slider
from bokeh.themes import Theme
from hypothesis import strategies as st

from harness.runs import Run
from service.apps.state import session_state

__all__ = ("OPS", "Op", "everything", "play", "scripts")


def everything(doc: Document) -> None:
    """An app with all kinds of things that change."""
    state = session_state(doc)
    state.setdefault("seed", random.random())
    drawn = ColumnDataSource(
        {"x": [0, 1, 2, 3], "y": np.random.default_rng().random(4), "name": ["a", "b", "ü", ""]}, name="drawn"
    )
    curve = ColumnDataSource({"x": np.linspace(0, 1, 4), "y": np.zeros(4)}, name="curve")
    stream = ColumnDataSource({"n": [0], "v": np.array([0.5])}, name="stream")
    plot = Plot(name="plot", x_range=Range1d(start=0, end=10, name="range"))
    plot.add_glyph(curve, Line(x="x", y="y"))
    plot.add_glyph(drawn, Scatter(x="x", y="y"))
    plot.add_glyph(stream, Scatter(x="n", y="v"))
    slider = Slider(start=0, end=1000, value=1, name="slider")
    maker = Slider(start=0, end=1000, value=0, name="maker")
    functions: list[Any] = ["sin", "cos"]
    select = Select(options=functions, value="sin", name="select")
    several = MultiSelect(options=["a", "b", "c"], value=[], name="several")
    log = Div(text="", name="log")
    hidden = Slider(start=0, end=9, value=0, name="hidden")
    made = column(name="made")
    layout = column(slider, maker, select, several, log, plot, made, Button(name="button"), name="layout")

    def draw(attr: str, old: Any, new: Any) -> None:
        state["moves"] = state.get("moves", 0) + 1
        function = np.sin if select.value == "sin" else np.cos
        curve.data = {"x": curve.data["x"], "y": function(np.asarray(curve.data["x"]) * slider.value)}
        log.text = f"{select.value} {slider.value}"

    def make(attr: str, old: Any, new: Any) -> None:
        made.children = [*made.children[-3:], Div(text=f"made for {new}")]

    slider.on_change("value", draw)
    select.on_change("value", draw)
    maker.on_change("value", make)
    doc.add_root(layout)
    doc.hidden = hidden  # type: ignore[attr-defined]


# -- operations --------------------------------------------------------------------------------


async def op_slide(run: Run, n: int) -> None:
    await run.sent(("slider", "value", n))


async def op_select(run: Run, n: int) -> None:
    await run.sent(("select", "value", ("sin", "cos")[n % 2]))


async def op_two_at_once(run: Run, n: int) -> None:
    await run.sent(("maker", "value", n), ("slider", "value", n + 1))


async def op_make_at_the_end(run: Run, n: int) -> None:
    await run.sent(("slider", "value", n), ("maker", "value", n + 1))


async def op_choose(run: Run, n: int) -> None:
    await run.sent(("several", "value", ["a", "b", "c"][: n % 4]))


async def op_pan(run: Run, n: int) -> None:
    await run.sent(("range", "start", n / 3 + 0.25), ("range", "end", n / 3 + 10.5))


async def op_tap(run: Run, n: int) -> None:
    selected = run["drawn"].selected
    event = {"kind": "ModelChanged", "model": {"id": selected.id}, "attr": "indices", "new": [n % 4]}
    await run.patched({"events": [event]})


async def op_click(run: Run, n: int) -> None:
    def click() -> None:
        made = run["made"]
        nested = column(Div(text=f"clicked {n}"), Slider(start=0, end=n + 1, value=n, tags=[n, {"n": n}]))
        made.children = [*made.children, nested]

    await run.do(click)


async def op_change_made(run: Run, n: int) -> None:
    def change() -> None:
        for child in run["made"].children[n % 2 :]:
            child.tags = [n]
            child.margin = n

    await run.do(change)


async def op_unmake(run: Run, n: int) -> None:
    def unmake() -> None:
        run["made"].children = run["made"].children[: n % 3]

    await run.do(unmake)


async def op_reorder(run: Run, n: int) -> None:
    def reorder() -> None:
        children = run["layout"].children
        run["layout"].children = [*children[n % 5 :], *children[: n % 5]]

    await run.do(reorder)


async def op_toggle_log(run: Run, n: int) -> None:
    def toggle() -> None:
        layout = run["layout"]
        log = getattr(run.session.document, "log", None) or run["log"]
        run.session.document.log = log  # type: ignore[attr-defined]
        if log in layout.children:
            layout.children = [child for child in layout.children if child is not log]
        else:
            log.text = f"back {n}"
            layout.children = [*layout.children, log]

    await run.do(toggle)


async def op_show_hidden(run: Run, n: int) -> None:
    def show() -> None:
        hidden = run.session.document.hidden  # type: ignore[attr-defined]
        if hidden not in run["layout"].children:
            hidden.value = n % 9
            run["layout"].children = [*run["layout"].children, hidden]

    await run.do(show)


async def op_root(run: Run, n: int) -> None:
    def root() -> None:
        document = run.session.document
        added = [root for root in document.roots if root.name != "layout"]  # all that happens needs that one
        if n % 2 or not added:
            document.add_root(Div(text=f"root {n}", name=f"root{n}"))
        else:
            document.remove_root(added[-1])

    await run.do(root)


async def op_title(run: Run, n: int) -> None:
    await run.do(lambda: setattr(run.session.document, "title", f"title {n}"))


async def op_theme(run: Run, n: int) -> None:
    theme = Theme(json={"attrs": {"Plot": {"background_fill_color": f"#{n:06}"}}})
    await run.do(lambda: setattr(run.session.document, "theme", theme))


async def op_stream(run: Run, n: int) -> None:
    rows = {"n": [n, n + 1], "v": np.array([n / 2, n / 4])}
    await run.do(lambda: run["stream"].stream(rows, rollover=(None, 3, 50)[n % 3]))


async def op_patch(run: Run, n: int) -> None:
    await run.do(lambda: run["stream"].patch({"n": [(0, n)], "v": [(slice(0, 1), [n / 8])]}))


async def op_assign_stream(run: Run, n: int) -> None:
    await run.do(lambda: setattr(run["stream"], "data", {"n": [n], "v": np.array([float("nan")])}))


async def op_in_place(run: Run, n: int) -> None:
    def change() -> None:
        run["select"].options.append(f"option {n}")
        run["drawn"].data["name"] = [f"{n}", "", "x", "y"]
        run["plot"].tags.append({"n": n})

    await run.do(change)


async def op_state(run: Run, n: int) -> None:
    state = session_state(run.session.document)
    state[f"key{n % 3}"] = {"n": [n, None, b"x", {"deep": 1.5}]}
    state.pop(f"key{(n + 1) % 3}", None)


async def op_pull(run: Run, n: int) -> None:
    await run.pull()


async def op_take(run: Run, n: int) -> None:
    run.take()


async def op_lost(run: Run, n: int) -> None:
    assert run.session.journal is not None
    run.session.journal.lost()
    run.take()


Op = Callable[[Run, int], Any]
OPS: dict[str, Op] = {name[3:]: op for name, op in globals().items() if name.startswith("op_")}

scripts = st.lists(st.tuples(st.sampled_from(sorted(OPS)), st.integers(0, 9)), max_size=25)


async def play(run: Run, script: list[tuple[str, int]]) -> None:
    for name, n in script:
        await OPS[name](run, n)
