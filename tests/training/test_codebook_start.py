import numpy as np
import pytest
import tensorflow as tf
from threadpoolctl import threadpool_limits

from vqmm.config import Config
from vqmm.data.batches import training_batches
from vqmm.models import build_model, without_idle_codes
from vqmm.quantizers import Assignment, VectorQuantizer
from vqmm.training.codebook_start import _centres, start_codebook


def distortion(model, batches, name):
    """Mean squared distance of the private latents to their nearest codes."""
    found = []
    for batch in batches:
        latents = model.encoders[name](model.features[name](batch[name]), training=False).private
        latents = np.asarray(model.quantizer.unit(latents)).reshape(-1, model.quantizer.dim)
        table = np.asarray(model.quantizer.table(name))
        found.append(((latents[:, None] - table[None]) ** 2).sum(-1).min(axis=1).mean())
    return np.mean(found)


def start(config, data):
    model = build_model(config)
    before = model.quantizer.codebook.numpy()
    start_codebook(model, training_batches(data, config).take(3), seed=5)
    return model, before


def test_private_codes_move_to_the_latents_and_quantization_begins(tiny_config, tiny_data):
    fresh = build_model(tiny_config)
    assert float(fresh.quantizer.started) == 0
    batches = list(training_batches(tiny_data, tiny_config).take(3))
    model, before = start(tiny_config, tiny_data)
    assert float(model.quantizer.started) == 1
    for name in ("audio", "image"):
        assert distortion(model, batches, name) < 0.5 * distortion(fresh, batches, name)
    again, _ = start(tiny_config, tiny_data)
    np.testing.assert_array_equal(np.asarray(model.quantizer.codebook), np.asarray(again.quantizer.codebook))


def test_centres_are_the_same_to_the_bit_on_any_number_of_cores():
    tokens = np.random.default_rng(0).normal(size=(4000, 8)).astype("float32")
    found = []
    for threads in (1, 8, 8):
        with threadpool_limits(limits=threads):
            found.append(_centres(tokens, 16, 0))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_replicas_start_with_the_codes_that_one_starts_with(tiny_config, tiny_data, two_replicas):
    alone, before = start(tiny_config, tiny_data)
    with two_replicas.scope():
        shared = build_model(tiny_config)
    start_codebook(shared, training_batches(tiny_data, tiny_config).take(3), seed=5)
    copies = two_replicas.experimental_local_results(shared.quantizer.codebook.value)
    assert (alone.quantizer.codebook.numpy() != before).any() and len(copies) == 2
    for copy in copies:
        np.testing.assert_allclose(copy, alone.quantizer.codebook, atol=1e-6)


@pytest.mark.parametrize("swapped, moves", [(1.0, False), (0.0, True)])
def test_shared_codes_that_the_swapped_loss_trains_stay(tiny_config, tiny_data, swapped, moves):
    tree = tiny_config.model_dump(mode="json")
    tree["loss"]["swapped"] = swapped
    model, before = start(Config.model_validate(tree), tiny_data)
    first, last = model.quantizer.ranges["shared"]
    assert (np.asarray(model.quantizer.codebook)[first:last] != before[first:last]).any() == moves


def test_missing_items_do_not_count(tiny_config):
    model = build_model(tiny_config)
    rng = np.random.default_rng(0)
    batch = {
        "audio": tf.zeros((4, 1024)),
        "image": tf.constant(rng.uniform(0, 1, (4, 16, 16, 1)), tf.float32),
        "audio_mask": tf.zeros(4, tf.bool),
        "image_mask": tf.ones(4, tf.bool),
        "id": tf.constant(["x"] * 4),
    }
    before = model.quantizer.codebook.numpy()
    start_codebook(model, [batch])
    after = np.asarray(model.quantizer.codebook)
    audio, image = (slice(*model.quantizer.ranges[name]) for name in ("audio", "image"))
    np.testing.assert_array_equal(after[audio], before[audio])
    assert (after[image] != before[image]).all()
    shared = slice(*model.quantizer.ranges["shared"])
    assert (after[shared] != before[shared]).any()  # a side alone: no swapped loss has trained them


def test_grids_of_other_sizes_have_no_swapped_loss_and_start_by_k_means(tiny_config, tiny_data):
    tree = tiny_config.model_dump(mode="json")
    tree["model"]["layout"] = "grid"
    model, before = start(Config.model_validate(tree), tiny_data)
    assert model.weights_of_losses["swapped"] == 0
    shared = slice(*model.quantizer.ranges["shared"])
    assert (np.asarray(model.quantizer.codebook)[shared] != before[shared]).any()


@pytest.mark.parametrize("kind", ["ema", "gradient"])
@pytest.mark.parametrize("revive", [0.0, 0.9], ids=["no revival", "revival"])
def test_of_four_distinct_latents_four_codes_are_in_use(tiny_config, kind, revive):
    """A data set of two recordings and two pictures, as often as you like."""
    tree = tiny_config.model_dump(mode="json")
    tree["model"].update(slots=1, dropout=0)
    tree["model"]["quantizer"].update(
        shared=256, shared_update=kind, revive_below=revive, image=0, audio=0, fine=0
    )
    tree["loss"].update(swapped=0, agreement=1)
    config = Config.model_validate(tree)
    model = build_model(config)
    rng = np.random.default_rng(0)
    audio = rng.normal(0, 0.1, (2, 1024)).astype("float32")
    image = rng.uniform(0, 1, (2, 16, 16, 1)).astype("float32")
    batch = {
        "audio": tf.constant(np.tile(audio, (8, 1))),
        "image": tf.constant(np.tile(image, (8, 1, 1, 1))),
        "audio_mask": tf.ones(16, tf.bool),
        "image_mask": tf.ones(16, tf.bool),
        "id": tf.constant(["x"] * 16),
    }
    lines = []
    start_codebook(model, [batch] * 20, say=lines.append)
    (line,) = lines
    assert line.startswith("640 shared latents have 4 distinct values for 256 codes: 252 codes start empty")
    codes = model.quantizer
    outputs = model({k: v for k, v in batch.items() if k != "id"}, training=False)
    latents = [out.latents.shared for out in outputs.values()]

    @tf.function(autograph=False)
    def step():
        found = [codes.nearest(x, "shared") for x in latents]
        codes.update([Assignment(x, c, None, "shared") for x, c in zip(latents, found, strict=True)])

    for _ in range(130):  # past the age at which codes are revived; far below what lets idle ones fade
        step()
    assert np.isfinite(codes.codebook.numpy()).all() and np.isfinite(codes.sums.numpy()).all()
    lengths = np.linalg.norm(codes.codebook.numpy(), axis=1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-4)  # none has faded
    small = without_idle_codes(model)
    assert small.quantizer.range_of("shared") == (0, 4)
    for name, items in (("audio", audio), ("image", image)):
        vectors = [
            np.array(m.quantizer.codes_to_values(m.encode(**{name: items}).shared, "shared"))
            for m in (model, small)
        ]
        np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-3)


def test_codes_beyond_the_distinct_latents_start_empty():
    """Two latents for eight codes: the second one is placed, the others are empty."""
    quantizer = VectorQuantizer({"codes": 8}, 4, distance="euclidean")
    tokens = np.repeat(np.eye(4, dtype="float32")[:2], 50, axis=0)
    quantizer.fit(tokens, "codes", lambda tokens, size: _centres(tokens, size, 0))
    np.testing.assert_array_equal(quantizer.counts.numpy(), [1, 1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(quantizer.codebook.numpy(), np.tile(np.eye(4)[:2], (4, 1)))
    np.testing.assert_array_equal(quantizer.live("codes", 0.05), [True, True] + [False] * 6)
