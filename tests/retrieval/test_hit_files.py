import numpy as np
import pytest
import soundfile

from vqmm.config import check_config
from vqmm.data.prepare import prepare
from vqmm.errors import UserError
from vqmm.retrieval import Item
from vqmm.retrieval.hit_files import safe_name, safe_names, save_hits


def test_hits_are_named_by_rank_and_id(tiny_data, tmp_path):
    split = tiny_data.split("test")
    sound, picture = split.recordings.ids[1], split.pictures.ids[2]
    items = [Item(picture, "image", "test", {}), Item(sound, "audio", "test", {})]
    paths = save_hits(tiny_data, items, [1, 2], tmp_path / "hits")
    names = [f"001-{safe_name(picture)}.png", f"002-{safe_name(sound)}.wav"]
    assert [path.name for path in paths] == names
    assert paths[0].read_bytes() == split.pictures.data[2]
    assert paths[1].read_bytes() == split.recordings.data[1]


def test_recordings_of_data_that_holds_flac_are_flac_files(tiny_config, tmp_path):
    soundfile.write(tmp_path / "a.ogg", np.sin(np.arange(900) / 3), 2000)
    (tmp_path / "manifest.csv").write_text("audio,split\na.ogg,test\n")
    tree = tiny_config.model_dump(mode="json")
    tree["data"]["audio"]["stored_as"] = "flac"
    dataset = prepare(
        tmp_path / "manifest.csv", check_config(tree), tmp_path / "data", workers=1, progress=False
    ).dataset
    (path,) = save_hits(dataset, [Item("a.ogg", "audio", "test", {})], [1], tmp_path / "hits")
    assert path.name == "001-a.ogg.flac"
    assert (soundfile.info(path).format, soundfile.info(path).frames) == ("FLAC", 900)


def test_items_of_other_data_are_told(tiny_data, tmp_path):
    with pytest.raises(UserError, match="has no audio 'x' in split 'test'"):
        save_hits(tiny_data, [Item("x", "audio", "test", {})], [1], tmp_path)


@pytest.mark.parametrize(
    "id, name",
    [
        ("scan-0001", "scan-0001"),
        ("a/b c", "a_b_c"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "item"),
        ("x" * 300, "x" * 100),
    ],
)
def test_ids_never_lead_out_of_the_folder(id, name):
    assert safe_name(id) == name


def test_no_two_ids_have_one_name():
    assert safe_names(["a/b", "a_b", "c", "a b", "a_b-2"]) == ["a_b", "a_b-2", "c", "a_b-3", "a_b-2-2"]
