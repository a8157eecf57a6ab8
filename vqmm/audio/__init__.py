"""Audio front end: waveform to log-mel features and back."""

from vqmm.audio.inversion import log_mel_to_audio
from vqmm.audio.log_mel import LogMel

__all__ = ["LogMel", "log_mel_to_audio"]
