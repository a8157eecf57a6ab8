"""Filling hidden tokens, in parallel and one by one."""

import numpy as np
import pytest

from vqmm.errors import UserError
from vqmm.models import HIDDEN, Codes, Prior, Sampler, Settings, decoding
from vqmm.models.generator import Generator

LAYOUT = [["shared", 2, 0, 4], ["image", 4, 4, 10, 1, 2], ["audio", 6, 10, 16, 2, 3]]
NAMES = ("shared", "image", "audio")


@pytest.fixture(scope="module", params=["masked", "autoregressive"])
def prior(request):
    made = Prior(LAYOUT, dim=8, depth=2, heads=2, kind=request.param, labels=("a", "b"))
    rng = np.random.default_rng(0)
    # Weights large enough that conditions matter.
    for weight in made.trainable_variables:
        weight.assign(rng.normal(0, 0.4, weight.shape))
    return made


@pytest.fixture(scope="module")
def sampler(prior):
    return Sampler(prior, Settings(steps=5, top_p=0.9))


def legal(prior, tokens, names=NAMES):
    choices = np.concatenate([np.full(s.length, s.choices) for s in prior.tokens.sections if s.name in names])
    inside = tokens - prior.tokens.offsets(names)
    return ((inside >= 0) & (inside < choices)).all()


def nothing(count, length=12):
    return np.full((count, length), HIDDEN, "int32")


def test_all_is_filled_with_codes_of_its_own_range_by_seed(prior, sampler):
    one, again, other = (sampler.fill(nothing(4), NAMES, seed) for seed in (1, 1, 2))
    assert legal(prior, one)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_kept_tokens_are_kept_and_the_rest_is_drawn_with_progress(prior, sampler):
    whole = sampler.fill(nothing(5), NAMES, 0)
    keep = np.random.default_rng(3).random(whole.shape) < 0.5
    keep[0] = [True] * 2 + [False] * 10
    said: list[float] = []
    found = sampler.fill(np.where(keep, whole, HIDDEN), NAMES, 1, progress=said.append)
    np.testing.assert_array_equal(found[keep], whole[keep])
    assert legal(prior, found) and (found != whole).any()
    assert said[-1] == 1.0 and said == sorted(said) and len(said) == (1 if prior.causal else 5)
    np.testing.assert_array_equal(sampler.fill(whole, NAMES, 2), whole)  # nothing is hidden


@pytest.mark.parametrize("prior", ["autoregressive"], indirect=True)
def test_the_cache_gives_what_no_cache_gives(prior):
    names = ("shared", "audio")
    found = Sampler(prior, Settings(temperature=0)).fill(nothing(3, 8), names)
    tokens, offsets = nothing(3, 8), prior.tokens.offsets(names)
    for place in range(8):  # the whole sequence anew for every token
        scores = prior(tokens, sections=names)
        name, start = ("shared", 0) if place < 2 else ("audio", 2)
        tokens[:, place] = np.asarray(scores[name])[:, place - start].argmax(-1) + offsets[place]
    np.testing.assert_array_equal(found, tokens)


def test_guided_tokens_are_those_of_the_formula(prior):
    names, offsets = ("shared", "audio"), prior.tokens.offsets(("shared", "audio"))
    given = nothing(3, 8)
    given[:, :2] = [[0, 1], [2, 3], [1, 1]]
    settings = Settings(steps=1, temperature=0, guidance=2.0, randomness=0)
    found = Sampler(prior, settings).fill(given, names)
    tokens, blind = given.copy(), given.copy()
    blind[:, :2] = HIDDEN
    for place in range(2, 8) if prior.causal else [slice(2, 8)]:
        scores = [np.asarray(prior(t, sections=names)["audio"]) for t in (tokens, blind)]
        best = (3.0 * scores[0] - 2.0 * scores[1]).argmax(-1) + offsets[2:]
        tokens[:, place] = blind[:, place] = best[:, place - 2] if prior.causal else best
    np.testing.assert_array_equal(found, tokens)


def test_a_label_guides_shared_codes_by_the_formula_too(prior):
    names, offsets = ("shared", "audio"), prior.tokens.offsets(("shared", "audio"))
    labels, none = np.array([0, 1, 0, 1], "int32"), np.full(4, -1, "int32")
    settings = Settings(steps=2, temperature=0, guidance={"audio": 2.0}, randomness=0)
    found = Sampler(prior, settings).fill(nothing(4, 8), names, label=labels)
    tokens = nothing(4, 8)
    for part in [slice(p, p + 1) for p in range(8)] if prior.causal else [slice(0, 2), slice(2, 8)]:
        name = "shared" if part.start < 2 else "audio"
        seen = names if prior.causal or name == "audio" else ("shared",)
        here = tokens[:, :2] if len(seen) == 1 else tokens
        blind = here.copy()
        blind[:, :2] = here[:, :2] if name == "shared" else HIDDEN
        pairs = ((here, labels), (blind, none))
        with_it, without = (np.asarray(prior(t, given, sections=seen)[name]) for t, given in pairs)
        best = (3.0 * with_it - 2.0 * without).argmax(-1)
        first = 2 if name == "audio" else 0
        tokens[:, part] = best[:, part.start - first : part.stop - first] + offsets[part]
    np.testing.assert_array_equal(found, tokens)


def test_nothing_is_guided_that_is_not_drawn(prior, monkeypatch):
    shared = np.array([[0, 1], [2, 3]])
    plain, sound = (Generator(prior, None, Settings(steps=2, guidance={"audio": w})) for w in (0.0, 2.0))
    wanted = plain.across(Codes(shared), "image").tokens
    monkeypatch.setattr(decoding, "guided", None)  # a second pass would call it
    np.testing.assert_array_equal(sound.across(Codes(shared), "image").tokens, wanted)


def test_guidance_of_no_modality_is_none(prior):
    plain, none = (Sampler(prior, Settings(steps=2, guidance=g)) for g in (0.0, {}))
    np.testing.assert_array_equal(plain.fill(nothing(2), NAMES), none.fill(nothing(2), NAMES))


def test_each_modality_has_its_temperature(prior):
    shared = np.array([[0, 1], [2, 3], [1, 1]])
    hot = Generator(prior, None, Settings(steps=1, temperature={"image": 0.0, "audio": 9.0}, randomness=0))
    cold = Generator(prior, None, Settings(steps=1, temperature=0, randomness=0))
    likeliest = cold.across(Codes(shared), "image").tokens
    seeds = range(4)
    for seed in seeds:
        np.testing.assert_array_equal(hot.across(Codes(shared), "image", seed).tokens, likeliest)
    said = [hot.across(Codes(shared), "audio", seed).tokens for seed in seeds]
    assert all((one != said[0]).any() for one in said[1:])
    # Shared codes are drawn as freely as the freest of them.
    drawn = [hot.unconditional(8, seed).tokens[:, :2] for seed in seeds]
    assert any((one != drawn[0]).any() for one in drawn[1:])
    assert Settings(temperature={"audio": 0.5}).heat("shared") == 1.0  # of pictures, which are not named


def test_a_source_is_shown_where_it_can_be_seen(prior):
    maker = Generator(prior, None, Settings(steps=2))
    pair = maker.unconditional(3).tokens
    said, seen = Codes(pair[:, :2], pair[:, 6:]), Codes(pair[:, :2], pair[:, 2:6])
    picture, sound = maker.across(said, "image", 1), maker.across(seen, "audio", 1)
    assert sound.sections == NAMES and (sound.tokens[:, :6] == pair[:, :6]).all()
    # The picture's codes come before the sound's, where the autoregressive prior cannot see these.
    assert picture.sections == (("shared", "image") if prior.causal else NAMES)
    if prior.causal:
        np.testing.assert_array_equal(picture.tokens, maker.across(Codes(said.shared), "image", 1).tokens)


@pytest.mark.parametrize("prior", ["masked"], indirect=True)
def test_a_label_steers_and_an_unknown_one_is_refused(prior):
    maker = Generator(prior, None, Settings(steps=2))
    drawn = [maker.unconditional(20, 0, label).tokens for label in (0, 1)]
    assert (drawn[0] != drawn[1]).any()
    with pytest.raises(ValueError, match="label 2; this prior was trained with 2 labels"):
        maker.unconditional(1, 0, 2)
    shared = np.random.default_rng(0).integers(0, 4, (130, 2))  # more than a batch
    carried = maker.across(Codes(shared), "image")
    assert carried.sections == ("shared", "image") and carried.tokens.shape == (130, 6)
    np.testing.assert_array_equal(carried.tokens[:, :2], shared)
    whole = maker.across(Codes(shared[:2], drawn[0][:2, 6:]), "image")
    assert whole.sections == NAMES and legal(prior, whole.tokens)
    np.testing.assert_array_equal(whole.tokens[:, 6:], drawn[0][:2, 6:])


def test_no_temperature_gives_the_same_for_every_seed(prior):
    """Greedy: the surest places first, with the randomness of the order that is the default."""
    greedy = Sampler(prior, Settings(steps=5, temperature=0))
    found = [greedy.fill(nothing(2), NAMES, seed) for seed in (0, 1, 2)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[0][0], found[0][1])
    assert legal(prior, found[0])


@pytest.mark.parametrize("prior", ["masked"], indirect=True)
def test_greedy_settles_the_surest_places_first(prior):
    names, offsets = ("shared", "audio"), prior.tokens.offsets(("shared", "audio"))
    tokens = nothing(1, 8)
    tokens[:, :2] = [0, 3]
    found = Sampler(prior, Settings(steps=3, temperature=0)).fill(tokens, names, 7)
    for left in (5, 2, 0):  # floor(6 cos(pi/6)), floor(6 cos(pi/3) - 1e-16), none
        logits = np.asarray(prior(tokens, sections=names)["audio"])[0].astype("float64")
        logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        hidden = np.flatnonzero(tokens[0, 2:] == HIDDEN)
        surest = hidden[np.argsort(-logs.max(-1)[hidden])][: len(hidden) - left]
        tokens[0, 2 + surest] = logs.argmax(-1)[surest] + offsets[2 + surest]
    np.testing.assert_array_equal(found, tokens)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(top_k=7), r"top_k=7: .* at most 6 codes \(shared 4, image 6, audio 3\)"),
        (Settings(guidance=1e38), "guidance=1e\\+38: give a finite number from 0 to 100"),
        (Settings(temperature=1e9), "temperature=1000000000.0: give a finite number from 0 to 100"),
        (Settings(temperature={"sound": 0.5}), "temperature of 'sound': give it of"),
        (Settings(top_p=0.0), "top_p=0.0: give a finite number above 0 to 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(prior, settings, words):
    for made in (Sampler, lambda p, s: Generator(p, None, s)):
        with pytest.raises(UserError, match=words):
            made(prior, settings)


def test_the_greatest_guidance_gives_codes_of_their_own_range(prior):
    strong = Sampler(prior, Settings(steps=3, guidance=100.0, top_k=2, temperature=100.0))
    assert legal(prior, strong.fill(nothing(4), NAMES, 0, np.array([0, 1, -1, 0], "int32")))
