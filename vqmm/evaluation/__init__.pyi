from .evaluate import evaluate as evaluate
from .evaluate import judge as judge
from .material import Material as Material
from .material import Side as Side
from .material import gather_material as gather_material
from .reconstruction import rebuild as rebuild
from .reconstruction import waveforms as waveforms
