import keras
import numpy as np
import pytest

from vqmm.export.parity import compare, reference


@pytest.fixture(scope="module")
def wanted(codec):
    return {modality: reference(codec.model, modality, items) for modality, items in codec.items.items()}


def echo(wanted, change=lambda name, found: found):
    """Runners that give what the Keras model gave, changed."""

    def runner(name):
        verb, modality = name.split("_")
        expected = wanted[modality]

        def run(inputs):
            rows = slice(0, len(next(iter(inputs.values()))))
            if verb == "encode":
                found = {key: codes[rows].copy() for key, codes in expected.codes.items()}
            else:
                found = {"log_mel" if modality == "audio" else "image": expected.decoded[rows].copy()}
            change(name, found)
            return found

        return run

    return runner


def test_the_reference_is_the_model(codec, wanted):
    for modality, items in codec.items.items():
        codes = codec.model.encode(**{modality: items}, fine=False)
        np.testing.assert_array_equal(wanted[modality].codes["shared"], codes.shared)
        np.testing.assert_array_equal(wanted[modality].codes["private"], codes.private)
        np.testing.assert_allclose(wanted[modality].decoded, codec.model.decode(codes, modality), atol=1e-5)


def test_equals_agree(codec, wanted):
    found = compare(codec.model, wanted, echo(wanted))
    assert found["agreement"] == found["shared"] == 1 and found["max_abs_diff"] == 0
    assert found["flips"] == {"tie": 0, "rounding": 0, "other": 0}
    assert {name: part["items"] for name, part in found["signatures"].items()} == dict.fromkeys(
        ("encode_audio", "decode_audio", "encode_image", "decode_image"), 8
    )


def test_flips_are_counted_with_their_reasons(codec, wanted):
    quantizer = codec.model.quantizer
    first, _ = quantizer.range_of("image")
    scores = np.array(quantizer.similarities(wanted["image"].latents["private"], "image"))
    order = np.argsort(-scores, axis=-1) + first

    def change(name, found):
        if name == "encode_image":
            np.testing.assert_array_equal(found["private"], order[..., 0])
            found["private"][0, :3] = order[0, :3, 1]
            found["private"][1, 5] = order[1, 5, 4]
        if name == "decode_audio":
            found["log_mel"][2, 3, 4, 0] += 0.25

    found = compare(codec.model, wanted, echo(wanted, change))
    assert found["flips"] == {"tie": 0, "rounding": 3, "other": 1}
    codes = 8 * (2 + 128) + 8 * (2 + 64)
    assert found["agreement"] == pytest.approx(1 - 4 / codes) and found["shared"] == 1
    assert found["signatures"]["encode_image"]["private"] == pytest.approx(1 - 4 / (8 * 64))
    assert found["signatures"]["encode_audio"]["agreement"] == 1
    assert found["max_abs_diff"] == found["signatures"]["decode_audio"]["max_abs_diff"] == pytest.approx(0.25)


def test_equally_near_codes_are_a_tie(codec, wanted):
    quantizer = codec.model.quantizer
    first, stop = quantizer.range_of("image")
    before = keras.ops.convert_to_numpy(quantizer.codebook)
    held = codec.model.get_weights()
    # Every code has a twin.
    table = before[first:stop].copy()
    table[1::2] = table[::2]
    quantizer.place("image", table)
    try:
        twins = {"image": reference(codec.model, "image", codec.items["image"])}

        def change(name, found):
            if name == "encode_image":
                found["private"][0, 0] += 1  # the first of equals is taken: an even one

        assert compare(codec.model, twins, echo(twins, change))["flips"] == {
            "tie": 1,
            "rounding": 0,
            "other": 0,
        }
    finally:
        codec.model.set_weights(held)  # to the bit, which to place codes again is not
