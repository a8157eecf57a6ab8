from .faiss_index import FaissIndex as FaissIndex
from .protocol import Hits as Hits
from .protocol import Index as Index
from .protocol import Item as Item
