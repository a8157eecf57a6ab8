"""Shared discrete tokens of several modalities, in Keras 3.

The public names, listed in `__init__.pyi`, are imported when they are first used, so that `import vqmm`
loads no TensorFlow. The packages `audio`, `metrics`, `models`, `networks` and `quantizers` import all of
their modules, since Keras finds a saved model's classes only where their modules have registered them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
