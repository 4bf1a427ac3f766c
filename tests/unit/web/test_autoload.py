"""Bokeh's autoload.js, as it is changed for several apps in one page."""

from __future__ import annotations

import pytest
from bokeh.embed.bundle import URL, Bundle

from service.web.autoload import autoload_template


def test_bokehs_template_has_all_that_is_changed(caplog: pytest.LogCaptureFixture) -> None:
    autoload_template.cache_clear()
    script = autoload_template().render(bundle=Bundle(js_files=[URL("/bokeh.js")]), elementid="one")
    assert caplog.text == ""
    assert '["/bokeh.js"].filter(' in script
    assert "_bokeh_is_loading > 0 && js_urls.length === 0" in script
    assert "(root._bokeh_is_loading || 0) + css_urls" in script
