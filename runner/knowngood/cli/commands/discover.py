"""`knowngood discover`: a cluster file from what a cluster shows."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import click

from knowngood.adapters.cluster.discovery import seen_of
from knowngood.adapters.cluster.inspected import seen_in
from knowngood.adapters.gitops.checkout_files import checkout_of
from knowngood.adapters.kubernetes.client import Kube
from knowngood.cli.matrix_folder import matrix_folder
from knowngood.cli.matrix_source import Source, kubeconfig_of
from knowngood.cli.options import Settings, debug_option, kubeconfig_option, matrix_option, output_option
from knowngood.cli.terminal import say, say_json
from knowngood.matrix.build import DEFAULT_NAMESPACES
from knowngood.matrix.cluster_text import cluster_text, differences, draft_text, observed_text
from knowngood.matrix.load import check
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import DataError, UsageError
from knowngood.planner.discover.declared import declaring, folders
from knowngood.planner.discover.seen import Checkout, Seen, Told
from knowngood.planner.discover.telling import tell
from knowngood.report.discover_text import discover_json, discover_text

NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("discover")
@click.argument("name", default="discovered")
@click.option("--gitops", "checkout", metavar="DIR", type=FOLDER, help="A checkout of the GitOps repository.")
@click.option(
    "--from",
    "folder",
    metavar="DIR",
    type=FOLDER,
    help="A must-gather or `oc adm inspect` folder, not a cluster.",
)
@click.option("--out", metavar="DIR", type=FOLDER, default=".", show_default=True, help="Where the files go.")
@click.option("--dry-run", is_flag=True, help="Say what was found and write nothing.")
@kubeconfig_option
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    name: str,
    checkout: Path | None,
    folder: Path | None,
    out: Path,
    dry_run: bool,
    output: str,
) -> int:
    """Write a cluster file from what a cluster shows, and what runs as an observed release.

    Reads the API, each GPU node through its driver pod, and the files of a checkout; changes nothing there. Nothing is
    guessed: what could not be read is named, and what only a human can say stands in the file as a question, `# ?`.
    NAME.yaml is the cluster file (it goes to matrix/clusters/), NAME.observed.yaml what runs (plan --from-file).
    NAME.profile.yaml is a draft where no hardware profile fits. Where the matrix or --out has the cluster file already,
    the difference is shown and that file is left alone.

    \b
    Examples:
      knowngood discover ams-prod --kubeconfig ~/.kube/ams-prod --gitops ~/src/clusters
      knowngood discover ams-prod --from must-gather.local.123/ --dry-run

    \b
    Exit codes: 0 done, 2 a name, a folder or the kubeconfig is wrong, 3 the cluster does not answer
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be a cluster's name", hint="lower case letters, digits, dots and hyphens"
        )
    source = _source(settings)
    seen, where = _seen(settings, source, folder)
    if checkout is not None:
        seen = _with(seen, checkout_of(checkout, folders(seen), declaring(seen, source.matrix)))
    told = tell(seen, source.matrix, DEFAULT_NAMESPACES)
    file = _file(source, name, out)
    other = differences(told, file) if file.exists() else None
    if output == "json":
        say_json(discover_json(told, seen, other))
    else:
        say(discover_text(told, seen, other, min(120, shutil.get_terminal_size((100, 24)).columns)))
    if not dry_run:
        _write(told, name, file, out, where)
    return 0


def _source(settings: Settings) -> Source:
    """The matrix, also where a cluster file in it is not complete yet; DataError for anything else."""
    folder = matrix_folder(settings)
    checked = check(folder)
    if errors := tuple(p for p in checked.errors if Path(p.where.file).parent.name != "clusters"):
        raise DataError(errors)
    return Source(folder, checked.matrix)


def _seen(settings: Settings, source: Source, folder: Path | None) -> tuple[Seen, str]:
    """What was read, and of what."""
    if folder is not None:
        return seen_in(folder), f"the folder {folder.name}"
    kube = Kube(kubeconfig_of(settings))
    return seen_of(kube, source.matrix.movers), kube.access.server


def _with(seen: Seen, found: Checkout) -> Seen:
    return replace(
        seen,
        files=found.files,
        unread={**seen.unread, **found.unread},
        reads=found.reads,
        others=found.others,
        kustomized=found.kustomized,
    )


def _file(source: Source, name: str, out: Path) -> Path:
    """The cluster file: that of the team's own matrix where it has one of that name, else the one in `out`."""
    own = source.folder / "clusters" / f"{name}.yaml"
    return (
        own
        if own.exists() and source.folder.resolve() != matrix_dir(None).resolve()
        else out / f"{name}.yaml"
    )


def _write(told: Told, name: str, file: Path, out: Path, where: str) -> None:
    texts = {out / f"{name}.observed.yaml": observed_text(told, where)}
    if not file.exists():
        texts[file] = cluster_text(told, where)
    if told.draft:
        texts[out / f"{name}.profile.yaml"] = draft_text(told)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"can't be written: {error.strerror}", where=str(error.filename), hint="name another --out"
        ) from None
    said = ", ".join(str(path) for path in texts)
    say(f"written: {said}", err=True)
    if file in texts:
        say(
            f"  next: answer the questions in {file}, move it to matrix/clusters/, then knowngood validate",
            err=True,
        )
