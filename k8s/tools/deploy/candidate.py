"""A candidate release in a Triton of its own beside the serving one (docs/rollout.md): started, shown, stopped.

What tells the front end of it is one variable of its Deployment, set by a manager of its own. `apply` does not name
that field, and server-side apply leaves what it does not name: the cluster remembers it through every later `all`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from k8s.tools.deploy import deployments, drift, history, preflight, rollout, status
from k8s.tools.deploy.deployments import CANDIDATE, CANDIDATE_URL, Snapshot
from k8s.tools.deploy.environment import CHECKOUT, Candidate, EnvironmentProblem, Target
from k8s.tools.deploy.kubectl import Kubectl, Refused
from k8s.tools.deploy.kustomization import render_candidate
from k8s.tools.deploy.release import known_configs

MANAGER = "tosia-candidate"
URL = f"dns:///{CANDIDATE}:8001"
PRIORITY = "tosia-candidate"  # a PriorityClass, which is in no namespace
SURE = "candidate"
_ALL_OF_IT = "--selector=app.kubernetes.io/component=candidate"
_KINDS = "deployment,service,poddisruptionbudget,networkpolicy,configmap"
_BY_NAME = "ciliumnetworkpolicy"
_TIMEOUT = "--timeout=5m"


def start(candidate: Candidate) -> int:
    """Start a candidate, or give the one that runs another release; then tell the front end of it. Safe to repeat.

    The front end is not touched before the candidate serves: a release that does not load rolls nothing.

    Raises: KubectlError where one of them does not get ready; Refused, before anything is changed, for a release that
    serves already or lacks the configuration that GPUs need, and where there is nothing to stand beside.
    """
    kubectl, release = Kubectl(candidate.target.context), candidate.release
    moment, noted = deployments.read(kubectl), history.read(kubectl)
    _check_beside(kubectl, moment, candidate)
    on_azure = candidate.target.on_azure
    # As the cluster has it for Triton, whatever COMPONENTS says today.
    by_name = on_azure and bool(kubectl.ask("get", _BY_NAME, "egress-by-name", "-o=name"))
    manifests = render_candidate(kubectl, release, on_azure=on_azure, by_name=by_name)
    known = noted
    if on_azure:
        preflight.check_release(release, manifests, noted)
        known = noted.with_release(release, known_configs(release, CHECKOUT))
    kubectl.apply(manifests)
    history.write(kubectl, known, instead_of=noted)
    rollout.wait(kubectl, [CANDIDATE])
    if deployments.candidate_url(moment.deployments["frontend"]) != URL:
        _set_variable(kubectl, f"{CANDIDATE_URL}={URL}")
    rollout.wait(kubectl, ["frontend"])
    _say(f"the front end knows of {release} at {URL}. No call goes there before `rollout` says so (docs/rollout.md).")
    return 0


def show(target: Target, _: Mapping[str, str]) -> int:
    """Print its release, image and pods, why a pod is not ready, and whether the front end knows of it."""
    kubectl = Kubectl(target.context)
    moment = deployments.read(kubectl)
    for line in status.of_candidate(moment, status.releases(kubectl, moment)) or ["no candidate is deployed."]:
        print(line)
    for line in drift.of_candidate(moment):
        print(line)
    return 0


def stop(target: Target, environ: Mapping[str, str]) -> int:
    """Take the front end's variable away, then all that `start` has made, and nothing else. Safe to repeat.

    In this order: the front ends of before ask the candidate until they have been replaced.

    Raises: EnvironmentProblem without SURE=candidate; KubectlError where the front end is not rolled out.
    """
    if environ.get("SURE", "") != SURE:
        raise EnvironmentProblem(
            f"this takes the candidate away, with its calls' share of traffic, and rolls the front end: SURE={SURE} "
            "says so. To stop a rollout at once, without rolling anything: `python -m frontend rollout --stop` in a "
            "front end's pod."
        )
    kubectl = Kubectl(target.context)
    front_end = deployments.read(kubectl).deployments.get("frontend")
    if front_end is not None and deployments.candidate_url(front_end):
        _set_variable(kubectl, f"{CANDIDATE_URL}-")
        rollout.wait(kubectl, ["frontend"])
    kubectl.run("delete", _KINDS, _ALL_OF_IT, "--ignore-not-found", _TIMEOUT)
    if kubectl.ask("get", _BY_NAME, _ALL_OF_IT, "-o=name"):
        kubectl.run("delete", _BY_NAME, _ALL_OF_IT, "--ignore-not-found", _TIMEOUT)
    kubectl.run("delete", "priorityclass", PRIORITY, "--ignore-not-found", _TIMEOUT)
    _say("no candidate is left; front end and Triton serve as before.")
    return 0


def _set_variable(kubectl: Kubectl, word: str) -> None:
    kubectl.run("set", "env", "deployment/frontend", word, f"--field-manager={MANAGER}")


def _check_beside(kubectl: Kubectl, moment: Snapshot, candidate: Candidate) -> None:
    """Raises: Refused where no system is deployed, or another form of it, or the release serves already."""
    missing = [name for name in deployments.DEPLOYMENTS if name not in moment.deployments]
    if missing:
        raise Refused(
            f"{' and '.join(missing)} not deployed, and a candidate stands beside them: `make -C k8s all` first. "
            "Nothing was changed."
        )
    serving = moment.deployments["triton"]
    if bool(deployments.release_image(serving)) == candidate.target.on_azure:
        other = "cpu" if candidate.target.on_azure else "azure"
        raise Refused(f"this cluster was deployed with OVERLAY={other}: say so. Nothing was changed.")
    if status.release_of(kubectl, serving) == candidate.release:
        raise Refused(f"{candidate.release} serves already: a candidate is another release. Nothing was changed.")


def _say(text: str) -> None:
    print(f"deploy: {text}", file=sys.stderr)
