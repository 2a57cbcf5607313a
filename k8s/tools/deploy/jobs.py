"""Jobs that a person starts: perf_analyzer, and the build of a TensorRT plan."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from k8s.tools.deploy import rollout
from k8s.tools.deploy.kubectl import Kubectl, KubectlError, Object
from k8s.tools.deploy.kustomization import OF_JOB, render_job
from k8s.tools.deploy.unready import is_blocked, why

JOB_S = 3600.0


def run(kubectl: Kubectl, name: str, build_number: str, config: Mapping[str, str] | None) -> int:
    """Run a Job anew, since a Job can't be changed; show its log; return 1 where it failed.

    What it needed (ConfigMap, NetworkPolicy) goes at its end; the Job stays for a day, with its log.

    Raises: KubectlError where it does not end within an hour; it is then deleted.
    """
    kubectl.run("delete", "job", name, "--ignore-not-found")
    kubectl.apply(render_job(kubectl, name, build_number, dict(config) if config else None))
    print(f"deploy: waiting for job/{name}, an hour at most.", file=sys.stderr)
    ended = False
    try:
        conditions = _wait(kubectl, name)
        ended = True
        try:
            kubectl.run("logs", f"job/{name}")
        except KubectlError:  # its node may be gone by now; how it ended is known all the same
            print(f"deploy: the log of job/{name} can't be read.", file=sys.stderr)
        return int("Complete" not in conditions)
    finally:
        if not ended:  # Ctrl-C too: it would start later, without what it needs
            kubectl.run("delete", "job", name, "--ignore-not-found", "--wait=false")
        kubectl.run("delete", "configmap,networkpolicy", f"--selector={OF_JOB}={name}", "--ignore-not-found")


def _wait(kubectl: Kubectl, name: str) -> list[str]:
    ended, watch, last = time.monotonic() + JOB_S, rollout.Watch(), ""
    while time.monotonic() < ended:
        conditions = kubectl.ask("get", "job", name, "-o=jsonpath={.status.conditions[*].type}").split()
        if "Complete" in conditions or "Failed" in conditions:
            return conditions
        pods: list[Object] = kubectl.read("pods", f"--selector=job-name={name}").get("items") or []
        blocked = [f"pod {pod['metadata']['name']}: {why(pod)}" for pod in pods if is_blocked(pod)]
        last = "; ".join(blocked)
        for reason in watch.newly_stuck(blocked):
            print(f"deploy: {reason} (still waiting)", file=sys.stderr)
        time.sleep(rollout.LOOK_S)
    raise KubectlError(f"job/{name} has not ended within an hour ({last or 'it ran all the time'}); it was deleted.")
