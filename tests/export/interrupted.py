"""Kill a step at every change that it makes to a disk or sends to a server, and look at what is left.

    python -m tests.export.interrupted STEP FOLDER        STEP: a key of STEPS

Each attempt runs in a fork whose audit hook sends SIGKILL before the n-th such change, n = 1, 2, ... until one attempt
gets to its end. Prints one JSON line an attempt. A process of its own, because forks and the threads of a test run
don't mix.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import export.releases.swap
from export.releases.publish import container_of, fetch, path_of, publish
from export.releases.release import MANIFEST
from export.releases.repository import problems_of, read_release, select_release
from tests.export.parts import write

CHANGES = frozenset(
    {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.utime", "os.chmod"} | {"http.client.send"}
)


def main(step: str, folder: Path) -> None:
    for n in count(1):
        trial = folder / str(n)
        trial.mkdir()
        prepare, act, look = STEPS[step]
        prepare(trial)
        finished = _attempt(n, lambda act=act, trial=trial: act(trial))  # type: ignore[misc]
        print(json.dumps({"n": n, "finished": finished, **look(trial)}), flush=True)
        shutil.rmtree(trial)
        if finished:
            return


def _attempt(n: int, act: Callable[[], None]) -> bool:
    """Whether it got to its end before its n-th change."""
    child = os.fork()
    if child == 0:
        seen = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if event in CHANGES and not _only_reads(event, arguments):
                seen += 1
                if seen == n:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"attempt {n} failed with {os.WEXITSTATUS(status)}")
    return os.WIFEXITED(status)


def _only_reads(event: str, arguments: tuple[object, ...]) -> bool:
    """An `open` whose flags neither write nor create."""
    return event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_ACCMODE | os.O_CREAT) == 0


def _two_releases(trial: Path) -> None:
    for number in (1, 2):
        write(trial / "releases", number)
    select_release(read_release(trial / "releases" / "1"), trial / "model_repository", trial / "releases")


def _select(trial: Path) -> None:
    select_release(read_release(trial / "releases" / "2"), trial / "model_repository", trial / "releases")


def _select_by_two_renames(trial: Path) -> None:
    def no_exchange(first: Path, second: Path) -> None:
        raise OSError(22, "Invalid argument", str(second))

    export.releases.swap._exchange = no_exchange
    _select(trial)


def _look_at_the_repository(trial: Path) -> dict[str, object]:
    """What Triton would find now, and after the next command has put an interrupted replacement back."""
    repository = trial / "model_repository"
    found: dict[str, object] = {"there": repository.exists()}
    export.releases.swap.recover(repository)
    release = read_release(repository)
    return {**found, "serves": release.number, "problems": list(problems_of(release))}


def _fresh_clone(trial: Path) -> None:
    """Only the selected release is there, as in git."""
    _two_releases(trial)
    shutil.rmtree(trial / "releases" / "1")


def _look_for_the_first_release(trial: Path) -> dict[str, object]:
    found = _look_at_the_repository(trial)
    kept = trial / "releases" / "1"
    whole = kept.is_dir() and not list(problems_of(read_release(kept)))
    return {**found, "first": whole or found["serves"] == 1}


def _write(trial: Path) -> None:
    write(trial / "releases", 3)


def _look_at_the_releases(trial: Path) -> dict[str, object]:
    """A half release must be none; and the next attempt must get through."""
    whole = (trial / "releases" / "3").exists()
    problems = list(problems_of(read_release(trial / "releases" / "3"))) if whole else []
    if not whole:
        write(trial / "releases", 3)
        problems = list(problems_of(read_release(trial / "releases" / "3")))
    return {"whole": whole, "problems": problems}


def _publish(trial: Path) -> None:
    publish(read_release(trial / "releases" / "1"), container_of())


def _one_release(trial: Path) -> None:
    """Of its own for each attempt, so that each has a path of its own in the container."""
    write(trial / "releases", 1, model=os.urandom(64))


def _look_at_the_container(trial: Path) -> dict[str, object]:
    """Whether the path would be taken for a release; and whether publishing again completes it."""
    release, container = read_release(trial / "releases" / "1"), container_of()
    names = [blob.name for blob in container.list_blobs(f"{path_of(release)}/")]
    whole = any(name.endswith(MANIFEST) for name in names)
    n_before = len(names)
    path = publish(release, container)
    fetched = fetch(container, path, trial / "fetched")
    return {
        "whole": whole,
        "files": n_before,
        "of": len(release.manifest["files"]) + 1,
        "problems": list(problems_of(fetched)),
    }


STEPS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None], Callable[[Path], dict[str, object]]]] = {
    "select": (_two_releases, _select, _look_at_the_repository),
    "select-in-a-fresh-clone": (_fresh_clone, _select, _look_for_the_first_release),
    "select-by-two-renames": (_two_releases, _select_by_two_renames, _look_at_the_repository),
    "write": (lambda trial: (trial / "releases").mkdir(), _write, _look_at_the_releases),
    "publish": (_one_release, _publish, _look_at_the_container),
}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
