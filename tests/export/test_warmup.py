import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from vqmm.export.warmup import BATCHES, MODEL_NAME


def test_every_request_is_answered_by_the_saved_model(exported):
    path = exported / "assets.extra" / "tf_serving_warmup_requests"
    loaded = tf.saved_model.load(str(exported))
    asked = []
    for record in tf.data.TFRecordDataset([str(path)]):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        outputs = loaded.signatures[request.model_spec.signature_name](**inputs)
        batch = len(next(iter(inputs.values())))
        assert {len(value) for value in outputs.values()} == {batch}
        asked.append((request.model_spec.name, request.model_spec.signature_name, batch))
    names = set(loaded.signatures) - {"serving_default"}
    assert len(names) == 8
    assert sorted(asked) == sorted((MODEL_NAME, name, batch) for name in names for batch in BATCHES)
