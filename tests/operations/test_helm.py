"""The Helm chart, rendered by Helm's own engine: the kustomize base, and what values change of it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import helm_chart
import pytest
import yaml

from operations.manifests import K8S, Manifest, kustomize, one, plain, render
from operations.test_k8s import validate

RENDER = """
import json, sys
from helm_python import Chart, lint
path, name, values = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
found = {"rendered": Chart.load(path).render(values, name=name, namespace="apps"), "lint": lint(path, values)}
print(json.dumps(found, default=str))
"""
"""In a process of its own: the engine is a program in Go, with signal handlers and threads."""


def helm(name: str = "svc", **values: Any) -> list[Manifest]:
    """The manifests of a release."""
    if importlib.util.find_spec("helm_python") is None:
        reason = "helm-python-sdk is not installed, which there is for Linux on x86-64"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    command = [sys.executable, "-c", RENDER, str(K8S / "helm/svc"), name, json.dumps(values)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    rendered = json.loads(done.stdout)["rendered"].values()
    return [each for text in rendered for each in yaml.safe_load_all(text) if each]


def by_kind(manifests: list[Manifest]) -> dict[str, Manifest]:
    found = {each["kind"]: each for each in manifests}
    assert len(found) == len(manifests)
    return found


def without_release(value: Any) -> Any:
    """Without what only Helm adds: which release it is, and the digest by which changes roll out."""
    if isinstance(value, dict):
        dropped = {helm_chart.INSTANCE, "checksum/config"}
        return {key: without_release(each) for key, each in value.items() if key not in dropped}
    return [without_release(each) for each in value] if isinstance(value, list) else value


def test_the_chart_is_what_the_base_makes_of_it() -> None:
    stale = [str(path.relative_to(K8S)) for path in helm_chart.stale(kustomize())]

    assert stale == [], "run: make chart"


def test_a_release_without_values_is_the_base() -> None:
    base = by_kind(render(K8S / "base"))
    image = base["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    config = base["Deployment"]["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]
    config["name"] = base["ConfigMap"]["metadata"]["name"] = plain(base["ConfigMap"])
    image["image"] = f"registry.example.com/svc:{helm_chart._version()}"

    assert without_release(by_kind(helm())) == base


def test_releases_are_valid() -> None:
    for values in ({}, {"autoscaling": {"enabled": False, "replicas": 3}, "resources": {}}):
        for manifest in helm("123", **values):
            validate(manifest)


def test_values_go_where_they_belong() -> None:
    manifests = helm(
        "dash",
        image={"repository": "reg/apps", "digest": "sha256:" + "0" * 64},
        args=["serve", "/apps/one.py"],
        secretName="mine",
        config={"SVC_MAX_SESSIONS": 500},
        extraEnv=[{"name": "TOKEN", "value": "x"}],
        networkPolicy={"enabled": False},
        autoscaling={"enabled": False, "replicas": 5},
    )
    deployment = one(manifests, "Deployment", "dash")["spec"]
    container = deployment["template"]["spec"]["containers"][0]

    assert {each["kind"] for each in manifests}.isdisjoint({"NetworkPolicy", "HorizontalPodAutoscaler"})
    assert deployment["replicas"] == 5
    assert container["image"] == "reg/apps@sha256:" + "0" * 64
    assert container["args"] == ["serve", "/apps/one.py"]
    assert container["env"][-1] == {"name": "TOKEN", "value": "x"}
    secrets = {each["valueFrom"]["secretKeyRef"]["name"] for each in container["env"]
               if "secretKeyRef" in each.get("valueFrom", {})}  # fmt: skip
    assert secrets == {"mine"}
    config = one(manifests, "ConfigMap", "dash")["data"]
    assert config["SVC_MAX_SESSIONS"] == "500"
    assert config["SVC_PORT"] == "5006"
    assert container["envFrom"] == [{"configMapRef": {"name": "dash"}}]


def test_a_release_selects_its_own_pods() -> None:
    one_, other = by_kind(helm("one")), by_kind(helm("other"))
    labels = other["Deployment"]["spec"]["template"]["metadata"]["labels"]

    for kind in ("Service", "Deployment", "PodDisruptionBudget"):
        selector = one_[kind]["spec"]["selector"]
        chosen = selector.get("matchLabels", selector)
        assert not chosen.items() <= labels.items(), kind
    assert one_["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "one"


def test_a_change_of_the_configuration_rolls_out() -> None:
    annotations = [
        by_kind(helm(config=config))["Deployment"]["spec"]["template"]["metadata"]["annotations"]
        for config in ({}, {"SVC_LOG_LEVEL": "debug"})
    ]

    assert annotations[0]["checksum/config"] != annotations[1]["checksum/config"]
