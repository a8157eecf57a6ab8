import pytest
import tensorflow as tf

from vqmm.plain_reason import plain_reason


def refusal_of(function, *args):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        tf.function(function)(*args)
    return error.value


def checked(values):
    told = ["values are below 1 [dB]; received", values, "rows of", tf.shape(values)]
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(values < 1), told)]):
        return tf.identity(values)


def test_of_an_assertion_the_words_and_the_values_are_kept():
    error = refusal_of(checked, tf.constant([0.5, 2.0]))
    assert plain_reason(error) == "values are below 1 [dB]; received 0.5 2 rows of 2"


def test_of_operations_and_loops_only_the_reason_is_kept():
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        tf.gather([1, 2, 3], [7])
    assert plain_reason(error.value) == "indices[0] = 7 is not in [0, 3)"

    def first(file):
        return tf.audio.decode_wav(file).audio[0, 0]

    def loop(files):
        return tf.map_fn(first, files, fn_output_signature=tf.float32)

    reason = plain_reason(refusal_of(loop, tf.constant([b"abc"])))
    assert reason == "Data too short when trying to read string"


@pytest.mark.parametrize(
    "text, reason",
    [
        ("{{function_node __inference_f_7}} assertion failed: [a is] [3]\n\t [[{{node Assert}}]]", "a is 3"),
        (
            "2 root error(s) found.\n  (0) INVALID_ARGUMENT:  it is bad\n\t [[{{node x}}]]\n  (1) UNKNOWN: y",
            "it is bad",
        ),
        ("The batch scheduling queue is full", "The batch scheduling queue is full"),
        ("", "str"),
    ],
)
def test_of_a_message_as_grpc_carries_it(text, reason):
    assert plain_reason(text) == reason


def test_other_errors_keep_their_words():
    assert plain_reason(OSError(28, "No space left on device")) == "[Errno 28] No space left on device"
    assert plain_reason(ValueError()) == "ValueError"
