import sys

import pytest
import tensorflow as tf

from vqmm.commands.cli import run


@pytest.mark.parametrize("options, shown", [([], False), (["--debug"], True)])
def test_a_failure_of_tensorflow_is_one_plain_line(monkeypatch, capsys, options, shown):
    monkeypatch.setattr(sys, "argv", ["verb", *options])

    def fail(args):
        tf.gather([1, 2, 3], [7])

    if shown:
        with pytest.raises(tf.errors.InvalidArgumentError):
            run("verb", "", "", lambda parser: None, fail)
        return
    with pytest.raises(SystemExit) as end:
        run("verb", "", "", lambda parser: None, fail)
    said = capsys.readouterr().err
    assert end.value.code == 1
    assert said == "verb: TensorFlow failed: indices[0] = 7 is not in [0, 3); --debug shows where\n"
