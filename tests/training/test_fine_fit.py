import keras
import numpy as np
import pytest

from vqmm.data.batches import training_batches
from vqmm.encoding import codebook_fingerprint, encode_split
from vqmm.models import build_model
from vqmm.training.codebook_start import start_codebook
from vqmm.training.fine_fit import with_fine_codes
from vqmm.training.loop import train


@pytest.fixture(scope="module")
def coarse(tiny_config, tiny_data):
    model = build_model(tiny_config)
    start_codebook(model, training_batches(tiny_data, tiny_config).take(3))
    return model


def distance(latents, model, encoded, fine):
    """Mean squared distance of unit latents to what an item's codes stand for."""
    table = np.array(model.quantizer.table("shared"))
    values = table[encoded.shared - model.quantizer.range_of("shared")[0]]
    if fine:
        values = values + np.array(model.fine.codes_to_values(encoded.fine))
    return ((latents - values) ** 2).mean()


def test_codes_stay_and_fine_ones_bring_them_nearer_to_their_latents(coarse, tiny_config, tiny_data):
    before = coarse.quantizer.codebook.numpy()
    found = with_fine_codes(coarse, training_batches(tiny_data, tiny_config).take(8), 6)
    for modality in ("audio", "image"):
        old = encode_split(coarse, tiny_data, tiny_config, "test", modality)
        new = encode_split(found, tiny_data, tiny_config, "test", modality)
        assert old.fine is None and new.fine.shape == new.shared.shape
        np.testing.assert_allclose(new.embeddings, old.embeddings, atol=1e-6)
        np.testing.assert_array_equal(new.shared, old.shared)
        np.testing.assert_array_equal(new.private, old.private)
        left = new.embeddings - np.array(found.quantizer.table("shared"))[new.shared]
        nearest = ((left[:, :, None] - found.fine.tables.numpy()[None]) ** 2).sum(-1).argmin(-1)
        np.testing.assert_array_equal(new.fine, nearest)
        without, within = (distance(new.embeddings, found, new, fine) for fine in (False, True))
        assert within < 0.7 * without
    np.testing.assert_array_equal(coarse.quantizer.codebook.numpy(), before)
    assert coarse.fine is None and codebook_fingerprint(found) != codebook_fingerprint(coarse)


def test_the_same_batches_give_the_same_tables(coarse, tiny_config, tiny_data):
    one, other = (
        with_fine_codes(coarse, training_batches(tiny_data, tiny_config).take(3), 4, seed=1) for _ in range(2)
    )
    np.testing.assert_array_equal(one.fine.tables.numpy(), other.fine.tables.numpy())


@pytest.mark.parametrize("missing", ["audio", "image"])
def test_a_missing_modality_gives_nothing_and_endless_batches_end(coarse, tiny_config, tiny_data, missing):
    def halves():
        for batch in training_batches(tiny_data, tiny_config):  # without end
            yield {**batch, f"{missing}_mask": np.zeros(len(batch["audio"]), bool)}

    found = with_fine_codes(coarse, halves(), 3)
    whole = with_fine_codes(coarse, training_batches(tiny_data, tiny_config), 3)
    assert found.fine.tables.shape == (2, 3, 8)
    assert (found.fine.tables.numpy() != whole.fine.tables.numpy()).any()


def test_no_more_codes_than_latents(coarse, tiny_config, tiny_data):
    found = with_fine_codes(coarse, training_batches(tiny_data, tiny_config).take(1), 400)
    assert 1 < found.fine.codes <= 2 * tiny_config.train.batch_size


def test_a_trained_run_has_them_and_loads_in_safe_mode(tiny_config, tiny_data, tmp_path):
    run = train(tiny_config, tiny_data, tmp_path / "run")
    assert 1 <= run.model.fine.codes <= tiny_config.model.quantizer.fine
    loaded = keras.saving.load_model(tmp_path / "run" / "model.keras", compile=False, safe_mode=True)
    batch = next(iter(training_batches(tiny_data, tiny_config)))
    both = (model.encode(audio=batch["audio"]) for model in (run.model, loaded))
    for part, same in zip(*both, strict=True):
        np.testing.assert_array_equal(part, same)
