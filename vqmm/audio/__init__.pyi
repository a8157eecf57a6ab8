from .inverse_stft import InverseSTFT as InverseSTFT
from .inversion import log_mel_to_audio as log_mel_to_audio
from .log_mel import LogMel as LogMel
