"""`export --verify` compares files of sound, too, and sees where the graph reads them otherwise."""

import io

import numpy as np
import pytest
import soundfile

from vqmm.errors import UserError
from vqmm.export.runners import saved_model_runners
from vqmm.export.sound_bytes_parity import SIGNATURE, compare_sound_bytes, wav_forms


def test_the_forms_hold_the_recording_that_they_were_made_of():
    sound = (3000 * np.sin(np.arange(801) / 5)).astype(np.int16)
    forms = wav_forms(sound, 8000)
    assert len(forms) == 13
    for form, data in forms.items():
        if form.startswith("length"):
            assert data[44:] == sound.tobytes()  # only that its header lies
            continue
        read, rate = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)
        assert rate == 8000
        np.testing.assert_allclose(read[:, 0], sound / 32768, atol=2 / 256 if form == "8 bits" else 0)


def test_the_served_graph_reads_all_forms_as_preparation_does(codec, exported, tiny_data):
    run = saved_model_runners(exported)(SIGNATURE)
    found = compare_sound_bytes(codec.model, codec.config, tiny_data, run)
    assert found["refused"] == {} and found["items"] == 13 * min(8, len(tiny_data.split("test").recordings))
    assert found["agreement"] > 0.995 and min(found["forms"].values()) > 0.98


def test_other_codes_and_refusals_are_reported(codec, exported, tiny_data):
    run = saved_model_runners(exported)(SIGNATURE)

    def faulty(inputs):
        if inputs["audio_bytes"][0][22] == 4:  # channels of a plain header
            raise UserError("four channels are not taken")
        found = dict(run(inputs))
        if inputs["audio_bytes"][0][34] == 8:
            found["shared"] = found["shared"] + 1
        return found

    found = compare_sound_bytes(codec.model, codec.config, tiny_data, faulty)
    assert list(found["refused"]) == ["four channels"] and "not taken" in found["refused"]["four channels"]
    worst = min(found["forms"], key=found["forms"].get)
    assert worst == "8 bits" and found["shared"] == pytest.approx(11 / 12, abs=0.01)
