"""Configs are found by path, or by the name of a shipped one."""

from pathlib import Path

import pytest

from vqmm.config import load_config
from vqmm.errors import UserError
from vqmm.shipped_configs import SHIPPED, config_names, find_config, find_config_folder, folder_names

CONFIGS = Path(__file__).parents[1] / "configs"


def test_every_config_of_the_project_has_a_name():
    files = {path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.yaml")}
    assert set(config_names()) == files and {"digits", "comparison/vqvae", "ablations/default"} <= files
    assert folder_names() == ["ablations", "ablations/tuxpaint", "comparison", "comparison/tuxpaint"]


@pytest.mark.parametrize("name", ["digits", "comparison/vqvae", "ablations/default"])
def test_a_name_is_found_from_any_folder_and_its_bases_as_well(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == SHIPPED / f"{name}.yaml"
    assert load_config(name) == load_config(CONFIGS / f"{name}.yaml")


def test_a_file_of_that_name_wins_and_a_folder_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("digits").mkdir()
    assert load_config("digits").name == "digits"
    Path("digits").rmdir()
    Path("digits").write_text("name: mine\n")
    assert load_config("digits").name == "mine"


def test_a_base_is_a_file_beside_its_config_and_no_name(tmp_path):
    (tmp_path / "child.yaml").write_text("extends: digits\n")
    with pytest.raises(UserError, match="cannot read the config .*digits"):
        load_config(tmp_path / "child.yaml")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("digit", "'digits'"),
        ("configs/digits.yaml", "'digits'"),
        ("vqvae", "'comparison/tuxpaint/vqvae' or 'comparison/vqvae'"),
        ("../digits", "'digits'"),
    ],
)
def test_an_unknown_name_is_refused_with_those_near_it_and_all_of_the_top_level(
    name, near, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        load_config(name)
    assert f"there is no config {name} (did you mean {near}?)" in str(caught.value)
    for other in ("digits, digits-prior, digits-vocoder", "tuxpaint", "ablations/", "comparison/"):
        assert other in str(caught.value)


def test_folders_are_found_in_the_same_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config_folder("ablations/tuxpaint") == SHIPPED / "ablations/tuxpaint"
    with pytest.raises(UserError, match=r"no folder of configs ablation \(did you mean 'ablations'\?\)"):
        find_config_folder("ablation")
    Path("ablations").mkdir()
    assert find_config_folder("ablations") == Path("ablations")
