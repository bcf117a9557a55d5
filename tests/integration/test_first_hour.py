"""The first hour of a team: its cluster was never seen, its repository is its own; few values are typed.

discover → doctor → validate → plan → rehearse → upgrade, each as its own command, on a twin of the team's cluster.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.own_cluster import NAME, owned, values_in
from tests.integration.teams import TEAMS

MOST_TYPED = 9


@pytest.mark.exhaustive
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("name", sorted(TEAMS))
def test_from_a_cluster_never_seen_to_an_upgrade_that_is_done(name: str, tmp_path: Path) -> None:
    team = TEAMS[name]
    assert values_in(team.typed) <= MOST_TYPED
    with owned(tmp_path, team) as own:
        own.answered(own.discovered())
        own.said("validate")
        own.said("doctor", NAME)
        own.said("plan", NAME, "--to", team.to)
        own.said("rehearse", NAME, "--to", team.to, "--out", str(tmp_path / "rehearsals"))
        ended = own.said("upgrade", NAME, "--to", team.to, "--yes", "--output", "json")
    assert ended.result["end"] == "done"
