"""How many tokens a measured step has."""

from benchmarks.memory import trained
from benchmarks.training_worker import random_batches


def test_a_step_has_about_as_many_tokens_as_asked(tiny_config):
    # Two slots a side, 64 private tokens of the picture and 128 of the clip.
    found = trained(tiny_config, 600)
    assert found == {"items": 3, "tokens": 3 * (2 + 2 + 64 + 128)}
    assert random_batches(tiny_config)["audio"].shape == (4, 8, 1024)
