"""The HTML report: one file, no scripts, safe with whatever a cluster says."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from tests.unit.report.played import BAD_REASON, Played, calm, held, undone

from knowngood.report.html import html

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Collects tags, text and what is left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("run", [calm(), undone(), held()], ids=["calm", "undone", "held"])
def test_it_is_one_well_formed_file_that_needs_nothing_else(run: Played) -> None:
    text = html((run.summary,))
    page = Page(text)
    assert not page.open
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not re.search(r"(src|href)=\"(?!#)", text)
    assert "@import" not in text


def test_text_from_the_cluster_is_escaped_and_readable() -> None:
    text = html((undone().summary,))
    assert "<script>" not in text
    assert BAD_REASON in Page(text).text


def test_it_says_at_the_top_how_it_ended_why_and_what_to_do_next() -> None:
    page = Page(html((held().summary,)))
    top = page.text[: page.text.index("Nodes")]
    assert "held: frozen as it is" in top
    assert "gpu-4" in top
    assert "knowngood rollback run-1" in top


def test_a_gate_that_said_no_is_open_and_the_others_are_folded() -> None:
    text = html((undone().summary,))
    assert len(re.findall(r"<details open>", text)) == 2, "the judgement and its repetition"
    assert text.count("<details>") > 1


def test_several_runs_share_one_page_with_a_table_that_leads_to_each() -> None:
    text = html((calm().summary, undone().summary), title="both")
    assert "<title>both</title>" in text
    assert text.count('<section class="run"') == 2
    assert text.count('href="#run-1"') == 2


def test_on_a_phone_rows_are_blocks_and_every_bare_figure_says_what_it_is() -> None:
    text = html((undone().summary,))
    # It would let columns shrink to a letter.
    assert "overflow-wrap: anywhere" not in text[text.index("table {") :]
    assert "@media (max-width: 40rem)" in text
    for label in ("times out", "time out", "driver reloads"):
        assert f'data-label="{label}"' in text


def test_a_run_that_was_only_played_has_other_next_steps() -> None:
    text = Page(html((held().summary,), then=("knowngood status --runs-dir x",))).text
    assert "knowngood status --runs-dir x" in text
    assert "knowngood rollback" not in text


def test_a_run_that_goes_on_can_be_reported_at_every_record() -> None:
    run = undone()
    for end in range(1, len(run.records)):
        assert html((Played(run.records[:end], run.files).summary,))
