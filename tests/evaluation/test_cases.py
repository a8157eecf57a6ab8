import numpy as np
import pytest
from scipy import stats

from vqmm.evaluation.cases import Cases, Features, Values, paired_difference, paired_frechet
from vqmm.metrics import Rebuilt, frechet_difference


def test_cases_read_back_and_no_file_means_none(tmp_path):
    cases = Cases()
    cases.note("retrieval.audio_to_image.exact.map", np.array(["a", "ü/b"], object), np.array([0.25, 1.0]))
    cases.note("reconstruction.image.mse", ["x"], np.array([3e-3]))
    cases.note_features("reconstruction.image.frechet", ["x", "y"], np.eye(2), 2 * np.eye(2), "0123abcd")
    cases.save(tmp_path / "cases.npz")
    again = Cases.load(tmp_path / "cases.npz")
    assert set(again) == set(cases)
    for name, held in cases.items():
        assert type(again[name]) is type(held)
        for ours, theirs in zip(again[name], held, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert (
        again["reconstruction.image.frechet"].judge == "0123abcd"
        and again["reconstruction.image.mse"][2] == ""
    )
    assert Cases.load(tmp_path / "none.npz") == {}


def test_cases_of_earlier_versions_tell_no_judge(tmp_path):
    arrays = {"ids": np.array(["a"]), "values": np.ones(1, "float32")}
    path = "reconstruction.image.perceptual"
    np.savez(tmp_path / "cases.npz", **{f"{path}/{name}": array for name, array in arrays.items()})
    assert Cases.load(tmp_path / "cases.npz")[path].judge == ""


PERCEPTUAL, FRECHET = "reconstruction.image.perceptual", "reconstruction.image.frechet"


def judged(judge, seen, sets=None):
    """Cases of two items; what the network `judge` sees in them; the Fréchet distance may be by another."""
    cases = Cases()
    cases.note("reconstruction.image.psnr", ["a", "b"], np.ones(2))
    cases.note(PERCEPTUAL, ["a", "b"], np.ones(2), judge)
    cases.note_features(FRECHET, ["a", "b"], seen, seen + 1, judge if sets is None else sets)
    return cases


def test_distances_in_features_of_different_networks_are_not_compared():
    one, seen, other = judged("aa", np.eye(2)), np.eye(2) + 1e-5, np.eye(2) + 0.1
    for path in (PERCEPTUAL, FRECHET):
        assert one.why_apart(judged("aa", other), path) == ""
        assert one.why_apart(judged("bb", seen), path) == ""  # the same but for rounding
        said = one.why_apart(judged("bb", other), path)
        assert "fingerprints aa and bb" in said and "judge both by evaluate" in said
        # By earlier versions: only the features tell.
        assert judged("", np.eye(2)).why_apart(judged("", seen), path) == ""
        assert "an earlier version" in judged("", other).why_apart(one, path)
    assert one.why_apart(judged("bb", other), "reconstruction.image.psnr") == ""
    # A named network gave the sets' features: they say nothing of the other, that measured the distance.
    named, also = judged("aa", np.eye(2), "cc"), judged("bb", np.eye(2), "cc")
    assert named.why_apart(also, FRECHET) == "" and "aa and bb" in named.why_apart(also, PERCEPTUAL)
    bare = judged("bb", seen)
    del bare[FRECHET]
    assert "aa and bb" in one.why_apart(bare, PERCEPTUAL)


def of(ids, values):
    return Values(np.array(ids, "str"), np.array(values, "float32"))


def test_items_are_paired_by_id_and_averaged_over_seeds():
    ours = [of(["a", "b", "c"], [1.0, 0.5, 0.0]), of(["c", "d"], [0.5, 0.25])]
    theirs = [of(["c", "a", "x"], [0.5, 0.75, 9.0]), of(["d", "c"], [0.0, 0.0])]
    found = paired_difference(ours, theirs)
    # a: 0.25; c: -0.5 and 0.5; d: 0.25
    assert found.value == pytest.approx((0.25 + 0.0 + 0.25) / 3) and found.n == 3
    assert paired_difference([of(["a"], [1.0])], [of(["b"], [1.0])]) is None


def test_the_interval_is_that_of_a_paired_test_and_far_narrower_than_that_of_the_means():
    rng = np.random.default_rng(0)
    hard, names = rng.uniform(0, 1, 400), [f"q{n}" for n in range(400)]
    one, other = hard + 0.02 + rng.normal(0, 0.02, 400), hard + rng.normal(0, 0.02, 400)
    found = paired_difference([of(names, one)], [of(names, other)], resamples=4000)
    exact = stats.ttest_rel(one, other).confidence_interval(0.95)
    np.testing.assert_allclose(found.ci95, exact, atol=4e-4)
    assert found.ci95[0] > 0
    assert stats.ttest_ind(one, other).confidence_interval(0.95)[0] < 0


def test_frechet_distances_differ_over_the_items_that_all_runs_have():
    rng = np.random.default_rng(0)
    names = np.array([f"item{n}" for n in range(40)])
    real = rng.normal(size=(40, 3)).astype("float32")
    made = [real + 0.2 * rng.normal(size=(40, 3)).astype("float32") for _ in range(4)]
    turned = rng.permutation(40)
    ours = [Features(names, real, made[0]), Features(names, real, made[1])]
    theirs = [
        Features(names[turned], real[turned], made[2][turned]),
        Features(names[:30], real[:30], made[3][:30]),
    ]
    found = paired_frechet(ours, theirs)
    order = np.argsort(names[:30])
    rows = [Rebuilt(real[:30][order], x[:30][order]) for x in made]
    assert found == frechet_difference(rows[:2], rows[2:]) and found.n == 30
    assert paired_frechet(ours[:1], [Features(np.char.add(names, "x"), real, made[2])]) is None
    # Judged by other features: nothing can be said.
    assert paired_frechet(ours[:1], [Features(names, real + 0.1, made[2])]) is None
