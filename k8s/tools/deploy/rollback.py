"""Going back to a state that was good: by an explicit revision, never by whatever number is the second-highest."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from k8s.tools.deploy import deployments, drift, history, rollout
from k8s.tools.deploy.cluster import STORE_KEYS
from k8s.tools.deploy.deployments import DEPLOYMENTS, INTAKE, Snapshot, revision
from k8s.tools.deploy.environment import CHECKOUT, EnvironmentProblem
from k8s.tools.deploy.history import History, name_of
from k8s.tools.deploy.kubectl import Kubectl, Object, Refused
from k8s.tools.deploy.release import known_configs


def rollback(kubectl: Kubectl, environ: Mapping[str, str]) -> int:
    """Undo the last change, or go further back with WHAT, or to a revision with TO. The Secret does not change.

    Returns 1 where something that was asked for has nothing to go back to.

    Raises: EnvironmentProblem, KubectlError; Refused where a state of before can't run any more.
    """
    asked, number = _asked(environ)
    moment = rollout.settled(kubectl)
    noted = history.read(kubectl)
    known = noted.observe(moment)
    names = asked or _changed(moment, known)
    if not names:
        if known.before:
            _say("the last change was undone already. WHAT=frontend or WHAT=triton goes back further.")
            rollout.wait(kubectl)  # it may have been undone, and not be rolled out
            return 0
        _say("no change of an earlier `apply` is on record; going back with the front end.")
        names = ["frontend"]
    targets: dict[str, Object] = {}
    for name in names:
        target = _target(moment, known, name, number=number, undo=not asked)
        if target is None:
            _say(_nothing(moment, name, number))
        else:
            targets[name] = target
    for name, target in targets.items():
        _refuse_what_can_not_run(kubectl, known, name, target)
    # Noted first: a rollback that ends half way must not make the state that it leaves the newest good one.
    known = known.went_back(moment, {name: name_of(target) for name, target in targets.items()})
    history.write(kubectl, known, instead_of=noted)
    for name, target in targets.items():
        _say(f"{name} goes back to revision {revision(target)}: {deployments.image(target)}.")
        kubectl.run("rollout", "undo", f"deployment/{name}", f"--to-revision={revision(target)}")
    rollout.settled(kubectl)
    rollout.wait(kubectl, [name for name in DEPLOYMENTS if name in targets])
    moment = deployments.read(kubectl)
    if "frontend" in targets and INTAKE in moment.deployments:
        _say(f"{INTAKE} stays as it is: `kubectl -n tosia rollout undo deployment/{INTAKE}` takes it back, too.")
    for line in drift.of_candidate(moment):
        _say(line)
    return int(len(targets) < len(names))


def _asked(environ: Mapping[str, str]) -> tuple[list[str], int | None]:
    asked = environ.get("WHAT", "").split()
    if set(asked) - set(DEPLOYMENTS):
        raise EnvironmentProblem(f"WHAT is {' '.join(asked)!r}: {' or '.join(DEPLOYMENTS)}, or both.")
    number = environ.get("TO", "")
    if number and (not number.isdecimal() or len(asked) != 1):
        raise EnvironmentProblem("TO is a revision's number, with WHAT=frontend or WHAT=triton: TO=7 WHAT=frontend.")
    return list(dict.fromkeys(asked)), int(number) if number else None


def _changed(moment: Snapshot, known: History) -> list[str]:
    """Return the Deployments that are not in the state of before the last change."""
    return [
        name
        for name in DEPLOYMENTS
        if known.before.get(name) and name in moment.deployments
        # Whoever went further back than that has undone it, too.
        if name_of(moment.current(name)) not in (known.before[name], known.back_at.get(name))
    ]


def _target(moment: Snapshot, known: History, name: str, *, number: int | None, undo: bool) -> Object | None:
    there = moment.replica_sets(name)
    if number is not None:
        return next((item for item in there if revision(item) == number), None)
    if undo:
        good = known.good.get(name, ())
        before = [item for item in there if name_of(item) == known.before[name]] if name in known.before else []
        if before and name_of(before[0]) in good and revision(before[0]):
            return before[0]
    return known.older(moment, name)


def _nothing(moment: Snapshot, name: str, number: int | None) -> str:
    """Say that there is nothing to go back to, and what there is at all."""
    current = name_of(moment.current(name))
    others = [item for item in moment.replica_sets(name) if name_of(item) != current and revision(item)]
    there = ", ".join(f"{revision(item)} ({deployments.image(item)})" for item in others)
    if number is not None:
        return f"{name} stays: it has no revision {number}; there are {there or 'no others'}."
    either = f"; revisions that were never seen good, or were left: {there} (TO= takes one)" if there else ""
    return f"{name} stays: nothing older that was ever fully rolled out is known{either}."


def _refuse_what_can_not_run(kubectl: Kubectl, known: History, name: str, target: Object) -> None:
    """Raises: Refused where the revision needs what the cluster lacks."""
    where = f"{name}'s revision {revision(target)} can't run"
    needed = set(deployments.secret_keys(target))
    for config_map in deployments.config_maps(target):
        found = kubectl.read("configmap", config_map)
        if not found:
            raise Refused(f"{where}: the ConfigMap {config_map} is gone. Nothing was changed.")
        data = found.get("data") or {}
        if data.get("TOSIA_STORES") == "azure" and data.get("TOSIA_IDENTITY", "key") == "key":
            needed |= set(STORE_KEYS)
        _refuse_release(known, where, target, data.get("repository", ""))
    lacking = sorted(needed - kubectl.keys("secret", "tosia")) if needed else []
    if lacking:
        raise Refused(
            f"{where}: the Secret lacks {', '.join(lacking)}. `make -C k8s secrets` with the old keys, and "
            "without TOSIA_IDENTITY, brings them back. Nothing was changed."
        )


def _refuse_release(known: History, where: str, target: Object, path: str) -> None:
    wanted = deployments.config_name(target)
    names = known.configs.get(path, known_configs(path, CHECKOUT))
    if path and wanted is not None and names is not None and wanted not in names:
        raise Refused(
            f"{where}: its release {path} has no configs/{wanted}.pbtxt, and Triton would serve config.pbtxt without "
            "a word. Nothing was changed."
        )


def _say(text: str) -> None:
    print(f"deploy: {text}", file=sys.stderr)
