"""Which code says that its page may depend on the Document: names count, comments and texts do not."""

from __future__ import annotations

import pytest

from service.apps.app import mentions_template


@pytest.mark.parametrize(
    "source",
    [
        "doc.template = T",
        "curdoc().template_variables['a'] = 1",
        "doc.template_variables.update(a=1)",
        "pn.template.FastListTemplate if 0 else my_template",
        "def set_template(doc): ...",
        "from jinja2 import Template as template",
        "cannot be (read",
    ],
)
def test_names_that_speak_of_templates(source: str) -> None:
    assert mentions_template(source)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "curdoc().add_root(plot)  # the default template will do",
        "'''Uses no template.'''",
        "title = 'my template'",
    ],
)
def test_code_that_does_not(source: str) -> None:
    assert not mentions_template(source)
