"""Waiting until Deployments are rolled out, and saying early what keeps them from it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from k8s.tools.deploy import deployments, history
from k8s.tools.deploy.deployments import CANDIDATE, INTAKE, Snapshot
from k8s.tools.deploy.kubectl import Kubectl, KubectlError, Object
from k8s.tools.deploy.unready import is_blocked, is_ready, why

LOOK_S = 5.0
STUCK_S = 60.0  # a pod that is blocked for so long is named; the wait goes on
ZERO_S = 180.0  # a Deployment without pods that should have some is given up: no autoscaler raises 0
# As `progressDeadlineSeconds`: a GPU node must start first, and the image is large.
ROLLOUT_S = {"triton": 1800, "frontend": 2400, CANDIDATE: 1800, INTAKE: 600}
_UNDO = "`make -C k8s rollback` undoes it"
_UNDO_OF = {
    CANDIDATE: "`make -C k8s candidate-stop SURE=candidate` takes it away",
    INTAKE: "`kubectl -n tosia rollout undo deployment/intake` undoes it",
}
MISSES = 12  # answers in a row that the API server may owe us


def settled(kubectl: Kubectl) -> Snapshot:
    """Read the cluster once the controller has seen each newest template, or soon after. Raises: KubectlError."""
    ended = time.monotonic() + STUCK_S
    while True:
        moment = deployments.read(kubectl)
        behind = [
            name
            for name in deployments.DEPLOYMENTS
            if name in moment.deployments and not deployments.is_settled(moment.deployments[name])
        ]
        if not behind or time.monotonic() >= ended:
            return moment
        time.sleep(LOOK_S / 5)


def wait(kubectl: Kubectl, names: Sequence[str] = deployments.DEPLOYMENTS) -> None:
    """Wait for each Deployment in turn, and note those that are rolled out.

    Raises: KubectlError, with the pod that is not ready and the reason.
    """
    may_sleep = kubectl.ask("get", "scaledobject", "triton", "-o=jsonpath={.spec.minReplicaCount}") == "0"
    for name in names:
        _wait(kubectl, name, may_sleep=may_sleep and name == "triton")


@dataclass(slots=True)
class Watch:
    """What was seen of a rollout so far. Times: seconds of time.monotonic."""

    blocked_since: dict[str, float] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    zero_since: float | None = None
    misses: int = 0

    def newly_stuck(self, reasons: Sequence[str]) -> list[str]:
        """Return what has blocked a pod for STUCK_S; once for each pod and container, however the words change."""
        now = time.monotonic()
        by_place = {":".join(reason.split(":")[:2]): reason for reason in reasons}
        self.blocked_since = {place: self.blocked_since.get(place, now) for place in by_place}
        stuck = [
            place for place, since in self.blocked_since.items() if now - since >= STUCK_S and place not in self.said
        ]
        self.said.update(stuck)
        return [by_place[place] for place in stuck]

    def is_empty_for_long(self, *, empty: bool) -> bool:
        now = time.monotonic()
        self.zero_since = (now if self.zero_since is None else self.zero_since) if empty else None
        return self.zero_since is not None and now - self.zero_since >= ZERO_S


def _wait(kubectl: Kubectl, name: str, *, may_sleep: bool) -> None:
    watch, ended = Watch(), time.monotonic() + ROLLOUT_S[name]
    _say(f"waiting for {name}, {ROLLOUT_S[name] // 60} minutes at most.")
    while True:
        try:
            moment = deployments.read(kubectl)
            watch.misses = 0
        except KubectlError:
            watch.misses += 1
            if watch.misses >= MISSES:
                raise
            time.sleep(LOOK_S)
            continue
        deployment = moment.deployments.get(name)
        if deployment is None:
            raise KubectlError(f"{name} is not deployed: `make -C k8s apply` does that.")
        if _is_done(name, deployment, may_sleep=may_sleep):
            known = history.read(kubectl)
            history.write(kubectl, known.observe(moment), instead_of=known)
            return
        reasons = unready(moment, name)
        progressing = deployments.condition(deployment, "Progressing")
        over = deployments.is_settled(deployment) and progressing.get("reason") == "ProgressDeadlineExceeded"
        empty = deployments.wanted(deployment) == 0
        if watch.is_empty_for_long(empty=empty):
            raise KubectlError(
                f"{name} has 0 pods, and nothing will start one: `kubectl -n tosia scale deployment/{name} "
                "--replicas=1`, then again."
            )
        if over or time.monotonic() >= ended:
            serving = (
                "the pods of before still serve" if deployments.available(deployment) else "none of its pods serves"
            )
            named = "; ".join([*reasons, *refusals(kubectl, moment, name)]) or "no pod was made"
            raise KubectlError(
                f"{name} was not rolled out ({named}); {serving}. `make -C k8s status` shows "
                f"what runs, {_UNDO_OF.get(name, _UNDO)} (docs/deploy.md)."
            )
        stuck = [*unready(moment, name, only_blocked=True), *refusals(kubectl, moment, name)]
        for reason in watch.newly_stuck(stuck):
            _say(f"{reason} (still waiting)")
        time.sleep(LOOK_S)


def _is_done(name: str, deployment: Object, *, may_sleep: bool) -> bool:
    if deployments.is_rolled_out(deployment):
        _say(f"{name} is rolled out: {deployments.image(deployment)}, pods: {deployments.wanted(deployment)}.")
        return True
    if may_sleep and deployments.is_settled(deployment) and deployments.wanted(deployment) == 0:
        _say(f"{name} sleeps, with 0 pods (scale-to-zero): it is tried when it next wakes.")
        return True
    return False


def unready(moment: Snapshot, name: str, *, only_blocked: bool = False) -> list[str]:
    """Return a line for each pod of the newest template that is not ready, and for pods that can't be made."""
    deployment, replica_set = moment.deployments[name], moment.current(name)
    pods = [] if replica_set is None else moment.pods(replica_set)
    found = [
        f"pod {pod['metadata']['name']}: {why(pod)}"
        for pod in pods
        if not is_ready(pod) and (is_blocked(pod) or not only_blocked)
    ]
    failure = deployments.condition(deployment, "ReplicaFailure")  # a quota, or an admission that refuses the pod
    if failure.get("status") == "True":
        found.append(f"{name}: {failure.get('reason')}: {failure.get('message', '')[:300]}")
    return found


def refusals(kubectl: Kubectl, moment: Snapshot, name: str) -> list[str]:
    """Return what the startup probe of new pods of Triton says, where no waiting will change it: a release without the
    configuration that is served, or a plan of another GPU. What passes ends with "yet." (k8s/manifests/base/triton).
    """
    replica_set = moment.current(name) if name in ("triton", CANDIDATE) else None
    found = []
    for pod in [] if replica_set is None else moment.pods(replica_set):
        pod_name = pod["metadata"]["name"]
        if is_ready(pod):
            continue
        selector = f"--field-selector=involvedObject.name={pod_name},reason=Unhealthy"
        said = kubectl.ask("get", "events", selector, "-o=jsonpath={.items[-1:].message}")
        if said.startswith("Startup probe failed") and not said.rstrip().endswith("yet."):
            found.append(f"pod {pod_name}: {' '.join(said.split())[:300]}")
    return found


def _say(text: str) -> None:
    print(f"deploy: {text}", file=sys.stderr)
