"""The files of `deploy/`, as far as they can be checked without containers."""

from pathlib import Path

import yaml
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from vqmm.export.warmup import MODEL_NAME

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_models_config_is_one():
    text = (DEPLOY / "serving" / "models.config").read_text()
    (model,) = text_format.Parse(text, ModelServerConfig()).model_config_list.config
    assert model.name == MODEL_NAME and model.base_path == "/models/vqmm"


def test_the_compose_file_names_what_is_there():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    serving, search = services["tensorflow-serving"], services["search"]
    configs = [part.partition("/config/")[2] for part in serving["command"] if "/config/" in part]
    assert len(configs) == 3 and all((DEPLOY / "serving" / name).is_file() for name in configs)
    assert any(volume.endswith("/saved_model:/models/vqmm:ro") for volume in serving["volumes"])
    ports = [port.split(":")[1] for service in (serving, search) for port in service["ports"]]
    assert len(ports) == len(set(ports)) == 3
