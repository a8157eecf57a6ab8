"""compare: a VAE, a VQ-VAE with a table and with a grid, and a VQGAN, judged in features as well."""

import json
import re

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from vqmm.commands import compare
from vqmm.commands.launch import launch
from vqmm.config import Config, save_config
from vqmm.data.prepare import prepare
from vqmm.errors import UserError
from vqmm.evaluation import extractors
from vqmm.evaluation.cases import CASES, Cases
from vqmm.evaluation.compared_figures import FIGURES

COUNTS = {"train": 40, "validation": 8, "test": 12}  # enough to teach networks that judge
KINDS = {
    "vae": {"kind": "vae"},
    "table": {"kind": "vqvae"},
    "uniform": {
        "quantizer": {
            "kind": "fsq", "shared": 12, "shared_levels": [4, 3], "distance": "euclidean", "fine": 0,
            "private_kind": "fsq", "image": 12, "audio": 12, "private_levels": [4, 3],
        }
    },
    "vqgan": {"kind": "vqgan", "discriminator": {"filters": [4, 8], "audio_scales": 1}},
}  # fmt: skip


def merged(tree, more):
    """`tree` with the leaves of `more`."""
    return {
        **tree,
        **{k: merged(tree[k], v) if isinstance(tree.get(k), dict) else v for k, v in more.items()},
    }


@pytest.fixture(scope="module")
def configs(tiny_config, tmp_path_factory):
    """One file a kind, by name."""
    folder = tmp_path_factory.mktemp("kinds")
    tree = tiny_config.model_dump(mode="json")
    tree["evaluate"] |= {"bootstrap": 20, "generated": 12, "examples": 1}
    tree["schedule"] |= {"quantize_from": 2, "discriminator_from": 3, "adversarial_from": 4}
    tree["train"] |= {"steps": 6}
    for name, model in KINDS.items():
        save_config(
            Config.model_validate({**tree, "name": name, "model": merged(tree["model"], model)}),
            folder / f"{name}.yaml",
        )
    return {name: folder / f"{name}.yaml" for name in KINDS}


@pytest.fixture(scope="module")
def data(tiny_config, tmp_path_factory):
    """Tones whose pitch, and pictures whose brightness, tell the label."""
    folder = tmp_path_factory.mktemp("more")
    rng = np.random.default_rng(0)
    lines = ["audio,image,label,split"]
    for split, count in COUNTS.items():
        for n in range(count):
            time, name = np.arange(900) / 2000, f"{split}{n}"
            tone = 0.5 * np.sin(2 * np.pi * (150 + 180 * (n % 4)) * time) + 0.02 * rng.standard_normal(900)
            soundfile.write(folder / f"{name}.wav", tone, 2000)
            picture = rng.integers(0, 60, (16, 16)) + 60 * (n % 4)
            Image.fromarray(picture.astype("uint8")).save(folder / f"{name}.png")
            lines += [f"{name}.wav,,{n % 4},{split}", f",{name}.png,{n % 4},{split}"]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return prepare(
        folder / "manifest.csv", tiny_config, folder / "data", workers=1, progress=False
    ).dataset.folder


@pytest.fixture
def command(monkeypatch, capsys, verb):
    """The command, its runs in this process; `broken` names a config and a verb that fails for it."""

    def call(*args, broken=()):
        def in_process(quiet, name, *words):
            if broken and broken[0] in str(words) and name == broken[1]:
                raise UserError(f"vqmm {name} stopped with status 1; its own message is above")
            done = verb(name, *words)
            assert done.status == 0, done
            ran.append(name)
            return 100.0

        ran = []
        monkeypatch.setattr(compare, "_verb", in_process)
        with pytest.raises(SystemExit) as stop:
            launch("compare", [*map(str, args)])
        return int(stop.value.code or 0), ran, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    "kinds",
    [("vae", "table", "vqgan"), pytest.param(tuple(KINDS), marks=pytest.mark.slow)],
    ids=["three", "all"],
)
def test_kinds_stand_side_by_side_with_figures_in_features(
    command, configs, data, tmp_path, monkeypatch, kinds
):
    monkeypatch.setattr(extractors, "STEPS", 40)
    monkeypatch.setattr("vqmm.report.write.render_report", lambda *_: "")  # each run's own has its tests
    monkeypatch.setenv("COLUMNS", "200")
    common = (*(configs[name] for name in kinds), "--data", data, "--out", tmp_path, "--against", "table")

    # The last one fails: what is finished is shown, and the same command goes on from there.
    status, ran, out, err = command(*common, broken=("vqgan", "train"))
    assert status == 2 and ran == ["train", "evaluate"] * len(kinds[:-1]) and not out
    assert "vqgan/seed0 failed: vqmm train stopped with status 1" in err
    assert "the same command again" in err and "comparison.html" in err
    tree = json.loads((tmp_path / "comparison.json").read_text())
    assert [row["what"] for row in tree["rows"]] == [*kinds[:-1]]
    assert tree["failed"].startswith("vqgan/seed0 failed")
    page = (tmp_path / "comparison.html").read_text()
    assert (
        "Not whole." in page and "vqgan/seed0 failed" in page and f"{len(kinds) - 1} configs compared" in page
    )

    status, ran, out, err = command(*common)
    assert status == 0 and ran == ["train", "evaluate"], err
    tree = json.loads((tmp_path / "comparison.json").read_text())
    rows = {row["what"]: row for row in tree["rows"]}
    assert list(rows) == [*kinds] and tree["failed"] is None
    judges = [row["judges"][0] for row in rows.values()]
    assert all(one == judges[0] for one in judges) and set(judges[0]) == {"image", "audio"}
    assert judges[0]["image"]["items"] == 40 and judges[0]["image"]["kind"] == "labels"
    for name, row in rows.items():
        assert row["trained_with"] == ("random" if name == "vqgan" else "")
    for name, row in rows.items():
        missing = {FIGURES[figure].path.split(".")[0] for figure in FIGURES if figure not in row["figures"]}
        lacking = {"retrieval", "codebook", "cost"} if name == "vae" else {"latents"}
        assert missing - {"retrieval"} <= lacking
        few = row["figures"]["picture kernel distance, rebuilt"]
        assert few["ci95"] == [None] and "too few" in few["notes"][0]
        for figure in ("sounds drawn, classifier score", "sound SI-SDR"):
            (interval,), found = row["figures"][figure]["ci95"], row["figures"][figure]["mean"]
            assert interval[0] <= found <= interval[1]
        if name != "table":
            both = {f"{what} perceptual distance" for what in ("picture", "sound")}
            both |= {f"{what} Fréchet distance, rebuilt" for what in ("picture", "sound")}
            assert both <= set(row["differences"]) and not row["left_out"]
    page = (tmp_path / "comparison.html").read_text()
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert "taught to tell the 4 labels of 40 pictures of the training split" in text
    assert "Not compared" not in text and "Not whole" not in text
    for figure in ("active private latents, audio", "nats in shared latents, image", "picture MS-SSIM"):
        assert figure in text and figure in out

    # Judged by another network: what was measured in its features is not compared, and that is said.
    cases = Cases.load(tmp_path / "vae" / "seed0" / CASES)
    for path, held in cases.items():
        if held.judge:
            other = {"real": held.real + 1.0} if path.endswith("frechet") else {}
            cases[path] = held._replace(judge="0" * 16, **other)
    cases.save(tmp_path / "vae" / "seed0" / CASES)
    status, ran, out, err = command(*common)
    assert status == 0 and not ran, err
    assert "not compared, vae: picture perceptual distance" in out and "different networks" in out
    left = {
        row["what"]: row["left_out"] for row in json.loads((tmp_path / "comparison.json").read_text())["rows"]
    }
    assert len(left["vae"]) == 4 and not left["vqgan"]
    assert "features of different networks" in (tmp_path / "comparison.html").read_text()


def test_a_model_that_cannot_be_built_is_told_before_the_others_are_trained(command, configs, data, tmp_path):
    def refused(name, **changes):
        tree = yaml.safe_load(configs["vqgan"].read_text())
        broken = tmp_path / f"{name}.yaml"
        broken.write_text(yaml.safe_dump(merged(tree, changes)))
        status, ran, out, err = command(configs["table"], broken, "--data", data, "--out", tmp_path / "out")
        assert status == 2 and not ran and not out and not (tmp_path / "out").exists()
        assert f"{broken}: " in err and "Traceback" not in err
        return err

    assert "loss.features='none.keras' cannot be read" in refused("lost", loss={"features": "none.keras"})
    small = {"discriminator": {"filters": [4, 8, 8], "audio_scales": 4}}
    assert "model.discriminator for audio" in refused("small", model=small)
    assert "benchmarks.vocoder judges it" in refused("voice", vocoder={"tokenizer": str(tmp_path)})
