from __future__ import annotations
from browser.test_files_of_other_hosts import TEMPLATES
import pytest
NAMES = ("BootstrapTemplate", "EditableTemplate", "FastGridTemplate", "FastListTemplate", "GoldenTemplate",
        "MaterialTemplate", "ReactTemplate", "SlidesTemplate", "VanillaTemplate")
PM = """
import panel as pn, panel_material_ui as pmui
pn.extension(notifications=True)
pmui.Page(title="pm", main=[pmui.Button(label="hello", icon="search"), pmui.Typography("hello2"), pn.widgets.Button(name="b"), pn.indicators.LoadingSpinner(value=True)]).servable()
"""
PM2 = """
import panel_material_ui as pmui
pmui.Column(pmui.Button(label="hello", icon="search"), pmui.IntSlider(label="s", start=0,end=3), pmui.Typography("hello2"), pmui.ChatInterface()).servable()
"""
async def test_all(replica, tmp_path, open_tab):
    (tmp_path / "templates.py").write_text(TEMPLATES)
    (tmp_path / "pm.py").write_text(PM)
    (tmp_path / "pm2.py").write_text(PM2)
    r = replica([tmp_path / "templates.py", tmp_path / "pm.py", tmp_path / "pm2.py"])
    for name in NAMES:
        tab = await open_tab()
        await tab.raw.goto(r.app_url("templates")+"?template="+name, timeout=60000)
        try:
            await tab.raw.get_by_text("hello", exact=True).first.wait_for(state="attached", timeout=20000)
        except Exception as e: print(name, "NOT DRAWN", str(e)[:80])
        await tab.raw.wait_for_timeout(1500)
        print(name, tab.requested_elsewhere, tab.problems)
        tab.problems.clear()
    for name in "pm", "pm2":
        tab = await open_tab()
        await tab.raw.goto(r.app_url(name), timeout=60000)
        try:
            await tab.raw.get_by_text("hello2", exact=True).first.wait_for(state="attached", timeout=20000)
        except Exception as e: print(name, "NOT DRAWN", str(e)[:80])
        await tab.raw.wait_for_timeout(1500)
        print(name, tab.requested_elsewhere, tab.problems)
        tab.problems.clear()
    assert False
