"""Training: run folders, strategies, the loop.

Import from the modules: `vqmm.training.run_folder` does not load TensorFlow, so that
a wrong path is told at once; `vqmm.training.loop` has `train`.
"""
