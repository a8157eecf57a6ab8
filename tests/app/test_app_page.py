"""`vqmm app` as a process: through its programming interface, in a browser, and its end."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chromium import Browser, chromium
from PIL import Image, ImageDraw

from vqmm.commands import app
from vqmm.data.file_records import file_records
from vqmm.encoding import encode_records
from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.model_index import query_values

ROOT = Path(__file__).parents[2]
INPUT = "document.querySelector('input[type=file]')"
RESULT = "document.querySelectorAll('.vq-hits .vq-name')"


def parsed(*args):
    parser = argparse.ArgumentParser()
    app.add_arguments(parser)
    return parser.parse_args([str(a) for a in args])


@pytest.fixture(scope="module")
def page(made, prior, tmp_path_factory):
    """A process that serves the page; its address and the folder of its temporary files."""
    pytest.importorskip("gradio", reason="the page needs Gradio: pip install 'vqmm[app]'")
    scratch = tmp_path_factory.mktemp("scratch")
    args = ["--run", made.run, "--index", made.index, "--data", made.data, "--prior", prior]
    args += ["--port", 0, "--seconds", 3, "--pixels", 120_000, "--json"]
    command = [sys.executable, "-m", "pipelines.app", *map(str, args)]
    env = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    env["TMPDIR"] = str(scratch)
    with (
        (scratch / "log").open("w") as log,
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            process.url = json.loads(process.stdout.readline())["url"]
            process.scratch = scratch
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def client(page):
    from gradio_client import Client

    client = Client(page.url, verbose=False, analytics_enabled=False)
    yield client
    client.close()


@pytest.fixture
def expected(made, run):
    """Ids and scores that the index gives for a file."""

    def found(name, modality, k, wanted):
        records = file_records([made.files / name], modality, run.config.data)
        encoded = encode_records(run.model, records, run.config, modality)
        hits = FaissIndex.open(made.index).search(query_values(run.model, encoded), k, wanted)
        return encoded.shared[0].tolist(), [item.id for item in hits.items[0]], hits.scores[0].tolist()

    return found


def test_a_program_gets_what_the_index_finds(client, made, expected):
    from gradio_client import handle_file

    for name, modality, wanted in (("test2.wav", "audio", "image"), ("test5.png", "image", "audio")):
        question = {"audio": "/sound_to_picture", "image": "/picture_to_sound"}[modality]
        facts = client.predict(handle_file(made.files / name), 4, api_name=question)[-1]
        codes, ids, scores = expected(name, modality, 4, wanted)
        assert facts["query"]["codes"] == codes and [hit["id"] for hit in facts["hits"]] == ids
        assert [hit["score"] for hit in facts["hits"]] == pytest.approx(scores, abs=1e-5)


def test_a_drawing_is_laid_on_its_ground(client, tmp_path):
    from gradio_client import handle_file

    layer = Image.new("RGBA", (320, 320))
    ImageDraw.Draw(layer).line((40, 40, 280, 280), "#000000", 26)
    layer.save(tmp_path / "layer.png")
    stroke = handle_file(tmp_path / "layer.png")
    drawn = {"background": None, "layers": [stroke], "composite": None}
    facts = client.predict(drawn, 2, api_name="/drawing_to_sound")[-1]
    ground = Image.new("RGBA", layer.size, "#ffffff")
    ground.alpha_composite(layer)
    ground.convert("RGB").save(tmp_path / "whole.png")
    again = client.predict(handle_file(tmp_path / "whole.png"), 2, api_name="/picture_to_sound")[-1]
    assert facts == again


def test_items_are_drawn_and_rebuilt(client, made):
    from gradio_client import handle_file

    pairs = client.predict("2", 2, 0, api_name="/pairs")
    assert pairs.count("<audio") == 2 and pairs.count("<img") == 4
    sound = handle_file(made.files / "test2.wav")
    assert client.predict(sound, 2, 0, api_name="/picture_of_sound").count("<img") == 2
    assert client.predict(sound, api_name="/sound_and_back").count("<audio") == 3


def test_mistakes_are_messages(client, made, tmp_path):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    (tmp_path / "bad.wav").write_bytes(b"RIFF nonsense " * 20)
    Image.new("L", (400, 400)).save(tmp_path / "large.png")
    for path, question, told in (
        (tmp_path / "bad.wav", "/sound_to_picture", "cannot be read as audio"),
        (tmp_path / "large.png", "/picture_to_sound", "120000 is the most"),
    ):
        with pytest.raises(AppError, match=told) as refused:
            client.predict(handle_file(path), 4, api_name=question)
        assert "Traceback" not in str(refused.value) and "/tmp" not in str(refused.value)
    with pytest.raises(AppError, match="no sound yet"):
        client.predict(None, 4, api_name="/sound_to_picture")
    with pytest.raises(AppError, match="legal: 1 to 24"):
        client.predict("any", 1, -1, api_name="/pairs")


def test_a_person_uploads_a_sound_and_sees_pictures(page, made, expected, tmp_path):
    path = chromium()
    if path is None:
        pytest.skip("no Chromium or Chrome on this machine; by program the page is tested all the same")
    (tmp_path / "bad.wav").write_bytes(b"RIFF nonsense " * 20)
    browser = Browser(path, tmp_path / "profile")
    try:
        browser.call("Page.navigate", url=page.url)
        browser.click("document.querySelector('button[aria-label=\"Upload file\"]')", f"!!{INPUT}")
        browser.upload(INPUT, made.files / "test2.wav")
        browser.until(f"{RESULT}.length > 0")
        shown = browser.js(f"[...{RESULT}].map(e => e.innerText.split(' ').pop())")
        codes, ids, _ = expected("test2.wav", "audio", 8, "image")
        assert shown == ids
        lit = browser.js("[...document.querySelectorAll('.vq-codes .audio td')].map(e => e.innerText)")
        assert [int(code) for code in lit] == codes
        assert browser.js(
            "[...document.querySelectorAll('.vq-answer img')].every(e => e.complete && e.naturalWidth > 0)"
        )
        browser.screenshot(tmp_path / "page.png")
        with Image.open(tmp_path / "page.png") as picture:
            assert picture.width >= 1000 and len(picture.convert("RGB").getcolors(1 << 24)) > 200
        clear = 'document.querySelector(\'button[aria-label="Clear"], button[title="Clear"]\')'
        browser.click(clear, f"!!{INPUT}")
        browser.upload(INPUT, tmp_path / "bad.wav")
        browser.until("document.body.innerText.includes('cannot be read as audio')")
        hosts = {urlsplit(url).hostname for url in browser.asked if url.startswith(("http", "ws"))}
        assert hosts == {"127.0.0.1"} and not browser.complaints
    finally:
        browser.close()


def test_it_stops_when_told_and_leaves_nothing(page):
    left = list(page.scratch.glob("vqmm-app-*"))
    assert len(left) == 1 and any(left[0].rglob("test2.wav"))
    begun = time.monotonic()
    page.send_signal(signal.SIGTERM)
    assert page.wait(20) == 0 and time.monotonic() - begun < 15
    assert not list(page.scratch.glob("vqmm-app-*"))
    assert (page.scratch / "log").read_text() == ""


def test_wrong_options_are_told_before_anything_is_loaded(made, monkeypatch):
    folders = ("--run", made.run, "--index", made.index)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}: Address already in use; choose another"):
            app.main(parsed(*folders, "--port", port))
    with pytest.raises(UserError, match="--seconds 0"):
        app.main(parsed(*folders, "--seconds", 0))
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "vqmm.app.page", raising=False)
    with pytest.raises(UserError, match=r"needs gradio, which is not installed: pip install 'vqmm\[app\]'"):
        app.main(parsed(*folders, "--port", 0))
