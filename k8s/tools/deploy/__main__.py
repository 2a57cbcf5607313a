"""`python3 -m k8s.tools.deploy VERB`, which `make -C k8s VERB` runs.

Exits 0; 1 where the cluster said no; 2 for a wrong environment. `diff` exits 0 without a difference, 1 with one and 2
where it failed, as kubectl does. make turns each code but 0 into 2.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

from k8s.tools.deploy import (
    candidate,
    cluster,
    deployments,
    doctor,
    drift,
    history,
    jobs,
    preflight,
    rollback,
    rollout,
    status,
    teardown,
)
from k8s.tools.deploy.environment import (
    CHECKOUT,
    MANIFESTS,
    EnvironmentProblem,
    Target,
    Values,
    read_candidate,
    read_target,
    read_values,
)
from k8s.tools.deploy.kubectl import Kubectl, KubectlError
from k8s.tools.deploy.kustomization import render
from k8s.tools.deploy.release import is_validated, known_configs


def main(arguments: list[str], environ: Mapping[str, str] = os.environ) -> int:
    verb = arguments[0] if len(arguments) == 1 else ""
    try:
        if verb in ON_CLUSTER:
            return ON_CLUSTER[verb](read_target(environ), environ)
        if verb == "candidate":
            return candidate.start(read_candidate(environ))
        if verb in OF_DEPLOYMENT:
            return OF_DEPLOYMENT[verb](read_values(environ, with_secrets=verb in ("all", "secrets")), environ)
        print(
            f"usage: python3 -m k8s.tools.deploy {'|'.join((*OF_DEPLOYMENT, 'candidate', *ON_CLUSTER))}",
            file=sys.stderr,
        )
        return 2
    except EnvironmentProblem as error:
        _say(str(error))
        return 2
    except KubectlError as error:
        _say(str(error))
        return 2 if verb == "diff" else 1


def everything(values: Values, environ: Mapping[str, str]) -> int:
    """Run all steps; each step is safe to repeat, so this is also safe to repeat."""
    kubectl = Kubectl(values.target.context)
    completed = _completed(kubectl, values)
    manifests = render(kubectl, completed, secrets_version=None)
    preflight.check(kubectl, completed, manifests, history.read(kubectl))
    preflight.check_nodepool(kubectl, values.target)
    if _prunes(environ):
        preflight.check_pruning(kubectl, deployments.read(kubectl))
    namespace(values.target, environ)
    secrets(values, environ)
    nodepool(values.target, environ)
    apply(values, environ)
    return wait(values.target, environ)


def namespace(target: Target, _: Mapping[str, str]) -> int:
    Kubectl(target.context).apply((MANIFESTS / "base" / "namespace.yaml").read_text(encoding="utf-8"))
    return 0


def secrets(values: Values, environ: Mapping[str, str]) -> int:
    """Send secrets from the environment to the API server: not in a file, a command line or an annotation.

    Azure's keys that are not given any more stay in the Secret, unless PRUNE_KEYS=1: an older revision may need them.
    """
    kubectl = Kubectl(values.target.context)
    unused = [name for name in cluster.STORE_KEYS if environ.get(name) and name not in values.secrets]
    if unused:
        _say(f"{', '.join(unused)} of this shell are not sent, since TOSIA_IDENTITY is workload.")
    kept: dict[str, str] = {}
    if _prunes(environ):
        preflight.check_pruning(kubectl, deployments.read(kubectl))
    elif kept := cluster.kept_keys(kubectl, values.secrets):
        _say(
            f"the Secret still holds {', '.join(kept)}, which `rollback` may need. Once the identity has proved "
            "itself: PRUNE_KEYS=1 make -C k8s secrets apply."
        )
    kept |= cluster.kept_receivers(kubectl, values.secrets)
    metadata = {"name": "tosia", "namespace": "tosia", "labels": {"app.kubernetes.io/part-of": "tosia"}}
    # `data`, not `stringData`: a key that is missing the next time is then also removed from the cluster.
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.secrets.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": {**kept, **data}}
    kubectl.apply_object(secret)
    return 0


def nodepool(target: Target, _: Mapping[str, str]) -> int:
    if not target.on_azure:
        return 0
    kubectl = Kubectl(target.context, "gpu-resources")
    preflight.check_nodepool(kubectl, target)
    folder = MANIFESTS / "gpu-nodepool"
    kubectl.apply(kubectl.kustomize(str(folder if target.nodepool else folder / "device-plugin")))
    return 0


def apply(values: Values, environ: Mapping[str, str]) -> int:
    kubectl = Kubectl(values.target.context)
    values = _completed(kubectl, values)
    manifests = render(kubectl, values, secrets_version=cluster.secrets_version(kubectl))
    noted = history.read(kubectl)
    preflight.check(kubectl, values, manifests, noted)
    _warn(values, environ)
    was = deployments.read(kubectl)
    known = noted.observe(was)
    if values.triton is not None:
        path = values.triton["repository"]
        known = known.with_release(path, known_configs(path, CHECKOUT))
    try:
        kubectl.apply(manifests)
    except KubectlError as error:
        raise KubectlError(f"{error} `make -C k8s doctor` says what the cluster lacks.") from error
    finally:
        now = deployments.read(kubectl)
        known = known.changed(was, now)
        history.write(kubectl, known, instead_of=noted)
    for line in drift.lines(now, known):
        _say(f"{line} Server-side apply leaves them: docs/deploy.md says how they go.")
    _say_of_candidate(kubectl, now)
    if values.intake is None and deployments.INTAKE in now.deployments:
        _say(f"{deployments.INTAKE} runs and stays as it is, since COMPONENTS does not name it.")
    return 0


def wait(target: Target, _: Mapping[str, str]) -> int:
    kubectl = Kubectl(target.context)
    rollout.wait(kubectl)
    if target.has(deployments.INTAKE):
        rollout.wait(kubectl, [deployments.INTAKE])
    moment = deployments.read(kubectl)
    if deployments.CANDIDATE in moment.deployments:
        for line in rollout.unready(moment, deployments.CANDIDATE):
            _say(f"{deployments.CANDIDATE} is not waited for; {line}")
    return 0


def diff(values: Values, _: Mapping[str, str]) -> int:
    """Show differences. Return 0 without a difference, 1 with one, as kubectl does; secrets are not compared."""
    kubectl = Kubectl(values.target.context)
    manifests = render(kubectl, _completed(kubectl, values), secrets_version=cluster.secrets_version(kubectl))
    moment = deployments.read(kubectl)
    lines = drift.lines(moment, history.read(kubectl))
    arguments = ("diff", "--server-side", "--field-manager=tosia", "--force-conflicts", "-f", "-")
    differs = kubectl.send(*arguments, stdin=manifests, allowed=(0, 1))
    for line in lines:
        _say(line)
    _say_of_candidate(kubectl, moment)
    # The last line: make gives a script nothing else to tell this from a failure by.
    _say("differs." if differs else "no difference.")
    return differs


def show(values: Values, _: Mapping[str, str]) -> int:
    kubectl = Kubectl(values.target.context)
    print(render(kubectl, _completed(kubectl, values), secrets_version=cluster.secrets_version(kubectl)), end="")
    return 0


def settings(target: Target, _: Mapping[str, str]) -> int:
    """Print the front end's settings file that `apply` would mount, for editing and for use as FRONTEND_CONFIG."""
    own = (MANIFESTS / "overlays" / target.overlay / "settings.yml", MANIFESTS / "base" / "frontend" / "settings.yml")
    found = cluster.front_end_settings(Kubectl(target.context))
    print(found or next(file for file in own if file.exists()).read_text(encoding="utf-8"), end="")
    return 0


def show_status(target: Target, _: Mapping[str, str]) -> int:
    status.show(Kubectl(target.context))
    return 0


def go_back(target: Target, environ: Mapping[str, str]) -> int:
    return rollback.rollback(Kubectl(target.context), environ)


def examine(target: Target, _: Mapping[str, str]) -> int:
    return doctor.examine(target)


def perf(target: Target, _: Mapping[str, str]) -> int:
    return jobs.run(Kubectl(target.context), "perf-analyzer", "", None)


def tensorrt_plan(values: Values, environ: Mapping[str, str]) -> int:
    """Build the plan of the release to be deployed; the Job's last container prints the path to deploy."""
    if values.triton is None:
        raise EnvironmentProblem("A plan is built on a GPU node: not with OVERLAY=cpu.")
    account = values.triton["account"]
    config = {
        "source": "/".join(values.triton["repository"].split("/")[4:]),
        "container": values.settings["BLOB_CONTAINER"],
        "endpoint": values.settings["BLOB_ENDPOINT"] or f"https://{account}.blob.core.windows.net",
    }
    return jobs.run(Kubectl(values.target.context), "tensorrt-plan", values.build_number, config)


def _completed(kubectl: Kubectl, values: Values) -> Values:
    """Complete the values with the cluster's own where the environment has none."""
    if values.front_end is None:
        values = replace(values, front_end=cluster.front_end_settings(kubectl))
    if not values.target.on_azure:
        return values
    intake = values.intake
    if intake is not None:
        intake = replace(
            intake,
            client_id=intake.client_id or cluster.client_id(kubectl, deployments.INTAKE),
            scaler_client_id=intake.scaler_client_id or cluster.scaler_client_id(kubectl),
        )
    return replace(
        values,
        intake=intake,
        host=values.host or cluster.host(kubectl, by_ingress=values.target.by_ingress),
        frontend_client_id=values.frontend_client_id or cluster.client_id(kubectl, "frontend"),
        triton_client_id=values.triton_client_id or cluster.client_id(kubectl, "triton"),
    )


def _warn(values: Values, environ: Mapping[str, str]) -> None:
    if not values.target.on_azure:
        return
    ours = not environ.get("RELEASE") and values.settings["ALLOW_UNVALIDATED"] != "1"
    if ours and not is_validated(CHECKOUT / "model_repository"):
        _say(
            "the release is not validated, so no front end will get ready: ALLOW_UNVALIDATED=1 serves it all the same."
        )


def _say_of_candidate(kubectl: Kubectl, moment: deployments.Snapshot) -> None:
    """Say that a candidate runs, which no `apply` starts, changes or takes away; and where the front end disagrees."""
    found = moment.deployments.get(deployments.CANDIDATE)
    if found is not None:
        _say(f"{deployments.CANDIDATE} ({status.release_of(kubectl, found)}) stays as it is.")
    for line in drift.of_candidate(moment):
        _say(line)


def _prunes(environ: Mapping[str, str]) -> bool:
    asked = environ.get("PRUNE_KEYS", "") or "0"
    if asked not in ("0", "1"):
        raise EnvironmentProblem(f"PRUNE_KEYS is {asked!r}: set it to 1, or leave it out.")
    return asked == "1"


def _say(text: str) -> None:
    print(f"deploy: {text}", file=sys.stderr)


Environ = Mapping[str, str]
OF_DEPLOYMENT: dict[str, Callable[[Values, Environ], int]] = {
    "all": everything,
    "secrets": secrets,
    "apply": apply,
    "diff": diff,
    "render": show,
    "tensorrt-plan": tensorrt_plan,
}
ON_CLUSTER: dict[str, Callable[[Target, Environ], int]] = {
    "namespace": namespace,
    "nodepool": nodepool,
    "wait": wait,
    "settings": settings,
    "status": show_status,
    "rollback": go_back,
    "candidate-status": candidate.show,
    "candidate-stop": candidate.stop,
    "delete": teardown.delete,
    "doctor": examine,
    "perf": perf,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
