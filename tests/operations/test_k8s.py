"""The manifests: they render, are valid in strict mode, and their numbers agree with each other."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from operations.manifests import (
    K8S,
    OVERLAYS,
    Manifest,
    environment,
    one,
    overlay,
    plain,
    pod_templates,
    render,
)
from service.settings import OPTIONS, from_arguments

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pkg_resources and friends, not ours
    import jsonschema
    import kubernetes_validate

SCHEMAS = Path(__file__).parent / "schemas"
KUBERNETES = "1.32"
MARGIN = 10
"""Seconds the grace period must leave beyond all that is planned."""


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return overlay(request.param)


@pytest.fixture
def with_cost(tmp_path: Path) -> list[Manifest]:
    """Production with the optional component."""
    shutil.copytree(K8S, tmp_path / "k8s")
    here = tmp_path / "k8s/overlays/cost"
    here.mkdir()
    (here / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": ["../production"], "components": ["../../components/pod-deletion-cost"]})
    )
    return render(here)


@pytest.fixture
def with_workers(tmp_path: Path) -> list[Manifest]:
    """Production with processes of their own for jobs."""
    shutil.copytree(K8S, tmp_path / "with workers")
    here = tmp_path / "with workers/overlays/workers"
    here.mkdir()
    (here / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": ["../production"], "components": ["../../components/workers"]})
    )
    return render(here)


# -- validity ------------------------------------------------------------------------------------


def test_every_overlay_is_valid(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        validate(manifest)


def test_the_optional_component_is_valid(with_cost: list[Manifest]) -> None:
    for manifest in with_cost:
        validate(manifest)
    job = one(with_cost, "CronJob", "svc-deletion-cost")
    volumes = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    assert (
        volumes[0]["configMap"]["name"]
        == one(with_cost, "ConfigMap", "svc-deletion-cost")["metadata"]["name"]
    )


def test_workers_are_valid_and_replicas_leave_jobs_to_them(with_workers: list[Manifest]) -> None:
    for manifest in with_workers:
        validate(manifest)
    replica = one(with_workers, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    worker = one(with_workers, "Deployment", "svc-worker")["spec"]["template"]["spec"]
    options = {each["name"]: each.get("value") for each in worker["containers"][0]["env"]}
    settings = from_arguments({}, {**environment(with_workers), **{k: v for k, v in options.items() if v}})
    policy = one(with_workers, "NetworkPolicy", "svc-worker")["spec"]["podSelector"]["matchLabels"]

    assert {"name": "SVC_JOBS", "value": "0"} in replica["env"]
    assert settings.jobs == 1
    assert worker["terminationGracePeriodSeconds"] >= settings.drain_timeout + MARGIN
    assert {"SVC_SECRET_KEY", "SVC_REDIS_URL"} <= options.keys()
    assert worker["containers"][0]["ports"] == [{"name": "metrics", "containerPort": settings.metrics_port}]
    assert policy == one(with_workers, "Deployment", "svc-worker")["spec"]["selector"]["matchLabels"]
    services = [m["spec"]["selector"] for m in with_workers if m["kind"] == "Service" and plain(m) == "svc"]
    template = one(with_workers, "Deployment", "svc-worker")["spec"]["template"]
    assert not any(labelled(template, selector) for selector in services), "nobody visits a worker"


def test_strict_means_that_a_typo_is_found() -> None:
    wrong = one(overlay("production"), "Deployment")
    wrong = json.loads(json.dumps(wrong))
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 1

    with pytest.raises(kubernetes_validate.ValidationError):
        validate(wrong)


@pytest.mark.parametrize("schema", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_schemas_of_custom_resources_are_used_and_strict(schema: Path) -> None:
    found = [m for name in OVERLAYS for m in overlay(name) if m["kind"] == schema.stem]
    wrong = json.loads(json.dumps(found[0]))
    wrong["spec"]["typo"] = 1

    with pytest.raises(jsonschema.ValidationError):
        validate(wrong)


def validate(manifest: Manifest) -> None:
    """Strictly, by Kubernetes' own schemas; custom resources by ours."""
    schema = SCHEMAS / f"{manifest['kind']}.json"
    if schema.exists():
        jsonschema.validate(manifest, json.loads(schema.read_text()))
    else:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


# -- numbers that must agree ---------------------------------------------------------------------


def test_grace_covers_prestop_and_drain_with_a_margin(manifests: list[Manifest]) -> None:
    grace, planned = leaving(manifests)

    assert grace >= planned + MARGIN


def test_the_fleet_does_not_shrink_faster_than_it_drains(manifests: list[Manifest]) -> None:
    grace, _ = leaving(manifests)
    down = scale_down(manifests)

    assert [policy["type"] for policy in down["policies"]] == ["Pods"]
    assert all(policy["value"] == 1 and policy["periodSeconds"] >= grace for policy in down["policies"])
    assert down["selectPolicy"] == "Min"


def leaving(manifests: list[Manifest]) -> tuple[int, float]:
    """Grace period, and preStop + drain delay + drain timeout: seconds."""
    pod = one(manifests, "Deployment")["spec"]["template"]["spec"]
    options = environment(manifests)
    pre_stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = float(options["SVC_DRAIN_DELAY"]) + float(options["SVC_DRAIN_TIMEOUT"])
    return pod["terminationGracePeriodSeconds"], pre_stop + drain


def scale_down(manifests: list[Manifest]) -> dict[str, Any]:
    scaled = [m for m in manifests if m["kind"] == "ScaledObject"]
    if scaled:
        config = scaled[0]["spec"]["advanced"]["horizontalPodAutoscalerConfig"]
        return dict(config["behavior"]["scaleDown"])
    return dict(one(manifests, "HorizontalPodAutoscaler")["spec"]["behavior"]["scaleDown"])


def test_a_replica_is_scaled_out_well_before_it_turns_visitors_away(manifests: list[Manifest]) -> None:
    seats = int(environment(manifests)["SVC_MAX_SESSIONS"])

    for target in session_targets(manifests):
        assert target <= 0.7 * seats


def session_targets(manifests: list[Manifest]) -> Iterator[int]:
    for manifest in manifests:
        if manifest["kind"] == "ScaledObject":
            yield int(manifest["spec"]["triggers"][0]["metadata"]["threshold"])
        elif manifest["kind"] == "HorizontalPodAutoscaler":
            pods = [m["pods"] for m in manifest["spec"]["metrics"] if m["type"] == "Pods"]
            yield from (int(metric["target"]["averageValue"]) for metric in pods)


def test_readiness_is_noticed_and_endpoints_removed_within_the_drain_delay(manifests: list[Manifest]) -> None:
    probe = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]

    delay = float(environment(manifests)["SVC_DRAIN_DELAY"])
    assert probe["periodSeconds"] * probe["failureThreshold"] <= delay


def test_options_are_those_of_the_server(manifests: list[Manifest]) -> None:
    variables = {name for option in OPTIONS.values() for name in option.env}
    container = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    given = [*environment(manifests), *(each["name"] for each in container["env"])]
    ours = [name for name in given if name.startswith("SVC_")]

    assert not set(ours) - variables - {"SVC_DRAIN_DELAY", "SVC_DRAIN_TIMEOUT"}
    settings = from_arguments({}, environment(manifests))
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": settings.port, "metrics": settings.metrics_port}


def test_the_advertised_address_is_the_port_it_listens_on(manifests: list[Manifest]) -> None:
    container = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    advertised = next(each["value"] for each in container["env"] if each["name"] == "SVC_ADVERTISE")

    assert advertised == f"$(POD_IP):{environment(manifests)['SVC_PORT']}"


def test_one_key_signs_for_all_replicas(manifests: list[Manifest]) -> None:
    container = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    secrets = {e["name"]: e["valueFrom"]["secretKeyRef"] for e in container["env"] if "valueFrom" in e
               and "secretKeyRef" in e["valueFrom"]}  # fmt: skip

    assert set(secrets) == {"SVC_SECRET_KEY", "SVC_PREVIOUS_SECRET_KEY", "SVC_REDIS_URL"}
    assert not [name for name in environment(manifests) if "KEY" in name or "REDIS_URL" in name]


# -- selectors and ports -------------------------------------------------------------------------


def test_selectors_find_pods_and_ports_exist(manifests: list[Manifest]) -> None:
    templates = [template for _, template in pod_templates(manifests)]
    services = [m for m in manifests if m["kind"] == "Service" and plain(m) != "svc-closed"]
    for service in services:
        chosen = [t for t in templates if labelled(t, service["spec"]["selector"])]
        assert len(chosen) == 1, service["metadata"]["name"]
        names = {port["name"] for port in chosen[0]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    for kind in ("PodDisruptionBudget", "Deployment", "StatefulSet"):
        for manifest in (m for m in manifests if m["kind"] == kind):
            assert [t for t in templates if labelled(t, manifest["spec"]["selector"]["matchLabels"])]


def test_routes_lead_to_a_service(manifests: list[Manifest]) -> None:
    ports = {port["port"] for port in one(manifests, "Service")["spec"]["ports"]}
    for manifest in manifests:
        if manifest["kind"] == "HTTPRoute":
            backends = [ref for rule in manifest["spec"]["rules"] for ref in rule.get("backendRefs", [])]
            assert {(ref["name"], ref["port"]) for ref in backends} == {("svc", port) for port in ports}


INSIDE = {"/_svc", "/admin", "/healthz", "/readyz", "/startupz", "/metrics"}


def test_visitors_reach_apps_only() -> None:
    ingress = overlay("ingress")
    paths = one(ingress, "Ingress")["spec"]["rules"][0]["http"]["paths"]
    behind = {each["path"]: each["backend"]["service"]["name"] for each in paths}
    assert behind == {**dict.fromkeys(INSIDE, "svc-closed"), "/": "svc"}
    assert not one(ingress, "Service", "svc-closed")["spec"].get("selector")

    rules = one(overlay("gateway-api"), "HTTPRoute")["spec"]["rules"]
    closed = [rule["matches"] for rule in rules if "backendRefs" not in rule]
    assert {match["path"]["value"] for matches in closed for match in matches} >= INSIDE


def test_monitors_find_the_metrics_service() -> None:
    manifests = overlay("prometheus-operator")
    monitor = one(manifests, "ServiceMonitor")
    service = one(manifests, "Service", "svc-metrics")

    chosen = monitor["spec"]["selector"]["matchLabels"]
    assert labelled(service, chosen)
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert not labelled(
        {"metadata": one(manifests, "Service")["metadata"]}, monitor["spec"]["selector"]["matchLabels"]
    )


def test_network_policies_let_relays_and_redis_through(manifests: list[Manifest]) -> None:
    template = one(manifests, "Deployment")["spec"]["template"]
    policy = one(manifests, "NetworkPolicy")["spec"]
    peers = [peer.get("podSelector", {}).get("matchLabels") for peer in policy["ingress"][0]["from"]]

    assert labelled(template, policy["podSelector"]["matchLabels"])
    assert [labels for labels in peers if labelled(template, labels)]
    assert policy["egress"][0]["ports"] == [{"port": int(environment(manifests)["SVC_PORT"])}]
    assert {6379, 6380} == {port["port"] for port in policy["egress"][-1]["ports"]}


def test_the_redis_of_development_lets_replicas_in() -> None:
    manifests = overlay("development")
    template = one(manifests, "Deployment")["spec"]["template"]
    database = one(manifests, "StatefulSet", "svc-redis")["spec"]["template"]
    policy = one(manifests, "NetworkPolicy", "svc-redis")["spec"]

    assert labelled(template, policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"])
    assert labelled(database, policy["podSelector"]["matchLabels"])


def labelled(thing: Manifest, labels: dict[str, str] | None) -> bool:
    return bool(labels) and labels.items() <= thing["metadata"].get("labels", {}).items()


def test_generated_names_are_used(manifests: list[Manifest]) -> None:
    container = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    config = container["envFrom"][0]["configMapRef"]["name"]

    assert config == one(manifests, "ConfigMap")["metadata"]["name"]
    assert plain(one(manifests, "ConfigMap")) != config, "without a hash a change would not roll out"


# -- restrictions --------------------------------------------------------------------------------


def test_all_pods_run_restricted(
    manifests: list[Manifest], with_cost: list[Manifest], with_workers: list[Manifest]
) -> None:
    for name, template in pod_templates([*manifests, *with_cost, *with_workers]):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            limits = container["resources"]["limits"].keys()
            assert limits - {"ephemeral-storage"} == {"memory"}, "a CPU limit stops the event loop"


def test_only_the_deletion_cost_job_may_ask_the_api(with_cost: list[Manifest]) -> None:
    allowed = [name for name, t in pod_templates(with_cost) if t["spec"]["automountServiceAccountToken"]]

    assert allowed == ["svc-deletion-cost"]
    assert one(with_cost, "Role", "svc-deletion-cost")["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]}
    ]


def test_images_can_be_pinned_by_digest(tmp_path: Path) -> None:
    """As `kustomize edit set image svc=REGISTRY/svc@sha256:... redis=...` in an overlay of one's own."""
    shutil.copytree(K8S, tmp_path / "k8s")
    mine = tmp_path / "k8s/overlays/mine"
    mine.mkdir()
    digests = {name: f"sha256:{hashlib.sha256(name.encode()).hexdigest()}" for name in ("svc", "redis")}
    images = [{"name": name, "newName": f"reg/{name}", "digest": it} for name, it in digests.items()]
    resources = ["../../base", "../../redis"]
    components = ["../../components/workers", "../../components/pod-deletion-cost"]
    text = yaml.safe_dump({"resources": resources, "components": components, "images": images})
    (mine / "kustomization.yaml").write_text(text)

    used = {c["image"] for _, t in pod_templates(render(mine)) for c in t["spec"]["containers"]}

    assert used == {f"reg/{name}@{digest}" for name, digest in digests.items()}


def test_images_are_pinned(manifests: list[Manifest]) -> None:
    for _, template in pod_templates(manifests):
        for container in template["spec"]["containers"]:
            assert ":" in container["image"]
            assert not container["image"].endswith(":latest")
