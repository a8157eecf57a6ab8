import numpy as np
import pytest
from materials import START, TABLE, encode, material

from vqmm.errors import UserError
from vqmm.evaluation.alignment import (
    SCORERS,
    coded,
    make_scorers,
    retrieval_section,
    transfer_section,
)
from vqmm.metrics import by_item, cosine_scorer, exact_scorer, judge_retrieval, relevance

LABELS = np.arange(40) % 4


def judged(held, layout="slots", wanted=None):
    wanted = wanted or relevance(*(held.sides[name].encoded for name in ("audio", "image")))
    return retrieval_section(held, TABLE, START, layout, wanted, 30, 0)


def test_perfect_codes_find_everything_and_shifted_labels_nothing():
    held = material(encode("audio", LABELS), encode("image", LABELS, seed=1))
    for direction in judged(held).values():
        assert set(direction) == {*SCORERS["slots"], "kmeans"} - {"shared_distance"}
        for scorer in ("code_distance", "asymmetric", "exact"):
            assert direction[scorer]["map"]["value"] == pytest.approx(1.0)
        assert set(direction["kmeans"]) == {"code_distance", "asymmetric", "exact"}
        assert direction["exact"]["map"]["chance"] == pytest.approx(0.3, abs=0.06)
    moved = encode("image", LABELS, seed=1)._replace(labels=((LABELS + 1) % 4).astype("int32"))
    for direction in judged(material(encode("audio", LABELS), moved)).values():
        assert direction["exact"]["r10"]["value"] == 0.0


def test_figures_are_those_of_the_scorers():
    held = material(encode("audio", LABELS, wrong=0.4), encode("image", LABELS, wrong=0.4, seed=1))
    audio, image = (held.sides[name].encoded for name in ("audio", "image"))
    found = judged(held)["image_to_audio"]
    exact = judge_retrieval(exact_scorer(image.shared, audio.shared), LABELS, LABELS, 30)
    both = cosine_scorer(TABLE[image.shared - START], TABLE[audio.shared - START])
    assert found["exact"] == exact.to_json()
    assert found["code_distance"]["map"] == judge_retrieval(both, LABELS, LABELS, 30).map.to_json()


def test_fine_codes_rank_what_shared_ones_leave_equal():
    """All items have one shared code; only what it leaves tells their labels."""
    rng = np.random.default_rng(3)
    tables = 0.5 * rng.normal(size=(3, 4, 4)).astype("float32")
    sides = []
    for modality in ("audio", "image"):
        side = encode(modality, np.zeros(40, int))
        sides.append(side._replace(labels=LABELS.astype("int32"), fine=np.repeat(LABELS[:, None], 3, axis=1)))
    held = material(*sides)
    found = retrieval_section(
        held, TABLE, START, "slots", relevance(*sides), resamples=30, seed=0, fine=tables
    )["audio_to_image"]
    assert set(found) == {*SCORERS["slots"], "kmeans"}
    chance = found["exact"]["map"]["value"]
    assert found["shared_distance"]["map"]["value"] == pytest.approx(chance)
    asked, answers = (coded(side, TABLE, START, tables) for side in sides)
    sums = [TABLE[s.shared - START] + tables[np.arange(3), s.fine] for s in sides]
    unit_sums = sums[0] / np.linalg.norm(sums[0], axis=-1, keepdims=True)
    scores = make_scorers(asked, answers, TABLE, "slots")["code_distance"](slice(None))
    np.testing.assert_allclose(scores, np.einsum("qsd,nsd->qn", unit_sums, sums[1]) / 3, atol=1e-6)
    asymmetric = make_scorers(asked, answers, TABLE, "slots")["asymmetric"](slice(5, 9))
    latents = sides[0].embeddings[5:9]
    np.testing.assert_allclose(asymmetric, np.einsum("qsd,nsd->qn", latents, sums[1]) / 3, atol=1e-6)
    assert found["code_distance"]["map"]["value"] > chance + 0.2


def test_grids_compare_bags():
    """The same codes in another order, and more of them, are the same item."""
    audio = encode("audio", LABELS, wrong=0.3)
    image = audio._replace(
        modality="image",
        shared=np.concatenate([audio.shared[:, ::-1]] * 2, axis=1),
        embeddings=np.concatenate([audio.embeddings[:, ::-1]] * 2, axis=1),
    )
    sides = coded(audio, TABLE, START), coded(image, TABLE, START)
    for name, scorer in make_scorers(*sides, TABLE, "grid").items():
        noise = 0.05 if name == "asymmetric" else 1e-5  # latents lie beside their codes
        np.testing.assert_allclose(np.diag(scorer(slice(None))), 1.0, atol=noise, err_msg=name)
    section = judged(material(audio, image), "grid")
    assert section["audio_to_image"]["continuous"]["map"]["value"] > 0.8
    assert set(section["audio_to_image"]["kmeans"]) == {"code_distance", "asymmetric", "exact"}


def test_unknown_labels_are_left_out():
    labels = np.where(np.arange(40) < 10, -1, LABELS)
    found = judged(material(encode("audio", labels), encode("image", LABELS)))
    assert found["audio_to_image"]["exact"]["map"]["n"] == 30
    assert found["image_to_audio"]["exact"]["map"]["n"] == 40


def test_items_decide_without_labels():
    none = np.full(8, -1)
    audio, image = encode("audio", none, items=np.arange(8)), encode("image", none, items=np.arange(8)[::-1])
    wanted = relevance(audio, image)
    assert wanted.kind == "item"
    found = judged(material(audio, image, train=False), wanted=wanted)
    # All codes are equal: everything ties, and the figures are those of chance.
    assert found["audio_to_image"]["exact"]["r1"]["value"] == pytest.approx(1 / 8)
    assert found["audio_to_image"]["exact"]["r1"]["chance"] == pytest.approx(1 / 8)
    assert "kmeans" not in found["audio_to_image"]


def test_nothing_in_common_is_told():
    audio, image = encode("audio", [-1] * 3, items=[0, 1, 2]), encode("image", [-1] * 3, items=[5, 6, 7])
    with pytest.raises(UserError, match="same item"):
        judged(material(audio, image), wanted=by_item(audio, image))


@pytest.mark.parametrize("layout", ["slots", "grid"])
def test_transfer(layout):
    held = material(encode("audio", LABELS), encode("image", LABELS, seed=1))
    found = transfer_section(held, 4, START, layout, 20, 0)
    assert found["audio_to_image"]["across"]["value"] == found["image_to_audio"]["within"]["value"] == 1.0
    untaught = held._replace(training={"image": held.training["image"]})
    assert transfer_section(untaught, 4, START, layout, 20, 0) is None
    unlabelled = material(encode("audio", [-1] * 4), encode("image", LABELS))
    assert transfer_section(unlabelled, 4, START, layout, 20, 0) is None


def test_labels_that_training_lacks_are_left_out_of_transfer():
    held = material(encode("audio", LABELS), encode("image", LABELS, seed=1))
    few = LABELS < 3  # nothing of the fourth label
    train = {name: side._replace(encoded=side.encoded.rows(few)) for name, side in held.sides.items()}
    found = transfer_section(held._replace(training=train), 4, START, "slots", 20, 0)
    for direction in found.values():
        for figure in direction.values():
            assert (figure["value"], figure["n"]) == (1.0, 30)
