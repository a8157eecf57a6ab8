"""Where a step's time goes, from TensorFlow's own trace."""

import pytest
import tensorflow as tf

from benchmarks.profile import kind_of, operation_times, part_of, profiled


def test_every_millisecond_of_a_step_has_a_part_and_a_kind(tiny_config, tmp_path):
    (tmp_path / "before.xplane.pb").touch()  # an earlier trace
    found = profiled(tiny_config, 3, tmp_path)
    total = sum(found.names.values())
    assert sum(found.parts.values()) == pytest.approx(total) == pytest.approx(sum(found.kinds.values()))
    sides = {f"{side}_{half}" for side in ("audio", "image") for half in ("encoder", "decoder")}
    assert {*sides, *(f"{side}, gradient" for side in sides), "quantizer", "losses", "optimizer"} <= {
        *found.parts
    }
    assert {"convolution", "product", "transform", "element by element"} <= {*found.kinds}
    assert list(found.parts.values()) == sorted(found.parts.values(), reverse=True)
    assert found.step > 0 and len(list(tmp_path.rglob("*.xplane.pb"))) == 2  # for TensorBoard


def test_operations_of_a_graph_are_those_that_it_has(tmp_path):
    x = tf.random.stateless_normal((300, 300), seed=(0, 0))

    @tf.function(autograph=False)
    def work():
        with tf.name_scope("here"):
            return tf.cumsum(tf.matmul(x, x, name="square"), name="sums")

    work()
    with tf.profiler.experimental.Profile(str(tmp_path)):
        work()
    (trace,) = tmp_path.rglob("*.xplane.pb")
    times = operation_times(trace)
    assert {name.partition(":")[0] for name in times} >= {"here/square", "here/sums"}
    assert all(spent >= 0 for spent in times.values()) and times["here/sums:Cumsum"] > 0


@pytest.mark.parametrize(
    "path, part",
    [
        ("vqvae/audio_encoder/trunk/conv2d/convolution", "audio_encoder"),
        (
            "gradient_tape/image_discriminator/scale_0/conv2d/Conv2DBackpropInput",
            "image_discriminator, gradient",
        ),
        ("gradient_tape/vqvae/quantizer/MatMul", "quantizer, gradient"),
        ("replica_clipped_adam/AssignAddVariableOp", "optimizer"),
        ("ReduceLogSumExp/Exp", "losses"),
    ],
)
def test_a_path_tells_the_part(path, part):
    assert part_of(path, {"audio_encoder", "image_discriminator", "quantizer"}) == part


@pytest.mark.parametrize(
    "operation, kind",
    [
        ("_MklNativeConv2DBackpropFilterWithBias", "convolution"),
        ("_MklBatchMatMulV2", "product"),
        ("StridedSliceGrad", "copy"),
        ("AssignAddVariableOp", "optimizer"),
        ("RFFT", "transform"),
        ("_MklSwish", "element by element"),
    ],
)
def test_an_operation_tells_its_kind(operation, kind):
    assert kind_of(operation) == kind
