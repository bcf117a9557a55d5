"""Text of other people reaches our modules as it is: a real Ansible runs our playbooks and templates none of it.

The module is a stand-in that only tells what it was given, so no cluster is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.adapters.echoing import Deaf, echoing
from tests.movers import MOVERS, USERS, moving

from knowngood.adapters.processes.ansible import AnsibleNodeWork
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.mover import Hold
from knowngood.ports.cancel import Cancel

HELM = "Helm: {{ .Values.driver.version }} is not a version"


class Stand:
    """The shipped playbooks over echoing modules; `planted` appears where a template was run."""

    def __init__(self, folder: Path) -> None:
        self.planted = folder / "planted"
        self.command = f"{{{{ lookup('pipe', 'touch {self.planted}') }}}}"
        playbooks = echoing(folder)
        cluster = load(matrix_dir()).clusters["lab-small"]
        self.tenant = {"name": self.command, "namespaces": [HELM], "evictionDeadlineSeconds": 600}
        object.__setattr__(cluster, "raw", {"tenants": [self.tenant]})
        object.__setattr__(cluster, "operator_namespace", self.command)
        kubeconfig = folder / "kubeconfig"
        self.work = AnsibleNodeWork(cluster, kubeconfig, folder, cluster.limits, Deaf(), playbooks, HELM)

    def given(self, verb: str, nodes: Any, *more: Any, **named: Any) -> dict[str, Any]:
        """What the verb's module was given."""
        outcome = getattr(self.work, verb)(nodes, self.command, *more, Cancel(), **named)
        assert outcome.done == tuple(nodes), outcome.failed
        found: dict[str, Any] = outcome.detail["given"]
        return found


@pytest.fixture(name="stand")
def _stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def test_a_reason_that_looks_like_a_template_arrives_literally_and_runs_nothing(stand: Stand) -> None:
    """A commit subject that calls a command, and Helm's words about its own template."""
    reasons = {
        "gpu-1": stand.command,
        "gpu-2": HELM,
        "{{ 7 * 7 }}": "a key is none either",
        "gpu-3": "{% raw %} {# \u2028 \x00 \U0001f600 !unsafe 'x'\n- a: b",
    }
    given = stand.given("quarantine", reasons)
    assert given["reasons"] == reasons
    assert given["nodes"] == list(reasons)
    assert not stand.planted.exists()


@pytest.mark.parametrize(
    ("verb", "more", "named"),
    [
        ("claim", (), {"hold": Hold.CORDON, "specs": MOVERS}),
        ("drain", (), {"users": USERS}),
        ("apply", (moving(HELM),), {}),
        ("release", (), {}),
    ],
)
def test_no_variable_of_any_verb_is_templated(
    stand: Stand, verb: str, more: tuple[Any, ...], named: dict[str, Any]
) -> None:
    given = stand.given(verb, [HELM, stand.command], *more, **named)
    assert given["nodes"] == [HELM, stand.command]
    assert given["fence"] == stand.command
    namespaces = dict(stand.work._cluster.namespaces)
    assert given["cluster"] == {
        "operatorNamespace": stand.command,
        "namespaces": namespaces,
        "tenants": [stand.tenant],
    }
    assert given["limits"]["drain"] == stand.work._limits.drain
    assert given["expect"] == ({"nvidia-driver": HELM} if verb == "apply" else None)
    assert not stand.planted.exists()
