import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image

from vqmm.data.batches import evaluation_batches
from vqmm.data.file_records import file_records
from vqmm.encoding import Encoded, encode_batches, encode_records, encode_split, tokens_of, vectors_of_codes
from vqmm.errors import UserError
from vqmm.models import Codes, build_model
from vqmm.rebuild import rebuild
from vqmm.tokens import load_tokens, save_tokens


@pytest.fixture(scope="module")
def model(tiny_config):
    return build_model(tiny_config)


def assert_same(a, b):
    for mine, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_a_split_is_encoded_item_by_item(model, tiny_config, tiny_data, modality):
    encoded = encode_split(model, tiny_data, tiny_config, "test", modality, batch_size=3)  # 3 + 3 + 2
    records = tiny_data.split("test")[0 if modality == "audio" else 1]
    assert encoded.ids.tolist() == records.ids.tolist()
    np.testing.assert_array_equal(encoded.labels, records.labels)
    np.testing.assert_array_equal(encoded.items, records.items)
    assert encoded.embeddings.shape == (8, 2, 8) and encoded.shared.shape == (8, 2)
    # Codes are the nearest vectors of the range to the latents, by brute force.
    table = np.asarray(model.quantizer.codebook)[:4]
    np.testing.assert_array_equal(encoded.shared, (encoded.embeddings @ table.T).argmax(-1))
    start, stop = model.quantizer.ranges[modality]
    assert encoded.private.min() >= start and encoded.private.max() < stop


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_records_and_splits_give_the_same(model, tiny_config, tiny_data, modality):
    records = tiny_data.split("test")[0 if modality == "audio" else 1]
    assert_same(
        encode_records(model, records, tiny_config, modality, 5),
        encode_split(model, tiny_data, tiny_config, "test", modality, 5),
    )


def test_a_file_is_encoded_as_its_record(model, tiny_config, tiny_data):
    """The files that `prepare` read, given by hand: an index finds them again exactly."""
    folder = tiny_data.folder.parent
    for modality, suffix in (("audio", "wav"), ("image", "png")):
        paths = [folder / f"test{n}.{suffix}" for n in range(8)]
        alone = encode_records(model, file_records(paths, modality, tiny_config.data), tiny_config, modality)
        held = encode_split(model, tiny_data, tiny_config, "test", modality)
        assert alone.ids.tolist() == [str(path) for path in paths]
        np.testing.assert_array_equal(alone.shared, held.shared)
        np.testing.assert_array_equal(alone.embeddings, held.embeddings)


def test_nothing_to_encode_is_told(model, tiny_config):
    with pytest.raises(UserError, match="split 'x' has no pictures"):
        encode_batches(model, [], "image", "split 'x'")


def test_batches_need_no_labels(model):
    encoded = encode_batches(model, [{"image": tf.zeros((2, 16, 16, 1)), "id": ["a", b"b"]}], "image")
    assert encoded.ids.tolist() == ["a", "b"]
    assert encoded.labels.tolist() == encoded.items.tolist() == [-1, -1]


def test_an_unreadable_file_is_named(tiny_config, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 2000)
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(UserError, match="a.wav: .*no samples"):
        file_records([tmp_path / "a.wav"], "audio", tiny_config.data)
    with pytest.raises(UserError, match="a.png: "):
        file_records([tmp_path / "a.png"], "image", tiny_config.data)


def test_tokens_know_shapes_rates_and_lengths(model, tiny_config, tiny_data, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(500)), 1000)  # half a second, half the rate
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(tmp_path / "a.png")
    records = file_records([tmp_path / "a.wav"], "audio", tiny_config.data)
    tokens = tokens_of(
        model, tiny_config, encode_records(model, records, tiny_config, "audio"), records.lengths
    )
    assert tokens.sizes.tolist() == [[1000]] and tokens.sample_rate == 2000
    step = 2 ** len(tiny_config.model.filters)  # cells of the spectrogram, and pixels, to a private code
    assert tokens.grid == (1024 // 32 // step, 16 // step)  # 32 samples a frame, 16 mels
    assert tokens.private.shape == (1, tokens.grid[0] * tokens.grid[1])
    assert tokens.frame_rate == pytest.approx(2000 / 32 / step)
    assert tokens.labels is None and tokens.shared.dtype == np.uint8
    records = file_records([tmp_path / "a.png"], "image", tiny_config.data)
    tokens = tokens_of(
        model, tiny_config, encode_records(model, records, tiny_config, "image"), records.lengths
    )
    assert tokens.sizes.tolist() == [[16, 16]] and tokens.grid == (16 // step, 16 // step)
    assert tokens.sample_rate is None and tokens.frame_rate is None
    split = tiny_data.split("test").pictures
    encoded = encode_records(model, split, tiny_config, "image")
    np.testing.assert_array_equal(
        tokens_of(model, tiny_config, encoded, split.lengths).labels, [0, 1, 2, 3, 0, 1, 2, 3]
    )


def test_each_code_has_the_latent_it_was_chosen_for():
    whole = np.arange(2 * 3 * 4, dtype="float32").reshape(2, 3, 4)

    def latents(codes, dim):
        empty = np.zeros(2, "int32")
        items = Encoded("audio", empty, empty, empty, whole, np.zeros((2, codes), "int32"), None)
        return vectors_of_codes(items, dim)

    np.testing.assert_array_equal(latents(3, 4), whole)
    grouped, residual = latents(6, 2), latents(6, 4)
    np.testing.assert_array_equal(grouped[:, 2], whole[:, 1, :2])
    np.testing.assert_array_equal(grouped[:, 3], whole[:, 1, 2:])
    np.testing.assert_array_equal(residual[:, 2], whole[:, 1])
    np.testing.assert_array_equal(residual[:, 3], whole[:, 1])


def test_residual_private_codes_go_to_a_token_file_and_back(tiny_config, tiny_data, tmp_path):
    spec = tiny_config.model.quantizer.model_copy(update={"private_residual": 2, "distance": "euclidean"})
    model_spec = tiny_config.model.model_copy(update={"quantizer": spec})
    config = tiny_config.model_copy(update={"model": model_spec})
    model = build_model(config)
    records = tiny_data.split("test").pictures
    tokens = tokens_of(model, config, encode_records(model, records, config, "image"), records.lengths)
    rows, columns = tokens.grid
    assert tokens.private.shape == (8, 2 * rows * columns)
    save_tokens(tmp_path / "a.npz", tokens)
    back = load_tokens(tmp_path / "a.npz", tokens.fingerprint)
    # The levels of a cell lie beside each other: first all even columns, then what is left over.
    start, stop = model.quantizer.ranges["image"]
    middle = start + (stop - start) // 2
    assert (back.private[:, 0::2] < middle).all() and (back.private[:, 1::2] >= middle).all()
    (batch,) = evaluation_batches(tiny_data, config, "test", "image", 8)
    direct = np.asarray(model.reconstruct(batch["image"], "image"))
    np.testing.assert_allclose(np.stack(rebuild(model, config, back)) / 255, direct, atol=0.51 / 255)


def test_latents_that_are_no_numbers_are_refused_with_the_item():
    latents = np.ones((3, 2, 4), "float32")
    latents[1, 0, 2] = np.nan
    batch = {"image": np.zeros((3, 4, 4, 1), "float32"), "id": np.array([b"a", b"b", b"c"], object)}

    def encode(items):
        return tf.constant(latents), Codes(tf.zeros((3, 2), "int32"))

    with pytest.raises(UserError, match="split 'test': .* not finite for 1 of 3 pictures, the first 'b'"):
        encode_batches(None, [batch], "image", "split 'test'", encode)
