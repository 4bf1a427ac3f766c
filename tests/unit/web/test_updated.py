"""Pages that were loaded again after an update."""

from __future__ import annotations

from service.web.updated import MAX_LOSSES_SHOWN, after_update, with_losses

PAGE = "<html><body><p>A page</p></body></html>"


def test_it_takes_its_session_out_of_its_address() -> None:
    page = after_update(PAGE)
    assert "replaceState" in page
    assert page.index("replaceState") < page.index("</body>")


def test_it_says_what_was_lost_and_nothing_when_all_is_there() -> None:
    assert with_losses(PAGE, []) == PAGE
    page = with_losses(PAGE, ["value of <b>"])
    assert "<li>value of &lt;b&gt;</li>" in page
    assert page.endswith("</body></html>")


def test_a_long_list_is_cut() -> None:
    page = with_losses(PAGE, [f"value {number}" for number in range(MAX_LOSSES_SHOWN + 5)])
    assert page.count("<li>") == MAX_LOSSES_SHOWN + 1
    assert "and 5 more" in page
