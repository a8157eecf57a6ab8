"""What the page finds is what the library finds."""

import html
import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from vqmm.app.explorer import OTHER, Explorer
from vqmm.app.parts import hits_html, rebuilt_html
from vqmm.data.file_records import file_records
from vqmm.encoding import encode_records
from vqmm.errors import UserError
from vqmm.models import Codes
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.model_index import query_values

FILES = {"audio": "test2.wav", "image": "test5.png"}


@pytest.mark.parametrize("modality", FILES)
def test_hits_codes_and_files_are_those_of_the_index_and_the_data(explorer, run, made, tiny_data, modality):
    path = made.files / FILES[modality]
    records = file_records([path], modality, run.config.data)
    encoded = encode_records(run.model, records, run.config, modality)
    index = FaissIndex.open(made.index)
    expected = index.search(query_values(run.model, encoded), 5, OTHER[modality])
    query = explorer.encode(path.read_bytes(), modality)
    found = explorer.search(query, 5)
    np.testing.assert_array_equal(query.tokens.shared, encoded.shared)
    np.testing.assert_array_equal(query.tokens.private, encoded.private)
    assert [hit.row["id"] for hit in found] == [item.id for item in expected.items[0]]
    np.testing.assert_allclose([hit.row["score"] for hit in found], expected.scores[0], atol=1e-6)
    np.testing.assert_array_equal([hit.codes for hit in found], index.codes()[expected.positions[0]])
    split = tiny_data.split("test")
    held = split.pictures if modality == "audio" else split.recordings
    data = held.data[list(held.ids).index(found[0].row["id"])]
    if modality == "audio":
        np.testing.assert_array_equal(found[0].media[:, :, 0], np.asarray(Image.open(io.BytesIO(data))))
    else:
        np.testing.assert_array_equal(found[0].media, soundfile.read(io.BytesIO(data), dtype="float32")[0])


def test_the_page_says_which_part_of_a_recording_was_used(explorer):
    rate = explorer.config.data.audio.sample_rate
    time = np.arange(2 * rate) / rate
    beep = 0.5 * np.sin(2 * np.pi * 300 * time) * np.where((time >= 1) & (time < 1.3), 1.0, 0.02)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([beep, -beep], axis=1), rate, format="WAV")
    query = explorer.encode(buffer.getvalue(), "audio")
    assert "cancel each other" in query.remarks() and "s of 2.000 s, are used." in query.remarks()
    found = explorer.search(query, 2)
    assert query.remarks() in html.unescape(str(hits_html(explorer, query, found)))
    assert query.remarks() in html.unescape(str(rebuilt_html(explorer, query, explorer.rebuild(query))))


def test_there_are_no_more_hits_than_items(explorer, made):
    query = explorer.encode((made.files / "test2.wav").read_bytes(), "audio")
    assert len(explorer.search(query, 1000)) == 8
    assert explorer.search(query, 1, "audio")[0].row["modality"] == "audio"


def test_without_data_hits_are_drawn_from_their_codes(run, made):
    bare = Explorer(run, FaissIndex.open(made.index))
    hit = bare.search(bare.encode((made.files / "test2.wav").read_bytes(), "audio"), 1)[0]
    drawn = np.asarray(run.model.decode(Codes(hit.codes[None]), "image"))[0]
    assert not bare.holds_files
    np.testing.assert_allclose(hit.media / 255, np.clip(drawn, 0, 1), atol=0.5 / 255 + 1e-6)


def test_an_item_is_rebuilt_from_all_codes_and_from_the_shared_ones(explorer, run, made):
    query = explorer.encode((made.files / "test5.png").read_bytes(), "image")
    pixels = np.asarray(Image.open(made.files / "test5.png"), np.float32)[None, :, :, None] / 255
    codes = run.model.encode(image=pixels)
    rebuilt = explorer.rebuild(query)
    for found, given in ((rebuilt.whole, codes), (rebuilt.gist, codes._replace(private=None))):
        wanted = np.clip(np.asarray(run.model.decode(given, "image"))[0], 0, 1)
        np.testing.assert_allclose(found / 255, wanted, atol=0.5 / 255 + 1e-6)
    assert rebuilt.other.shape == (run.config.data.audio.samples,)
    np.testing.assert_array_equal(query.media[:, :, 0], np.asarray(Image.open(made.files / "test5.png")))


def test_a_recording_is_shown_as_long_as_it_is(explorer, made):
    data = (made.files / "test2.wav").read_bytes()
    length = soundfile.info(io.BytesIO(data)).frames
    query = explorer.encode(data, "audio")
    assert len(query.media) == length == len(explorer.rebuild(query).whole)


def wav(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 2000, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data, modality, told",
    [
        (b"", "audio", "is empty"),
        (b"no sound at all", "audio", "cannot be read as audio"),
        (wav(np.zeros(900)), "audio", "is silent"),
        (wav(np.full(900, np.nan)), "audio", "NaN or infinite"),
        (wav(np.sin(np.arange(8000))), "audio", "max_seconds=3 is the most"),
        (b"no picture at all", "image", "is none of PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image", "is none of PNG"),
        (png((200, 200)), "image", "max_pixels=10000 is the most"),
        (png((16, 16))[:40], "image", "cannot be read|is none of"),
    ],
)
def test_bad_files_are_told(explorer, data, modality, told):
    with pytest.raises(UserError, match=told) as refused:
        explorer.encode(data, modality)
    assert "/tmp" not in str(refused.value)


def test_an_index_without_items_is_refused(run, made):
    index = FaissIndex.open(made.index)
    index.remove([item.id for item in index.search(np.zeros((1, 2, 8), "f4"), 16).items[0]])
    with pytest.raises(UserError, match="the index is empty"):
        Explorer(run, index)
