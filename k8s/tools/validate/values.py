"""Checks of values that the schema leaves open and the API server does not: enumerations, ranges, forms of names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from k8s.tools.validate.objects import Bundle, Object, is_custom
from k8s.tools.validate.safety import quantity

# For the key at any place in an object of Kubernetes' own kinds.
_ENUMS: dict[str, set[str]] = {
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "dnsPolicy": {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"},
    "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "medium": {"", "Memory"},
    "pathType": {"Exact", "Prefix", "ImplementationSpecific"},
    "scheme": {"HTTP", "HTTPS"},
    "effect": {"NoSchedule", "PreferNoSchedule", "NoExecute"},
    "clusterIP": {"None"},
    "concurrencyPolicy": {"Allow", "Forbid", "Replace"},
    "selectPolicy": {"Max", "Min", "Disabled"},
    "restartPolicy": {"Always", "OnFailure", "Never"},
    "terminationMessagePolicy": {"File", "FallbackToLogsOnError"},
}
_LISTS: dict[str, set[str]] = {
    "accessModes": {"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"},
    "policyTypes": {"Ingress", "Egress"},
}
_AT_LEAST: dict[str, int] = {
    "maxSkew": 1,
    "timeoutSeconds": 1,
    "periodSeconds": 1,
    "failureThreshold": 1,
    "successThreshold": 1,
    "initialDelaySeconds": 0,
    "terminationGracePeriodSeconds": 0,
    "progressDeadlineSeconds": 1,
    "revisionHistoryLimit": 0,
    "backoffLimit": 0,
    "activeDeadlineSeconds": 1,
    "ttlSecondsAfterFinished": 0,
    "stabilizationWindowSeconds": 0,
    "averageUtilization": 1,
    "replicas": 0,
    "maxReplicas": 1,
}
_PORTS = {"port", "containerPort", "targetPort", "nodePort", "hostPort"}
_OPERATORS = {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"}
_FIELDS = re.compile(
    r"metadata\.(name|namespace|uid|labels(\['.+'\])?|annotations(\['.+'\])?)"
    r"|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?)"
)
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def values(bundles: Sequence[Bundle]) -> Iterator[str]:
    for bundle in bundles:
        for item in bundle.objects:
            for problem in [*_labels(item), *([] if is_custom(item) else _walk(item, ()))]:
                yield bundle.says(item, problem)


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _walk(item, path)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if path[-1:] in (("labels",), ("annotations",), ("data",), ("matchLabels",)):
            continue
        yield from _leaf(key, item, path)
        yield from _walk(item, (*path, key))
    if "configMapKeyRef" not in value and path[-1:] == ("env",):
        if "value" in value and value.get("valueFrom"):
            yield f"the variable {value.get('name')} has a value and takes it from somewhere"
        if "valueFrom" in value and not value["valueFrom"] and "value" not in value:
            yield f"the variable {value.get('name')} is empty"
    if path[-1:] == ("tolerations",):
        yield from _toleration(value)
    if path[-1:] in (("livenessProbe",), ("startupProbe",)) and value.get("successThreshold", 1) != 1:
        yield f"the {path[-1]}'s successThreshold can only be 1"
    if path[-1:] == ("target",) and value.get("type") != "Utilization" and "averageUtilization" in value:
        yield f"the target's type is {value.get('type')}, but it says averageUtilization"


def _leaf(key: str, one: Any, path: tuple[str, ...]) -> Iterator[str]:
    if key in _ENUMS and isinstance(one, str) and one not in _ENUMS[key]:
        yield f"{key} is {one!r}: one of {', '.join(sorted(_ENUMS[key]))}"
    if key in _LISTS and isinstance(one, list):
        for item in one:
            if item not in _LISTS[key]:
                yield f"{key} names {item!r}: of {', '.join(sorted(_LISTS[key]))}"
    if key in _AT_LEAST and isinstance(one, int) and one < _AT_LEAST[key]:
        yield f"{key} is {one}, below {_AT_LEAST[key]}"
    if key == "stabilizationWindowSeconds" and isinstance(one, int) and one > 3600:
        yield f"{key} is {one}, above 3600"
    if key == "periodSeconds" and path[-1:] == ("policies",) and isinstance(one, int) and one > 1800:
        yield f"{key} is {one}, above 1800"
    if key in _PORTS and isinstance(one, int) and not 0 < one < 65536:
        yield f"{key} is {one}: from 1 to 65535"
    if (
        key in ("maxSurge", "maxUnavailable", "minAvailable")
        and isinstance(one, str)
        and not re.fullmatch(r"\d+%", one)
    ):
        yield f"{key} is {one!r}: a number, or a percentage"
    if key == "operator" and path[-1:] == ("matchExpressions",) and one not in _OPERATORS:
        yield f"the operator {one!r} is none"
    if key == "fieldPath" and not _FIELDS.fullmatch(str(one)):
        yield f"fieldPath {one!r} is none that a pod can see"
    if key == "name" and path[-1:] == ("ports",) and not _PORT_NAME.fullmatch(str(one)):
        yield f"{one!r} is no name of a port"
    if key == "host" and path[-1:] == ("rules",) and not _HOST.fullmatch(str(one)):
        yield f"{one!r} is no host's name"
    if key == "path" and path[-1:] in (("paths",), ("httpGet",)) and not str(one).startswith("/"):
        yield f"the path {one!r} does not begin with /"
    if key == "mountPath" and not str(one).startswith("/"):
        yield f"mountPath {one!r} is not absolute"
    if key == "storage" and path[-1:] in (("requests",), ("limits",)) and quantity(one) is None:
        yield f"storage of {one!r} is no quantity"
    if key == "memory" and str(one).endswith("m"):
        yield f"memory of {one!r} is in thousandths of a byte"
    if key == "nodeName" and path[-1:] == ("spec",):
        yield "is bound to one node"


def _toleration(one: Object) -> Iterator[str]:
    operator = one.get("operator", "Equal")
    if operator not in ("Exists", "Equal"):
        yield f"the operator {operator!r} of a toleration is none"
    if operator == "Exists" and one.get("value"):
        yield f"tolerates {one.get('key')} with Exists and a value"
    if "tolerationSeconds" in one and one.get("effect") != "NoExecute":
        yield "tolerationSeconds goes with NoExecute only"
    if not one.get("key"):
        yield "tolerates every taint: name the ones that are meant"


def _labels(one: Object) -> Iterator[str]:
    found = dict(one["metadata"].get("labels") or {})
    spec = one.get("spec") or {}
    template = spec.get("template") if isinstance(spec, dict) else None
    if isinstance(template, dict):
        found.update((template.get("metadata") or {}).get("labels") or {})
    for key, value in found.items():
        if not _LABEL_KEY.fullmatch(str(key)):
            yield f"{key!r} is no key of a label"
        if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            yield f"{value!r} is no value of a label ({key})"
