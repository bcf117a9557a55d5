"""Rows as aligned lines, on a terminal of any width."""

from __future__ import annotations

from knowngood.report.columns import columns, table


def test_a_table_is_no_wider_than_its_terminal() -> None:
    """A long last column goes on in its place where there is room, else under its row; words stay whole."""
    rows = [
        ("name", "undo", "why"),
        ("openshift", "forward-only", "it can never be undone once its commit is out"),
    ]
    assert table(rows, 80) == columns(rows, "")
    assert table(rows, 60)[1:] == [
        "openshift  forward-only  it can never be undone once its",
        "                         commit is out",
    ]
    assert table(rows, 40)[1:] == [
        "openshift  forward-only",
        "    it can never be undone once its",
        "    commit is out",
    ]
    assert all(len(line) <= 20 for line in table(rows, 20))
