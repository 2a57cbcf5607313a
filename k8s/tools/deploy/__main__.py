"""`python3 -m k8s.tools.deploy VERB`, which `make -C k8s VERB` runs.

Exits 0; 1 where the cluster said no; 2 for a wrong environment.
"""

from __future__ import annotations

import base64
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from k8s.tools.deploy import cluster, doctor
from k8s.tools.deploy.environment import (
    CHECKOUT,
    MANIFESTS,
    EnvironmentProblem,
    Target,
    Values,
    read_target,
    read_values,
)
from k8s.tools.deploy.kubectl import Kubectl, KubectlError
from k8s.tools.deploy.kustomization import render, render_job
from k8s.tools.deploy.release import is_validated

JOB_S, LOOK_S = 3600.0, 5.0
# As `progressDeadlineSeconds`: a GPU node must start first, and the image is large.
ROLLOUT_S = {"triton": 1800, "frontend": 2400}


def main(arguments: list[str], environ: Mapping[str, str] = os.environ) -> int:
    verb = arguments[0] if len(arguments) == 1 else ""
    try:
        if verb in ON_CLUSTER:
            return ON_CLUSTER[verb](read_target(environ), environ)
        if verb in OF_DEPLOYMENT:
            return OF_DEPLOYMENT[verb](read_values(environ, with_secrets=verb in ("all", "secrets")), environ)
        print(f"usage: python3 -m k8s.tools.deploy {'|'.join((*OF_DEPLOYMENT, *ON_CLUSTER))}", file=sys.stderr)
        return 2
    except EnvironmentProblem as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 2
    except KubectlError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1


def everything(values: Values, environ: Mapping[str, str]) -> int:
    """Run all steps; each step is safe to repeat, so this is also safe to repeat."""
    namespace(values.target, environ)
    secrets(values, environ)
    nodepool(values.target, environ)
    apply(values, environ)
    return wait(values.target, environ)


def namespace(target: Target, _: Mapping[str, str]) -> int:
    Kubectl(target.context).apply((MANIFESTS / "base" / "namespace.yaml").read_text(encoding="utf-8"))
    return 0


def secrets(values: Values, _: Mapping[str, str]) -> int:
    """Send secrets from the environment to the API server: not in a file, a command line or an annotation."""
    metadata = {"name": "tosia", "namespace": "tosia", "labels": {"app.kubernetes.io/part-of": "tosia"}}
    # `data`, not `stringData`: a key that is missing the next time is then also removed from the cluster.
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.secrets.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}
    Kubectl(values.target.context).apply_object(secret)
    return 0


def nodepool(target: Target, _: Mapping[str, str]) -> int:
    if not target.on_azure:
        return 0
    kubectl = Kubectl(target.context, "gpu-resources")
    folder = MANIFESTS / "gpu-nodepool"
    kubectl.apply(kubectl.kustomize(str(folder if target.nodepool else folder / "device-plugin")))
    return 0


def apply(values: Values, environ: Mapping[str, str]) -> int:
    kubectl = Kubectl(values.target.context)
    values = _completed(kubectl, values)
    _warn(values, environ)
    manifests = render(kubectl, values, secrets_version=cluster.secrets_version(kubectl))
    before = cluster.revisions(kubectl)
    try:
        kubectl.apply(manifests)
    except KubectlError as error:
        raise KubectlError(f"{error} `make -C k8s doctor` says what the cluster lacks.") from error
    finally:
        cluster.remember(kubectl, before)
    return 0


def wait(target: Target, _: Mapping[str, str]) -> int:
    kubectl = Kubectl(target.context)
    for name in cluster.DEPLOYMENTS:
        try:
            kubectl.run("rollout", "status", f"deployment/{name}", f"--timeout={ROLLOUT_S[name]}s")
        except KubectlError as error:
            raise KubectlError(
                f"{name} was not rolled out; the pods of before still serve. `make -C k8s status` shows why, "
                "`make -C k8s rollback` undoes it (docs/deploy.md)."
            ) from error
    return 0


def diff(values: Values, _: Mapping[str, str]) -> int:
    """Show differences. Return 0 without a difference, 1 with one, as kubectl does; secrets are not compared."""
    kubectl = Kubectl(values.target.context)
    manifests = render(kubectl, _completed(kubectl, values), secrets_version=cluster.secrets_version(kubectl))
    arguments = ("diff", "--server-side", "--field-manager=tosia", "--force-conflicts", "-f", "-")
    return kubectl.send(*arguments, stdin=manifests, allowed=(0, 1))


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


def status(target: Target, _: Mapping[str, str]) -> int:
    kubectl = Kubectl(target.context)
    kubectl.run("get", "deployment,pod,horizontalpodautoscaler,poddisruptionbudget", "-o=wide")
    for kind in ("scaledobject", "ingress"):
        print(kubectl.ask("get", kind))
    for name in cluster.DEPLOYMENTS:
        image = kubectl.ask("get", "deployment", name, "-o=jsonpath={.spec.template.spec.containers[0].image}")
        print(f"{name}: {image or 'not deployed'}")
    maps = kubectl.ask("get", "deployment", "triton", "-o=jsonpath={..configMapKeyRef.name}").split()
    if maps:
        print(f"release: {kubectl.ask('get', 'configmap', maps[0], '-o=jsonpath={.data.repository}')}")
    return 0


def rollback(target: Target, environ: Mapping[str, str]) -> int:
    """Undo the changes of the last `apply`; or set WHAT to the revision before its last.

    The Secret does not change: rotated keys stay rotated.
    """
    kubectl = Kubectl(target.context)
    asked = environ.get("WHAT", "").split()
    if set(asked) - set(cluster.DEPLOYMENTS):
        raise EnvironmentProblem(f"WHAT is {' '.join(asked)!r}: {' or '.join(cluster.DEPLOYMENTS)}, or both.")
    if not asked and cluster.is_undone(kubectl):
        print(
            "deploy: the last change was undone already. WHAT=frontend or WHAT=triton goes back further.",
            file=sys.stderr,
        )
        return 0
    known = {} if asked else cluster.remembered(kubectl)
    if not known and not asked:
        print(
            "deploy: no change of the last `apply` is on record; going back one revision of the front end.",
            file=sys.stderr,
        )
        asked = ["frontend"]
    for name in asked or known:
        to = [f"--to-revision={known[name]}"] if name in known else []
        kubectl.run("rollout", "undo", f"deployment/{name}", *to)
    if known:
        cluster.remember_undone(kubectl)
    for name in asked or known:
        kubectl.run("rollout", "status", f"deployment/{name}", f"--timeout={ROLLOUT_S[name]}s")
    return 0


def examine(target: Target, _: Mapping[str, str]) -> int:
    return doctor.examine(target)


def perf(target: Target, _: Mapping[str, str]) -> int:
    return _run_job(Kubectl(target.context), "perf-analyzer", "", None)


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
    return _run_job(Kubectl(values.target.context), "tensorrt-plan", values.build_number, config)


def _run_job(kubectl: Kubectl, name: str, build_number: str, config: dict[str, str] | None) -> int:
    """Create the Job anew each time, since a Job can't be changed; return 1 where it failed."""
    kubectl.run("delete", "job", name, "--ignore-not-found")
    kubectl.apply(render_job(kubectl, name, build_number, config))
    print(f"deploy: waiting for job/{name}, an hour at most.", file=sys.stderr)
    ended = time.monotonic() + JOB_S
    while time.monotonic() < ended:
        conditions = kubectl.ask("get", "job", name, "-o=jsonpath={.status.conditions[*].type}").split()
        if "Complete" in conditions or "Failed" in conditions:
            kubectl.run("logs", f"job/{name}")
            return int("Complete" not in conditions)
        time.sleep(LOOK_S)
    raise KubectlError(f"job/{name} has not ended within an hour: `kubectl describe job {name}` says why.")


def _completed(kubectl: Kubectl, values: Values) -> Values:
    """Complete the values with the cluster's own where the environment has none."""
    if values.front_end is None:
        values = replace(values, front_end=cluster.front_end_settings(kubectl))
    if not values.target.on_azure:
        return values
    return replace(
        values,
        host=values.host or cluster.host(kubectl),
        frontend_client_id=values.frontend_client_id or cluster.client_id(kubectl, "frontend"),
        triton_client_id=values.triton_client_id or cluster.client_id(kubectl, "triton"),
    )


def _warn(values: Values, environ: Mapping[str, str]) -> None:
    if not values.target.on_azure:
        return
    if values.triton_client_id is None:
        _say("Triton has no identity and can't read the container: give TRITON_CLIENT_ID once.")
    if values.settings["TOSIA_IDENTITY"] == "workload" and values.frontend_client_id is None:
        _say("the front end has no identity and can't reach its stores: give FRONTEND_CLIENT_ID once.")
    if values.host is None:
        _say("the ingress answers to a placeholder: give INGRESS_HOST once.")
    ours = not environ.get("RELEASE") and values.settings["ALLOW_UNVALIDATED"] != "1"
    if ours and not is_validated(CHECKOUT / "model_repository"):
        _say(
            "the release is not validated, so no front end will get ready: ALLOW_UNVALIDATED=1 serves it all the same."
        )


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
    "status": status,
    "rollback": rollback,
    "doctor": examine,
    "perf": perf,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
