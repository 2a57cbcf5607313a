"""`make releases`, `make rollback`, `make verify`, `make publish`: what lies on disk, which of it is selected, whether
it is unaltered, and its copy in the blob container.

Exit codes: 0; 1 where something is wrong with a release or the container; 2 usage. Needs neither torch nor a server.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from export.command import run_command
from export.errors import ReleaseError
from export.releases.publish import container_of, publish, size_of, triton_path
from export.releases.repository import (
    RELEASES,
    Release,
    folders_in,
    one_at_a_time,
    problems_of,
    read_release,
    release_before,
    release_numbered,
    releases_in,
    select_release,
)
from export.releases.swap import recover
from runtime.config import MODEL_REPOSITORY

# Of METRICS.json's figures, those that tell releases apart at a glance.
SHOWN = {"coughseg_event_auc": "AUC", "coughseg_event_sensitivity": "sens.", "coughseg_event_specificity": "spec."}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export.manage", description=__doc__)
    parser.add_argument("--repository", type=Path, default=MODEL_REPOSITORY, help="the selected release")
    parser.add_argument("--releases", type=Path, default=RELEASES, help="all of them")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("releases", help="list them: what serves, digests, metrics")
    rollback = commands.add_parser("rollback", help="select the release before the one that serves")
    rollback.add_argument("--to", type=int, metavar="N", help="or this one, newer or older")
    commands.add_parser("verify", help="recompute every digest")
    uploaded = commands.add_parser("publish", help="upload the selected release to the blob container, print its path")
    uploaded.add_argument("--release", type=int, metavar="N", help="or this one")
    options = parser.parse_args(arguments)
    repository = options.repository.absolute()
    actions = {
        "releases": lambda: _list(repository, options.releases),
        "rollback": lambda: _rollback(repository, options.releases, options.to),
        "publish": lambda: _publish(repository, options.releases, options.release),
        "verify": lambda: _verify(repository, options.releases),
    }

    def act() -> int:
        recover(repository)
        return actions[options.command]()

    return run_command(options.command, act)


def _list(repository: Path, releases: Path) -> int:
    serving = read_release(repository)
    known = releases_in(releases)
    if not any(_same(item, serving) for item in known):
        known = sorted([*known, serving], key=lambda item: item.number)
    heading = f"{'':2}{'n':>3}  {'format':9} {'manifest':13} {'model':13} {'checkpoint':13} {'data':13} {'valid.':6}"
    print(heading + "".join(f" {name:>6}" for name in SHOWN.values()))
    for item in known:
        print(_row(item, "->" if _same(item, serving) else ""))
    return 0


def _row(one: Release, mark: str) -> str:
    manifest = one.manifest
    model = next((digest for name, digest in manifest["files"].items() if f"/{one.number}/" in name), "")
    digests = [one.manifest_sha256, model, manifest["checkpoint_sha256"], manifest["data_sha256"]]
    text = f"{mark:2}{one.number:>3}  {one.format:9} " + " ".join(f"{sha[:12]:13}" for sha in digests)
    text += f" {'yes' if manifest['validated'] else 'no':6}"
    for name in SHOWN:
        value = manifest["metrics"].get(name)
        text += f" {value:6.3f}" if value is not None else f" {'-':>6}"
    return text


def _rollback(repository: Path, releases: Path, number: int | None) -> int:
    with one_at_a_time(releases):
        chosen = release_before(repository, releases) if number is None else release_numbered(number, releases)
        select_release(chosen, repository, releases)
    print(f"Release {chosen.number} is selected: start Triton again, or deploy its path, to serve it.")
    return 0


def _publish(repository: Path, releases: Path, number: int | None) -> int:
    chosen = read_release(repository) if number is None else release_numbered(number, releases)
    container = container_of()
    with tqdm(total=size_of(chosen), unit="B", unit_scale=True, desc=f"release {chosen.number}") as bar:
        path = publish(chosen, container, bar.update)
    print(triton_path(container, path))
    return 0


def _verify(repository: Path, releases: Path) -> int:
    wrong = 0
    found: dict[Path, Release] = {}
    for folder in (repository, *folders_in(releases)):
        try:
            found[folder] = one = read_release(folder)
            problems = list(problems_of(one))
            unaltered = f"{len(one.manifest['files'])} files as in the manifest"
        except ReleaseError as error:
            problems, unaltered = [str(error)], ""
        wrong += len(problems)
        print(f"{_name(folder)}: {' '.join(problems) or unaltered}")
    serving = found.get(repository)
    kept = found.get(releases / str(serving.number)) if serving else None
    if serving and kept and not _same(kept, serving):
        raise ReleaseError(f"{repository.name}/ and {releases.name}/{serving.number} are two releases of one number.")
    return 1 if wrong else 0


def _same(first: Release, second: Release) -> bool:
    return first.number == second.number and first.manifest["files"] == second.manifest["files"]


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}" if folder.name.isdigit() else f"{folder.name}/"


if __name__ == "__main__":
    sys.exit(main())
