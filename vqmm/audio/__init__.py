"""Audio front end: waveform to log-mel features and back."""

from vqmm.audio.inverse_stft import InverseSTFT
from vqmm.audio.inversion import log_mel_to_audio
from vqmm.audio.log_mel import LogMel

__all__ = ["InverseSTFT", "LogMel", "log_mel_to_audio"]
