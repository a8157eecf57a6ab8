import pytest

from vqmm.evaluation.cost import bytes_per_item, cost_section


@pytest.mark.parametrize(
    "slots, codes, expected", [(8, 12, 8), (8, 256, 8), (8, 257, 9), (4, 1024, 5), (3, 65536, 6)]
)
def test_bytes(slots, codes, expected):
    assert bytes_per_item(slots, codes) == expected


def test_times_come_from_the_log():
    log = [
        {"step": 10, "split": "train", "seconds": 5.0},
        {"step": 30, "split": "validation", "seconds": 12.0},
    ]
    found = cost_section(log, 8, 16)
    assert found["train_seconds"] == {"value": 12.0, "ci95": None, "n": 1}
    assert found["steps_per_second"]["value"] == 2.5
    assert found["bits_per_item"]["value"] == 32.0
    assert "train_seconds" not in cost_section([], 8, 16)


def test_bits_of_an_item_are_those_that_its_modality_has():
    found = cost_section([], 8, 16, {"image": 32.0 + 64 * 7.0, "audio": 32.0})
    assert found["bits_per_picture"]["value"] == 32.0 + 448.0 and found["bits_per_recording"]["value"] == 32.0
    assert cost_section([], 0, None) == {}


def test_fine_codes_count_in_the_index_alone():
    plain, fine = cost_section([], 8, 80), cost_section([], 8, 80, fine=256)
    assert plain["bytes_in_index"]["value"] == plain["bytes_per_item"]["value"] == 8
    assert fine["bytes_in_index"]["value"] == 16 and fine["bytes_per_item"]["value"] == 8
    assert fine["bits_per_item"] == plain["bits_per_item"]
    assert cost_section([], 8, 80, fine=300)["bytes_in_index"]["value"] == 18  # nine bits a code
