"""What Kubernetes does in a rollout must be what `make -C k8s wait` and `rollback` expect of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from k8s.tools.deploy.history import MOST
from k8s.tools.deploy.rollout import ROLLOUT_S
from k8s.tools.validate.objects import Bundle, Object

_KEPT_BY_DEFAULT, _DEADLINE_BY_DEFAULT_S = 10, 600  # of Kubernetes


def rollouts(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check how many states a Deployment keeps, how long a rollout may take, and that it begins at all."""
    for bundle in bundles:
        for deployment in bundle.of("Deployment"):
            for problem in _of_deployment(deployment):
                yield bundle.says(deployment, problem)


def _of_deployment(deployment: Object) -> Iterator[str]:
    spec, name = deployment["spec"], deployment["metadata"]["name"]
    kept = spec.get("revisionHistoryLimit", _KEPT_BY_DEFAULT)
    if kept < MOST:
        yield f"keeps {kept} earlier states (revisionHistoryLimit): `make -C k8s rollback` needs {MOST}"
    if spec.get("paused"):
        yield "is paused: a change would never be rolled out"
    seconds, expected = spec.get("progressDeadlineSeconds", _DEADLINE_BY_DEFAULT_S), ROLLOUT_S.get(name)
    if expected is not None and seconds != expected:
        yield f"progressDeadlineSeconds is {seconds}, but `make -C k8s wait` waits for {expected} s"
