"""Models for other programs: TensorFlow Serving, devices."""
