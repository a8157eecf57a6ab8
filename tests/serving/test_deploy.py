"""The files of `deploy/`, as far as they can be checked without containers."""

import argparse
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from vqmm.commands import serve
from vqmm.export.warmup import MODEL_NAME
from vqmm.serving.gate import OPEN
from vqmm.serving.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
PODS = ("tensorflow-serving", "search")
SCHEMA = "1.30.0"  # of Kubernetes


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


@pytest.fixture(scope="module")
def manifests():
    """By kind and name."""
    folder = DEPLOY / "kubernetes"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert {*listed, "kustomization.yaml"} == {path.name for path in folder.iterdir()}
    parts = [part for name in listed for part in yaml.safe_load_all((folder / name).read_text())]
    found = {(part["kind"], part["metadata"]["name"]): part for part in parts}
    assert len(found) == len(parts)
    return found


def container(manifests, name):
    pod = manifests["Deployment", name]["spec"]["template"]["spec"]
    (only,) = pod["containers"]
    return pod, only


def pinned(name):
    """The version of a package in the newest stack, without its last part."""
    pins = (DEPLOY.parent / "requirements.txt").read_text().splitlines()
    (version,) = (line.split()[0].partition("==")[2] for line in pins if line.startswith(f"{name}=="))
    return version.rpartition(".")[0]


def newest_python():
    """The newest Python of `requires-python`: ">=3.11,<3.14" gives "3.13"."""
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    major, _, minor = project["requires-python"].partition("<")[2].partition(".")
    return f"{major}.{int(minor) - 1}"


def parsed(args):
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    return parser.parse_args([str(part) for part in args])


def test_the_models_config_is_one():
    text = (DEPLOY / "serving" / "models.config").read_text()
    (model,) = text_format.Parse(text, ModelServerConfig()).model_config_list.config
    assert model.name == MODEL_NAME and model.base_path == "/models/vqmm"


def test_the_compose_file_names_what_is_there(services):
    serving, search = services["tensorflow-serving"], services["search"]
    configs = [part.partition("/config/")[2] for part in serving["command"] if "/config/" in part]
    assert len(configs) == 3 and all((DEPLOY / "serving" / name).is_file() for name in configs)
    assert any(volume.endswith("/saved_model:/models/vqmm:ro") for volume in serving["volumes"])
    ports = [port.split(":")[1] for service in (serving, search) for port in service["ports"]]
    assert len(ports) == len(set(ports)) == 3
    assert (DEPLOY / search["build"]["context"] / search["build"]["dockerfile"]).is_file()
    assert parsed(search["command"]).host == "0.0.0.0"


def test_tensorflow_serving_is_of_the_pinned_tensorflow(services):
    kustomization = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    tags = {image["name"]: image["newTag"] for image in kustomization["images"]}
    name, _, tag = services["tensorflow-serving"]["image"].partition(":")
    assert tags[name] == tag and tag.rpartition(".")[0] == pinned("tensorflow")


def test_milvus_comes_when_asked_for_and_is_of_the_pinned_clients_version(services):
    assert [name for name, service in services.items() if service.get("profiles")] == ["milvus"]
    assert services["milvus"]["image"].partition(":v")[2].rpartition(".")[0] == pinned("pymilvus")
    assert "localhost:19530" in (DEPLOY.parent / "docs" / "retrieval.md").read_text()
    assert services["milvus"]["ports"] == ["127.0.0.1:19530:19530"]


def test_the_image_has_what_it_copies_and_no_root():
    lines = [line.split() for line in (DEPLOY / "Dockerfile").read_text().splitlines()]
    copied = [name for line in lines if line[:1] == ["COPY"] for name in line[1:-1]]
    (base,) = (line[1] for line in lines if line[:1] == ["FROM"])
    assert base.removeprefix("python:").removesuffix("-slim") == newest_python()
    assert copied and all((DEPLOY.parent / name).exists() for name in copied)
    kept = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().split() if line[0] == "!"}
    assert kept == set(copied)
    assert ["USER", "10001:10001"] in lines


def test_manifests_fit_the_schemas_of_kubernetes(manifests):
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, SCHEMA, strict=True)
    wrong = {**manifests["Service", "search"], "spec": {"ports": [{"prot": 8501}]}}
    with pytest.raises(kubernetes_validate.ValidationError):  # else anything would fit
        kubernetes_validate.validate(wrong, SCHEMA, strict=True)


def test_the_config_map_holds_the_files_of_serving(manifests):
    data = manifests["ConfigMap", "tensorflow-serving"]["data"]
    assert data == {path.name: path.read_text() for path in (DEPLOY / "serving").iterdir()}


@pytest.mark.parametrize("name", PODS)
def test_pods_may_do_little(manifests, name):
    pod, only = container(manifests, name)
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["automountServiceAccountToken"] is False
    inside = only["securityContext"]
    assert inside["readOnlyRootFilesystem"] and not inside["allowPrivilegeEscalation"]
    assert inside["capabilities"] == {"drop": ["ALL"]}
    assert {"cpu", "memory"} <= set(only["resources"]["requests"]) and only["resources"]["limits"]["memory"]
    mounts = {m["mountPath"]: m for m in only["volumeMounts"]}
    assert all(m.get("readOnly") for path, m in mounts.items() if path != "/tmp")
    assert {m["name"] for m in mounts.values()} == {v["name"] for v in pod["volumes"]}
    # Longer than what was accepted may take.
    assert pod["terminationGracePeriodSeconds"] > Settings().drain_s + 5


@pytest.mark.parametrize("name", PODS)
def test_ports_labels_and_targets_agree(manifests, services, name):
    deployment, service = manifests["Deployment", name], manifests["Service", name]
    pod, only = container(manifests, name)
    ports = {port["name"]: port["containerPort"] for port in only["ports"]}
    assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == ports
    composed = [int(port.split(":")[2]) for port in services[name]["ports"]]
    assert sorted(ports.values()) == sorted(composed)
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert manifests[kind, name]["spec"]["selector"]["matchLabels"].items() <= labels
    assert service["spec"]["selector"].items() <= labels
    target = manifests["HorizontalPodAutoscaler", name]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", name)
    assert "replicas" not in deployment["spec"]  # else every apply would undo the scaling
    (claimed,) = [v["persistentVolumeClaim"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
    assert ("PersistentVolumeClaim", claimed["claimName"]) in manifests


def test_search_is_started_and_asked_as_the_code_has_it(manifests, services, served):
    _, only = container(manifests, "search")
    assert only["args"] == services["search"]["command"]
    args = parsed(only["args"])
    assert [args.port] == [port["containerPort"] for port in only["ports"]]
    mounts = {m["mountPath"]: m["subPath"] for m in only["volumeMounts"] if "subPath" in m}
    assert mounts == {str(args.export): "export", str(args.index): "index"}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = only[probe]["httpGet"]["path"]
        assert path in OPEN and served.http.get(path).status_code == 200
    annotations = manifests["Deployment", "search"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(args.port)
    assert "vqmm_requests_total" in served.http.get(annotations["prometheus.io/path"]).text


def test_tensorflow_serving_is_started_as_in_the_compose_file(manifests, services, served):
    _, only = container(manifests, "tensorflow-serving")
    composed = services["tensorflow-serving"]
    assert only["args"] == composed["command"]
    assert composed["image"].startswith(only["image"] + ":")
    mounts = {m["mountPath"]: m.get("subPath") for m in only["volumeMounts"]}
    assert mounts["/models/vqmm"] == "export/saved_model"
    assert {part.split("=")[1].rpartition("/")[0] for part in only["args"] if "/" in part} == {"/config"}
    for probe in ("startupProbe", "readinessProbe"):  # the route that our own service has as well
        assert served.http.get(only[probe]["httpGet"]["path"]).status_code == 200
    annotations = manifests["Deployment", "tensorflow-serving"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in (DEPLOY / "serving" / "monitoring.config").read_text()


def test_images_of_the_manifests_are_those_of_the_compose_file(manifests, services):
    folder = DEPLOY / "kubernetes"
    images = yaml.safe_load((folder / "kustomization.yaml").read_text())["images"]
    tagged = {f"{image['name']}:{image['newTag']}" for image in images}
    assert tagged == {services[name]["image"] for name in PODS}
    assert {container(manifests, name)[1]["image"] for name in PODS} == {image["name"] for image in images}
