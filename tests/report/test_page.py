"""The page as a reader and a screen reader get it."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from vqmm.config import Config
from vqmm.evaluation import extractors, gather_material, judge
from vqmm.models import build_model
from vqmm.report import render_report

VOID = {"meta", "link", "img", "br", "input", "hr"}


class Page(HTMLParser):
    """Elements, text, and whether tags are balanced."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self.open = [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def of(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def config(tiny_config):
    evaluate = tiny_config.evaluate.model_copy(update={"bootstrap": 30, "examples": 4})
    return tiny_config.model_copy(update={"evaluate": evaluate, "name": "a <b> & c"})


@pytest.fixture(scope="module")
def made(config, tiny_data):
    model = build_model(config)
    material = gather_material(model, tiny_data, config, "test")
    log = [{"step": s, "split": "train", "seconds": 1.0 * s, "loss": 9.0 / s} for s in (1, 2, 100)]
    figures = judge(model, material, tiny_data, config, "test", log)
    return model, material, figures, log


@pytest.fixture(scope="module")
def page(made, config):
    model, material, figures, log = made
    return Page(render_report(model, material, figures, config, log))


def test_one_file_with_everything_in_it(page):
    assert not page.open
    for tag, key in (("img", "src"), ("audio", "src")):
        assert page.of(tag) and all(e[key].startswith("data:") for e in page.of(tag))
    assert not page.of("script") and not page.of("link")
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    assert all(a["href"].removeprefix("#") in ids for a in page.of("a"))


def test_everything_has_a_name(page):
    assert all(e.get("alt", "").strip() for e in page.of("img"))
    assert all(e.get("aria-label", "").strip() for e in page.of("audio"))
    assert page.of("html")[0]["lang"] == "en" and len(page.of("h1")) == 1
    assert all("scope" in e for e in page.of("th") if e != {})


def test_figures_are_the_measured_ones(page, made):
    figures = made[2]
    text = " ".join(page.text.split())
    for direction in ("audio_to_image", "image_to_audio"):
        for scorer in ("continuous", "code_distance", "asymmetric", "exact"):
            found = figures["retrieval"][direction][scorer]["map"]
            low, high = found["ci95"]
            assert f"{found['value']:.3f} {low:.3f} to {high:.3f}" in text
    assert f"{figures['reconstruction']['image']['psnr']['value']:.1f}" in text
    assert f"{10 * figures['reconstruction']['audio']['log_mel_l1']['value']:.2f}" in text
    assert "supervision by class" in text and "a <b> & c" in text
    assert "training time" in text and "1 min 40 s" in text
    assert not re.search(r"\b(nan|None|undefined)\b", text)


def test_examples_are_there_and_marked(page):
    players = [e["aria-label"] for e in page.of("audio")]
    assert len([p for p in players if p.startswith("Recording")]) == 4 + 4 * 5
    assert len([p for p in players if "Griffin-Lim" in p]) == 2 * 3
    marks = re.findall(r"✓ right|✗ wrong", page.text)
    assert len(marks) == 4 * 6 + 4 * 5


def test_a_run_without_a_log_or_private_codes_claims_nothing_of_them(made, config):
    model, material, figures, _ = made
    bare = material._replace(
        sides={
            name: side._replace(encoded=side.encoded._replace(private=None))
            for name, side in material.sides.items()
        }
    )
    figures = {
        **figures,
        "cost": {k: v for k, v in figures["cost"].items() if k.startswith("b")},
        "reconstruction": {
            side: {k: v for k, v in section.items() if k != "shared_only"}
            for side, section in figures["reconstruction"].items()
        },
        "codebook": {**figures["codebook"], "ranges": {"shared": figures["codebook"]["ranges"]["shared"]}},
    }
    text = Page(render_report(model, bare, figures, config, [])).text
    assert "no log of its training" in text and "training time" not in text
    assert "shared codes alone" not in text and "Private codes" not in text and "private," not in text


def test_a_model_without_codes_has_a_page_that_claims_none(config, tiny_data):
    tree = config.model_dump()
    tree["model"]["kind"] = "vae"
    config = Config.model_validate(tree)
    model = build_model(config)
    material = gather_material(model, tiny_data, config, "test")
    figures = judge(model, material, tiny_data, config, "test")
    page = Page(render_report(model, material, figures, config))
    text = " ".join(page.text.split())
    latents = figures["latents"]["image"]["shared"]
    said = f"{100 * latents['active_units']['value']:.1f} % ?{latents['nats']['value']:.1f}"
    assert not page.open and re.search(f"shared, pictures ?{said}", text)
    found = figures["retrieval"]["audio_to_image"]["continuous"]["map"]["value"]
    assert re.search(f"mAP of latents ?{found:.3f}", text) and "from shared latents alone" in text
    said = text.split("Config The merged config")[0]
    assert not re.search(r"\b(codes?|codebook|nan|None|undefined)\b", said, re.IGNORECASE)
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    assert all(a["href"].removeprefix("#") in ids for a in page.of("a"))


@pytest.mark.parametrize(("modality", "missing"), [("image", "recordings"), ("audio", "pictures")])
@pytest.mark.parametrize("kind", ["vqvae", "vae"])
def test_one_modality_has_a_page_without_the_other(config, tiny_data, kind, modality, missing):
    tree = config.model_dump()
    tree["model"]["kind"] = kind
    config = Config.model_validate(tree)
    model = build_model(config)
    counts = {split: {**held, missing: 0} for split, held in tiny_data.counts.items()}
    data = dataclasses.replace(tiny_data, counts=counts)
    material = gather_material(model, data, config, "test")
    figures = judge(model, material, data, config, "test")
    page = Page(render_report(model, material, figures, config))
    assert not page.open
    text = " ".join(page.text.split())
    assert f"This split has no {missing}" in text and "mAP" not in text and "Say it" not in text
    links = {attrs["href"][1:] for attrs in page.of("a")}
    assert links <= {attrs.get("id") for attrs in page.of("section")}
    measured = {"image": "picture PSNR, dB", "audio": "log-mel L1, dB"}
    assert measured.pop(modality) in text and not any(said in text for said in measured.values())
    assert bool(page.of("audio")) == (modality == "audio")
    value = figures["reconstruction"][modality]
    shown = (value["psnr"]["value"], 1) if modality == "image" else (10 * value["log_mel_l1"]["value"], 2)
    assert f"{shown[0]:.{shown[1]}f}" in text


def told(figure, digits, scale=1.0):
    if figure["ci95"] is None:  # of too few items
        return f"{figure['value'] * scale:,.{digits}f}( %)? no interval, n = {figure['n']}"
    low, high = figure["ci95"]
    value, low, high = (f"{end * scale:,.{digits}f}" for end in (figure["value"], low, high))
    return f"{value}( %)? {low} to {high}"


@pytest.mark.parametrize("kind", ["vqgan", "vae"])
def test_what_networks_see_has_a_section_with_units_intervals_and_their_names(
    config, tiny_data, kind, monkeypatch
):
    monkeypatch.setattr(extractors, "FEWEST", 8)
    monkeypatch.setattr(extractors, "STEPS", 20)
    tree = config.model_dump()
    tree["model"]["kind"], tree["loss"]["features"] = kind, "taught"
    tree["model"]["discriminator"] |= {"filters": [4, 8], "audio_scales": 1}
    tree["evaluate"]["generated"] = 20
    config = Config.model_validate(tree)
    model = build_model(config)
    material = gather_material(model, tiny_data, config, "test")
    figures = judge(model, material, tiny_data, config, "test")
    page = Page(render_report(model, material, figures, config))
    text = " ".join(page.text.split())
    assert not page.open and not re.search(r"\b(nan|None|undefined)\b", text)
    made, back = figures["generation"], figures["reconstruction"]
    for name, noun in (("image", "pictures"), ("audio", "recordings")):
        drawn = made["unconditional"][name]
        rebuilt = [
            told(back[name]["perceptual"], 3),
            *(told(back[name][x], 2) for x in ("frechet", "kernel")),
        ]
        assert re.search(" ?".join([noun, *rebuilt]), text)
        for title, row in (("drawn", drawn), ("real from training", drawn["floor"])):
            wanted = [told(row[x], 2) for x in ("frechet", "kernel")]
            wanted += [told(row[x], 1, 100) for x in ("precision", "recall")]
            assert re.search(" ?".join([f"{noun}, {title}", *wanted]), text)
        assert re.search(told(drawn["classifier_score"], 2), text)
        accuracy = made["extractors"][name]["accuracy"]
        said = (
            f"taught to tell the 4 labels of 24 {noun} of the training split of {tiny_data.name}; right in "
        )
        assert f"{said}{100 * accuracy:.1f} % of the split that is judged" in text
    for part in (made["audio_to_image"]["coherence"], made["unconditional"]["joint_coherence"]):
        assert f"{100 * part['value']:.1f}%" in text
    assert "classifier score, 1 to 4" in text and f"Drawn: {made['prior']}" in text
    assert ("loss.features=taught" in text.split("The merged config")[0]) == (kind == "vqgan")
    assert {"#features"} <= {attrs["href"] for attrs in page.of("a")}
    assert re.search(f"SI-SDR\\) {back['audio']['si_sdr']['value']:.1f} dB", text)
    for name in ("ms_ssim", "cross_entropy"):
        assert re.search(told(back["image"][name], 3 if name == "ms_ssim" else 2), text)


def test_clips_without_a_ratio_are_counted_on_the_page(made, config):
    model, material, figures, _ = made
    audio = {
        **figures["reconstruction"]["audio"],
        "si_sdr_clips": {"silent_originals": 3, "silent_rebuilt": 2, "exact": 0},
    }
    changed = {**figures, "reconstruction": {**figures["reconstruction"], "audio": audio}}
    text = " ".join(Page(render_report(model, material, changed, config)).text.split())
    assert "3 silent recordings have none and are left out. 2 were rebuilt as silence" in text
    assert "rebuilt exactly" not in text
