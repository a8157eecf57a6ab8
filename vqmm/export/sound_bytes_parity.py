"""Compares `encode_audio_bytes` with `prepare`'s reading, over the forms that WAV files have."""

from __future__ import annotations

import io
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import tensorflow as tf

from vqmm.config import Config
from vqmm.data.file_records import file_records
from vqmm.data.readers import audio_reader
from vqmm.data.records import Dataset
from vqmm.data.stored_audio import read_stored_audio
from vqmm.errors import UnreadableFile, UserError
from vqmm.export.parity import Runner, reference
from vqmm.models import VQVAE

SIGNATURE = "encode_audio_bytes"
RECORDINGS = 8
DATA_SIZE = 40  # byte of the length of the sound in a plain header
SOUND = 44  # first byte of sound after a plain header

Sound = npt.NDArray[np.int16]


def wav_forms(sound: Sound, rate: int) -> dict[str, bytes]:
    """Writes a recording as WAV in each form that recorders, editors and pipes leave.

    Args:
        sound: i16[n].
        rate: Hz.

    Returns:
        Files by the name of the form.
    """
    stereo = np.stack([sound, sound // 2], axis=1)
    opposite = np.stack([sound, np.clip(-sound.astype(np.int32), -32768, 32767).astype(np.int16)], axis=1)
    plain = _wav(sound, rate, "PCM_16")
    note = b"LIST" + struct.pack("<I", 17) + b"INFOISFT" + struct.pack("<I", 5) + b"Lavf\0" + b"\0"
    return {
        "16 bits": plain,
        "8 bits": _wav(sound, rate, "PCM_U8"),
        "24 bits": _wav(sound, rate, "PCM_24"),
        "32 bits": _wav(sound, rate, "PCM_32"),
        "32-bit floats": _wav(sound / 32768.0, rate, "FLOAT"),
        "64-bit floats": _wav(sound / 32768.0, rate, "DOUBLE"),
        "EXTENSIBLE": _wav(sound, rate, "PCM_16", "WAVEX"),
        "chunk of odd size": plain[: DATA_SIZE - 4] + note + plain[DATA_SIZE - 4 :],
        "length 0": plain[:DATA_SIZE] + bytes(4) + plain[SOUND:],
        "length 0xFFFFFFFF": plain[:DATA_SIZE] + b"\xff" * 4 + plain[SOUND:],
        "stereo": _wav(stereo, rate, "PCM_16"),
        "stereo of opposite phase": _wav(opposite, rate, "PCM_16"),
        "four channels": _wav(np.repeat(stereo, 2, axis=1), rate, "PCM_16"),
    }


def compare_sound_bytes(model: VQVAE, config: Config, dataset: Dataset, run: Runner) -> dict[str, Any] | None:
    """Compares the signature with the Keras model's codes of what `prepare` reads from the same files.

    Args:
        model: the Keras model.
        config: of its run.
        dataset: prepared data; recordings of its test split are written in all forms of `wav_forms`.
        run: the signature `encode_audio_bytes`.

    Returns:
        `items`: files compared; `agreement`: share of codes that are equal; `shared`: of the shared
        ones alone; `forms`: agreement by form; `refused`: by form, why the signature took no such file.
        None where the split has no recordings.
    """
    records = dataset.split("test").recordings
    sounds = [read_stored_audio(data) for data in records.data[:RECORDINGS]]
    if not sounds:
        return None
    rate = config.data.audio.sample_rate
    made = [wav_forms(sound, rate) for sound in sounds]
    by_form = {form: [files[form] for files in made] for form in made[0]}
    windows = _windows([data for files in by_form.values() for data in files], config)
    expected = reference(model, "audio", windows).codes
    equal: dict[str, list[npt.NDArray[np.bool_]]] = {}
    forms: dict[str, float] = {}
    refused: dict[str, str] = {}
    for number, (form, files) in enumerate(by_form.items()):
        rows = slice(number * len(sounds), (number + 1) * len(sounds))
        try:
            found = run({"audio_bytes": np.array(files, object)})
        except UserError as error:
            refused[form] = str(error)
            continue
        same = {name: (codes[rows] == np.asarray(found[name])).ravel() for name, codes in expected.items()}
        forms[form] = float(np.concatenate(list(same.values())).mean())
        for name, part in same.items():
            equal.setdefault(name, []).append(part)
    parts = {name: np.concatenate(found) for name, found in equal.items()}
    return {
        "items": len(forms) * len(sounds),
        "agreement": float(np.concatenate(list(parts.values())).mean()) if parts else 0.0,
        "shared": float(parts["shared"].mean()) if parts else 0.0,
        "forms": forms,
        "refused": refused,
    }


def _windows(files: list[bytes], config: Config) -> npt.NDArray[np.float32]:
    """Returns what the model is given of files that `prepare` reads, f32[n, samples]."""
    with tempfile.TemporaryDirectory(prefix="vqmm-") as folder:
        paths = [Path(folder) / f"{number}.wav" for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        try:
            records = file_records(paths, "audio", config.data)
        except UnreadableFile as error:
            raise UserError(
                f"a recording of the test split cannot be read again: it {error.reason}"
            ) from None
    rows = tf.range(len(files), dtype=tf.int64)
    read = audio_reader(records, config.data.audio.samples, cached=True)
    return np.asarray(read(rows, tf.zeros(len(files))))


def _wav(sound: npt.NDArray[Any], rate: int, subtype: str, form: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, rate, format=form, subtype=subtype)
    return buffer.getvalue()
