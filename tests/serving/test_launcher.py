"""`vqmm serve` as a process."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from vqmm.commands import query, serve
from vqmm.config import save_config
from vqmm.errors import UserError
from vqmm.serving.client import Client, ServiceError
from vqmm.training.model_file import save_model

ROOT = Path(__file__).parents[2]


def parsed(verb, *args):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    return parser.parse_args([str(a) for a in args])


def test_it_serves_what_query_finds_and_answers_all_it_accepted_before_it_stops(served, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    save_config(served.codec.config, run / "config.yaml")
    save_model(served.codec.model, run / "model.keras")
    sound = served.files / "test2.wav"
    query.main(parsed(query, "--run", run, "--index", served.index, "--audio", sound, "--k", 4, "--json"))
    expected = json.loads(capsys.readouterr().out)["hits"]
    (tmp_path / "token").write_text("s3cret\n")
    args = ["--export", served.export, "--index", served.index, "--port", "0", "--json"]
    args += ["--token-file", tmp_path / "token", "--wait-ms", "500", "--batch", "16"]
    command = [sys.executable, "-m", "pipelines.serve", *map(str, args)]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=log
        ) as process,
    ):
        try:
            url = json.loads(process.stdout.readline())["url"]
            assert httpx.get(url + "/healthz").json()["items"] == {"audio": 8, "image": 8}
            with Client(url) as stranger, pytest.raises(ServiceError, match="401"):
                stranger.encode(sound, "audio")
            client = Client(url, "s3cret")
            hits = client.search(sound, "audio", 4)
            items = served.codec.items["image"][:1]
            with ThreadPoolExecutor(6) as pool:  # they wait in the queue when the signal comes
                pending = [pool.submit(client.predict, "encode_image", {"image": items}) for _ in range(6)]
                time.sleep(0.3)
                process.send_signal(signal.SIGTERM)
                found = [f.result()["shared"] for f in pending]
            client.close()
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert [(h.id, h.rank) for h in hits] == [(h["id"], h["rank"]) for h in expected]
    np.testing.assert_allclose([h.score for h in hits], [h["score"] for h in expected], atol=1e-4)
    np.testing.assert_array_equal(found, [served.codec.model.encode(image=items).shared] * 6)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line[0] == "{"]
    answers = [line["status"] for line in lines if line["event"] == "request"]
    assert sorted(answers) == [200] * 8 + [401]


@pytest.mark.parametrize(
    "args, told",
    [
        (("--batch", 0), "--batch 0: input should be greater than or equal to 1"),
        (("--port", 70_000), "--port 70000; legal: 0 to 65535"),
        (("--token-file", "nowhere"), "--token-file nowhere: no such file"),
        (("--port", 0, "--token-file", __file__), "must hold one word"),
    ],
)
def test_wrong_options_are_told(served, args, told):
    with pytest.raises(UserError, match=told):
        serve.main(parsed(serve, "--export", served.export, *args))
