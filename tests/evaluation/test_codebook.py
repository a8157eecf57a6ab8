import numpy as np
import pytest
from materials import START, encode, material

from vqmm.evaluation.codebook import codebook_section

LABELS = np.arange(40) % 4
RANGES = {"audio": (0, 2), "shared": (START, START + 4)}


def section(held, layout="slots", ranges=RANGES):
    return codebook_section(held, ranges, layout, 30, 0)


def test_perfect_pairs():
    held = material(encode("audio", LABELS), encode("image", LABELS))
    found = section(held)
    assert found["pair_agreement"]["value"] == 1.0 and found["pair_agreement"]["chance"] == pytest.approx(
        0.25
    )
    assert found["agreement_by_slot"] == [1.0] * 3
    assert found["usage"]["value"] == found["entropy_ratio"]["value"] == 1.0
    assert found["perplexity"]["value"] == pytest.approx(4.0) and found["codes"] == 4
    assert found["exclusive"]["value"] == 0.0 and found["js_divergence"]["value"] == pytest.approx(0.0)
    assert found["pair_information"]["plain_per_slot_bits"] == pytest.approx(2.0)
    assert found["pair_information"]["label_entropy_bits"] == pytest.approx(2.0)


def test_modalities_that_share_nothing():
    audio, image = encode("audio", LABELS % 2), encode("image", 2 + LABELS % 2)
    held = material(audio, image, pair_by="item")
    found = section(held)
    assert found["exclusive"]["value"] == 1.0 and found["overlap"]["value"] == 0.0
    assert found["js_divergence"]["value"] == pytest.approx(1.0)
    assert found["audio"]["usage"]["value"] == 0.5 and found["image"]["usage"]["value"] == 0.5
    assert found["pair_agreement"]["value"] == 0.0 and found["pair_agreement"]["n"] == 40
    assert "label_entropy_bits" not in found["pair_information"]


def test_private_ranges_are_reported_where_they_are():
    codes = np.zeros((40, 5), "int32")
    held = material(encode("audio", LABELS)._replace(private=codes), encode("image", LABELS))
    found = section(held)["ranges"]
    assert set(found) == {"shared", "audio"}
    assert found["audio"]["usage"]["value"] == 0.5 and found["audio"]["perplexity"]["value"] == 1.0


def test_grids_agree_by_bags():
    audio = encode("audio", LABELS, wrong=0.5)
    image = audio._replace(modality="image", shared=audio.shared[:, ::-1])
    found = section(material(audio, image, pair_by="item"), "grid")
    assert found["pair_agreement"]["value"] == pytest.approx(1.0) and "agreement_by_slot" not in found


def test_items_without_partners_make_no_pairs():
    held = material(encode("audio", [-1] * 4), encode("image", [-1] * 4))
    assert "pair_agreement" not in section(held)
