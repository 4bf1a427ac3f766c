"""Writes the Helm chart in k8s/helm/svc anew from the kustomize base, its only source (`make chart`).

Each manifest of the base becomes a template: what a release may set is replaced by what Helm puts there, at
paths that have to exist, and what it was is the default in values.yaml. So with a release called `svc` and no
values the chart is the base, which a test sees to by rendering it with Helm's own engine.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
BASE = ROOT / "k8s" / "base"
CHART = ROOT / "k8s" / "helm" / "svc"

INSTANCE = "app.kubernetes.io/instance"
NAME = "{{ .Release.Name | quote }}"
GENERATED = "# Written by tools/helm_chart.py from k8s/base.\n"

CHART_YAML = """\
apiVersion: v2
name: svc
description: Bokeh and Panel apps on many replicas, whose sessions outlive them.
type: application
version: {version}
appVersion: {version}
kubeVersion: ">=1.30.0-0"
"""

CONFIG = """\
  {{- range $name, $value := .Values.config }}
  {{ $name }}: {{ $value | quote }}
  {{- end }}
"""

# kustomize names the ConfigMap by its content, so that a change rolls out; the digest does the same.
ANNOTATIONS = """\
        checksum/config: {{ toJson .Values.config | sha256sum | quote }}
        {{- with .Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
"""

VALUES = """\
# The image with your apps in it (examples/deploy/Dockerfile). Without a tag it is that of this chart's
# version; a digest (sha256:...) takes the place of the tag.
image:
  repository: registry.example.com/svc
  tag: ""
  digest: ""
# Of the container, in place of the image's own: [serve, /apps/one.py]
args: []
# A Secret with secret-key and redis-url, which is made elsewhere (docs/operate/kubernetes.md).
secretName: svc
# Environment variables, which are options of `svc serve` (docs/options.md). A change rolls out.
# SVC_PORT and SVC_METRICS_PORT have to stay as they are.
config:{config}
# Further ones, as in a Pod: [{{name: A, value: b}}]
extraEnv: []
podAnnotations:{annotations}
resources:{resources}
# preStop 3 + SVC_DRAIN_DELAY + SVC_DRAIN_TIMEOUT + 12 for the last batch and a slow node.
terminationGracePeriodSeconds: {grace}
autoscaling:
  # Without it there are as many replicas as the next value says.
  enabled: true
  replicas: 2
  minReplicas: {low}
  maxReplicas: {high}
  # svc_sessions comes from prometheus-adapter; leave it out where there is none.
  metrics:{metrics}
networkPolicy:
  # In: namespaces with the labels svc/ingress=true and svc/monitoring=true. Out: names, replicas, Redis.
  enabled: true
"""


def main() -> int:
    for path, text in stale().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    return 0


def stale(command: Sequence[str] = ("kubectl", "kustomize")) -> dict[Path, str]:
    """The files that are not what the base makes of them, with what they should say."""
    return {
        path: text
        for path, text in chart(command).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def chart(command: Sequence[str]) -> dict[Path, str]:
    done = subprocess.run([*command, str(BASE)], capture_output=True, text=True, check=True)
    manifests = {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}
    files = {
        CHART / "Chart.yaml": GENERATED + CHART_YAML.format(version=_semantic(_version())),
        CHART / "values.yaml": GENERATED + _values(manifests),
    }
    for kind, manifest in manifests.items():
        files[CHART / "templates" / f"{kind.lower()}.yaml"] = GENERATED + _template(kind, manifest)
    return files


def _version() -> str:
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return found


def _semantic(ours: str) -> str:
    """Python's ``0.2.0.dev1`` is no semantic version."""
    return re.sub(r"\.?(dev|a|b|rc)(\d+)$", r"-\1.\2", ours)


def _values(manifests: dict[str, Any]) -> str:
    pod, scaler = manifests["Deployment"]["spec"]["template"], manifests["HorizontalPodAutoscaler"]["spec"]
    return VALUES.format(
        config=_block(manifests["ConfigMap"]["data"], 2),
        annotations=_block(pod["metadata"]["annotations"], 2),
        resources=_block(pod["spec"]["containers"][0]["resources"], 2),
        grace=pod["spec"]["terminationGracePeriodSeconds"],
        low=scaler["minReplicas"],
        high=scaler["maxReplicas"],
        metrics=_block(scaler["metrics"], 4),
    )


def _block(value: Any, indent: int) -> str:
    lines = yaml.safe_dump(value, sort_keys=False).splitlines()
    return "".join(f"\n{' ' * indent}{line}" for line in lines)


def _template(kind: str, manifest: dict[str, Any]) -> str:
    _name(manifest)
    match kind:
        case "ConfigMap":
            _set(manifest, "data", "toYaml .Values.config")
        case "Deployment":
            _deployment(manifest["spec"])
        case "HorizontalPodAutoscaler":
            manifest["spec"]["scaleTargetRef"]["name"] = NAME
            _set(manifest["spec"], "minReplicas", ".Values.autoscaling.minReplicas")
            _set(manifest["spec"], "maxReplicas", ".Values.autoscaling.maxReplicas")
            _set(manifest["spec"], "metrics", "toYaml .Values.autoscaling.metrics")
    text = _with_expressions(yaml.safe_dump(manifest, sort_keys=False, width=1000))
    match kind:
        case "ConfigMap":  # numbers, too, have to be text there
            text = text.replace("  {{- toYaml .Values.config | nindent 2 }}\n", CONFIG)
        case "Deployment":
            text = text.replace("        {{- toYaml .Values.podAnnotations | nindent 8 }}\n", ANNOTATIONS)
            text = _after(text, "spec:\n", "  {{- if not .Values.autoscaling.enabled }}\n"
                          "  replicas: {{ .Values.autoscaling.replicas }}\n  {{- end }}\n")  # fmt: skip
            text = _before(text, "        ports:\n", "        {{- with .Values.args }}\n        args:\n"
                           "          {{- toYaml . | nindent 10 }}\n        {{- end }}\n")  # fmt: skip
            text = _before(text, "        envFrom:\n", "        {{- with .Values.extraEnv }}\n"
                           "        {{- toYaml . | nindent 8 }}\n        {{- end }}\n")  # fmt: skip
        case "HorizontalPodAutoscaler":
            text = f"{{{{- if .Values.autoscaling.enabled }}}}\n{text}{{{{- end }}}}\n"
        case "NetworkPolicy":
            text = f"{{{{- if .Values.networkPolicy.enabled }}}}\n{text}{{{{- end }}}}\n"
    return text


def _deployment(spec: dict[str, Any]) -> None:
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    _set(spec["template"]["metadata"], "annotations", "toYaml .Values.podAnnotations")
    pod["serviceAccountName"] = container["envFrom"][0]["configMapRef"]["name"] = NAME
    _set(pod, "terminationGracePeriodSeconds", ".Values.terminationGracePeriodSeconds")
    _set(container, "resources", "toYaml .Values.resources")
    container["image"] = (
        "@@.Values.image.repository@@@@if .Values.image.digest@@@@@.Values.image.digest@@@@else@@:"
        "@@.Values.image.tag | default .Chart.AppVersion@@@@end@@"
    )
    for each in container["env"]:
        if "secretKeyRef" in each.get("valueFrom", {}):
            _set(each["valueFrom"]["secretKeyRef"], "name", ".Values.secretName | quote")


def _name(manifest: dict[str, Any]) -> None:
    """By the release, and so is what selects its pods: two releases in a namespace do not meet."""
    manifest["metadata"]["name"] = NAME
    for labels in _labels(manifest):
        labels[INSTANCE] = NAME


def _labels(value: Any) -> Iterator[dict[str, str]]:
    """Every mapping in it that labels or selects what belongs to the fleet."""
    if isinstance(value, dict):
        if "app.kubernetes.io/name" in value:
            yield value
        for each in list(value.values()):
            yield from _labels(each)
    elif isinstance(value, list):
        for each in value:
            yield from _labels(each)


def _set(mapping: dict[str, Any], key: str, expression: str) -> None:
    if key not in mapping:
        raise KeyError(f"the base has no {key} any more")
    mapping[key] = f"@@{expression}@@"


def _with_expressions(text: str) -> str:
    """Helm's braces in the place of our marks: those of whole values stand alone, on lines of their own."""
    text = re.sub(
        r"^( *)([\w-]+): '@@(toYaml [^@]+)@@'$",
        lambda found: (
            f"{found[1]}{found[2]}:\n{found[1]}  {{{{- {found[3]} | nindent {len(found[1]) + 2} }}}}"
        ),
        text,
        flags=re.MULTILINE,
    )
    return re.sub(r"'?@@(?!@)([^@]+)@@'?", r"{{ \1 }}", text).replace(f"'{NAME}'", NAME)


def _alone(found: re.Match[str]) -> str:
    indent, key, expression = found.groups()
    return f"{indent}{key}:\n{indent}  {{{{- {expression} | nindent {len(indent) + 2} }}}}"


def _before(text: str, line: str, new: str) -> str:
    head, found, tail = text.partition(line)
    if not found:
        raise ValueError(f"the base has no {line.strip()} any more")
    return head + new + found + tail


def _after(text: str, line: str, new: str) -> str:
    head, found, tail = text.partition(line)
    if not found:
        raise ValueError(f"the base has no {line.strip()} any more")
    return head + found + new + tail


if __name__ == "__main__":
    sys.exit(main())
