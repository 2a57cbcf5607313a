"""Why a pod is not ready, in one line, from what the scheduler and the kubelet say."""

from __future__ import annotations

import re

from k8s.tools.deploy.deployments import condition
from k8s.tools.deploy.kubectl import Object

LONGEST = 300  # characters of somebody else's message


def is_ready(pod: Object) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def is_blocked(pod: Object) -> bool:
    """Whether something must change before the pod can get ready, unlike one that is starting."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return True
    states = [state for _, state in _states(pod)]
    waiting = [state["waiting"].get("reason", "") for state in states if "waiting" in state]
    return any(reason not in ("", "ContainerCreating", "PodInitializing") for reason in waiting)


def why(pod: Object) -> str:
    """Return the reason. Nothing of a container's log is in it, except an init container's last words."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return _said(scheduled.get("reason", "Pending"), scheduled.get("message", ""))
    for status, state in _states(pod):
        if "waiting" in state and state["waiting"].get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            waiting = state["waiting"]
            ended = status.get("lastState", {}).get("terminated")
            last = f" ({_ended(ended, in_init=_is_init(pod, status))})" if ended else ""
            return f"{status.get('name')}: {_said(waiting['reason'], waiting.get('message', ''))}{last}"
        if "terminated" in state and state["terminated"].get("exitCode"):
            return f"{status.get('name')}: {_ended(state['terminated'], in_init=_is_init(pod, status))}"
    phase = pod.get("status", {}).get("phase", "Pending")
    running = [status for status, state in _states(pod) if "running" in state and not status.get("ready", False)]
    if phase == "Running" and running:
        return f"{running[-1].get('name')}: runs, and is not ready"
    return "is starting" if condition(pod, "PodScheduled") else "waits for the scheduler"


def _states(pod: Object) -> list[tuple[Object, Object]]:
    status = pod.get("status", {})
    both = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return [(entry, entry.get("state") or {}) for entry in both]


def _is_init(pod: Object, status: Object) -> bool:
    return status in (pod.get("status", {}).get("initContainerStatuses") or [])


def _ended(terminated: Object, *, in_init: bool) -> str:
    """Describe an ended container. A serving container's message may hold what a caller sent, so it is not shown."""
    message = terminated.get("message", "") if in_init else ""
    last = message.strip().splitlines()[-1] if message.strip() else ""
    return _said(f"{terminated.get('reason', 'ended')}, code {terminated.get('exitCode')}", last)


def _said(reason: str, message: str) -> str:
    line = re.sub(r"\s+", " ", message).strip()[:LONGEST]
    return f"{reason}: {line}" if line else reason
