from hypothesis import given
from hypothesis import strategies as st

from vqmm.training.differences import MISSING, Difference, differences

# Hypothesis builds its Unicode tables once a machine, for over a second: now, not in a test's first draw.
st.text().validate()

trees = st.recursive(
    st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda leaf: st.dictionaries(st.text("abc", min_size=1, max_size=2), leaf, max_size=3),
    max_leaves=8,
)


def test_names_each_key_with_both_values():
    old = {"train": {"steps": 10, "lr": 1}, "gone": 1, "same": [1, 2]}
    new = {"train": {"steps": 20, "lr": 1}, "same": (1, 2), "more": {"x": 3}}
    assert differences(old, new) == [
        Difference("train.steps", 10, 20),
        Difference("more.x", MISSING, 3),
        Difference("gone", 1, MISSING),
    ]
    assert str(differences(old, new)[0]) == "train.steps: 10 → 20"


@given(st.dictionaries(st.text("abc", min_size=1, max_size=2), trees, max_size=3))
def test_nothing_differs_from_itself(tree):
    assert differences(tree, tree) == []


@given(*[st.dictionaries(st.text("abc", min_size=1, max_size=2), st.integers(), max_size=4)] * 2)
def test_is_the_symmetric_difference_of_the_entries(old, new):
    assert {d.key for d in differences(old, new)} == {k for k, _ in set(old.items()) ^ set(new.items())}
