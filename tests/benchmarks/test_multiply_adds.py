import keras
import pytest
import tensorflow as tf

from benchmarks.multiply_adds import multiply_adds


def counted(function, *shapes):
    given = [tf.TensorSpec(shape) for shape in shapes]
    return multiply_adds(tf.function(function, autograph=False).get_concrete_function(*given).graph)


def test_a_convolution_and_both_its_gradients_cost_the_same():
    kernel = tf.Variable(tf.zeros((3, 3, 4, 6)))

    def forward(x):
        return tf.nn.conv2d(x, kernel, 2, "SAME")

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = forward(x)
        return tape.gradient(y, [x, kernel])

    once = 2 * 5 * 4 * (3 * 3 * 4 * 6)  # cells of the strided grid, numbers of the filter
    assert counted(forward, (2, 10, 8, 4)) == once
    turned = keras.layers.Conv2DTranspose(4, 4, strides=2, padding="same")
    turned.build((2, 5, 4, 6))
    assert counted(turned, (2, 5, 4, 6)) == 2 * 5 * 4 * (4 * 4 * 4 * 6)
    assert counted(step, (2, 10, 8, 4)) == 2 * once  # the result itself is not asked for


def test_products_and_einsums():
    assert counted(lambda a, b: tf.matmul(a, b), (3, 5), (5, 7)) == 3 * 5 * 7
    assert counted(lambda a, b: tf.matmul(a, b, transpose_a=True), (5, 3), (5, 7)) == 3 * 5 * 7
    assert counted(lambda a, b: a @ b, (2, 3, 5), (2, 5, 7)) == 2 * 3 * 5 * 7
    assert counted(lambda a, b: tf.einsum("abc,cde->abde", a, b), (2, 3, 5), (5, 4, 7)) == 2 * 3 * 5 * 28


def test_what_is_not_asked_for_and_what_is_no_product_costs_nothing():
    def wasteful(a, b):
        tf.matmul(a, b)
        return tf.nn.relu(a)

    assert counted(wasteful, (3, 5), (5, 7)) == 0


def test_an_unknown_batch_is_refused():
    with pytest.raises(ValueError, match="constant shapes"):
        counted(lambda a, b: tf.matmul(a, b), (None, 5), (5, 7))
