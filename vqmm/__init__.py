"""Shared discrete tokens of several modalities, in Keras 3.

The public names are imported when they are first used, so that `import vqmm` loads no TensorFlow.
`__init__.pyi` lists them, here and in every package.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
