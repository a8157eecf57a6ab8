"""No request makes the service fail or hang: 200 always, 12,000 by `make fuzz`."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from fuzzing import every_kind
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
SECONDS = 10.0  # for an answer
REQUESTS, RAW = 12_000, 500


def drive(http, openapi, requests):
    """Sends them; how many got which status, the slowest answer in seconds, and what went wrong."""
    statuses, slowest, wrong = Counter(), 0.0, []

    @seed(7)
    @settings(
        max_examples=requests,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(request=every_kind(openapi))
    def send(request):
        nonlocal slowest
        started = time.perf_counter()
        try:
            said = request.by(http)
        except httpx.TransportError as error:
            wrong.append((request, repr(error)))
            return
        slowest = max(slowest, time.perf_counter() - started)
        statuses[said.status_code] += 1
        if said.status_code >= 500 or (said.status_code >= 400 and not explained(said)):
            wrong.append((request, f"{said.status_code}: {said.text[:300]}"))

    send()
    return statuses, slowest, wrong


def explained(said):
    """Whether an error tells its reason, and nothing of our inside."""
    try:
        reason = said.json()["error"]
    except (ValueError, KeyError, TypeError):
        return False
    # The second: a temporary file of `MediaReader`; the others: names inside of TensorFlow's graphs.
    inside = ("Traceback", "/vqmm-", "{{", "[Op:", "Graph execution error", "assertion failed", "SVG")
    return isinstance(reason, str) and reason and not any(part in reason for part in inside)


def test_some_requests(served):
    statuses, _, wrong = drive(served.http, served.http.get("/openapi.json").json(), 200)
    assert not wrong
    assert sum(n for status, n in statuses.items() if status >= 400) > 100
    assert {400, 413, 415, 422} & set(statuses) and served.http.get("/healthz").status_code == 200


@pytest.mark.fuzz
def test_thousands_of_requests_to_a_process(served, capsys):
    command = [sys.executable, "-m", "pipelines.serve", "--port", "0", "--json", "--body-bytes", "300000"]
    command += ["--export", str(served.export), "--index", str(served.index)]
    with (
        (served.export / "log").open("w+") as log,
        subprocess.Popen(
            command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=log
        ) as process,
    ):
        try:
            url = json.loads(process.stdout.readline())["url"]
            legal = (served.files / "test1.png").read_bytes()
            with httpx.Client(base_url=url, timeout=SECONDS) as http:

                def found():
                    return http.post("/search", content=legal, headers={"Content-Type": "image/png"}).json()

                before, memory = found(), resident(process.pid)
                started = time.perf_counter()
                statuses, slowest, wrong = drive(http, http.get("/openapi.json").json(), REQUESTS)
                took = time.perf_counter() - started
                assert not wrong, f"{len(wrong)} requests:\n" + "\n".join(
                    f"{sent}: {said}" for sent, said in wrong[:20]
                )
                heads = drive_raw(int(url.rpartition(":")[2]), RAW)
                assert found() == before and process.poll() is None
                grown = resident(process.pid) - memory
            log.seek(0)
            assert not [line for line in log if '"failed"' in line or '"level": "error"' in line]
        finally:
            process.terminate()
            assert process.wait(60) == 0
    refused = sum(n for status, n in statuses.items() if status >= 400)
    with capsys.disabled():
        print(f"\n{sum(statuses.values())} requests, {refused} refused: {dict(sorted(statuses.items()))}")
        print(f"slowest {slowest:.2f} s, {took:.0f} s in all, memory grew by {grown / 2**20:.0f} MiB")
        print(f"{RAW} broken heads, by status {dict(sorted(heads.items()))} (0: the connection was closed)")
    assert refused >= 10_000


def drive_raw(port, requests):
    """Heads that are no HTTP; each is answered with an error or the connection is closed."""
    good = b"POST /encode HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 5\r\n\r\nabcde"
    statuses = Counter()

    @seed(7)
    @settings(max_examples=requests, database=None, phases=[Phase.generate])
    @given(st.lists(st.tuples(st.integers(0, len(good)), st.binary(max_size=6)), min_size=1, max_size=4))
    def send(changes):
        data = bytearray(good)
        for place, part in changes:
            data[place : place + len(part)] = part
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            said = b""
            with contextlib.suppress(ConnectionResetError):
                while part := peer.recv(4096):
                    said += part
        status = int(said.split()[1]) if said else 0
        assert status < 500, said
        statuses[status] += 1

    send()
    return statuses


def resident(pid):
    """Bytes of a process in memory."""
    (line,) = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")
    ]
    return 1024 * int(line.split()[1])
