import dataclasses
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.errors import UserError
from vqmm.tokens import TokenFile, fingerprint, load_tokens, save_tokens

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)


def example(n=3, fingerprint="0123456789abcdef", **changes):
    rng = np.random.default_rng(n)
    parts = {
        "modality": "audio",
        "ids": np.array([f"clip {i}" for i in range(n)]),
        "shared": rng.integers(0, 12, (n, 8)),
        "private": rng.integers(12, 300, (n, 6)),
        "sizes": rng.integers(1, 9000, (n, 1)),
        "fingerprint": fingerprint,
        "grid": (3, 2),
        "sample_rate": 8000,
        "frame_rate": 7.8125,
        "labels": rng.integers(-1, 10, n),
    }
    return TokenFile(**parts | changes)


def assert_same(a, b):
    for field in dataclasses.fields(TokenFile):
        mine, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, other)
            assert mine.dtype == other.dtype, field.name
        else:
            assert mine == other and type(mine) is type(other), field.name


@st.composite
def token_files(draw):
    n, t = draw(st.integers(0, 5)), draw(st.integers(1, 9))
    rows, columns, levels = (draw(st.integers(1, 4)) for _ in range(3))
    audio, private = draw(st.booleans()), draw(st.booleans())
    size = draw(st.sampled_from([2, 256, 257, 65536, 65537, 2**31]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return TokenFile(
        modality="audio" if audio else "image",
        ids=np.array(draw(st.lists(TEXT, min_size=n, max_size=n)), dtype=object),
        shared=rng.integers(0, size, (n, t)),
        private=rng.integers(0, size, (n, rows * columns * levels)) if private else None,
        sizes=rng.integers(0, 2**40, (n, 1 if audio else 2)),
        fingerprint=draw(st.text("0123456789abcdef", min_size=16, max_size=16)),
        grid=(rows, columns) if private else None,
        sample_rate=draw(st.integers(1, 192_000)) if audio else None,
        frame_rate=draw(st.floats(0.01, 1e4)) if audio else None,
        labels=rng.integers(-1, 10, n) if draw(st.booleans()) else None,
        label_names=tuple(draw(st.lists(TEXT, min_size=10, max_size=10))) if draw(st.booleans()) else (),
    )


@settings(max_examples=60)
@given(token_files())
def test_what_is_written_is_read_back(tmp_path_factory, tokens):
    path = tmp_path_factory.mktemp("tokens") / "a.npz"
    save_tokens(path, tokens)
    assert_same(load_tokens(path, tokens.fingerprint), tokens)


@pytest.mark.parametrize(
    "largest, dtype", [(0, "u1"), (255, "u1"), (256, "u2"), (65535, "u2"), (65536, "u4")]
)
def test_codes_take_the_smallest_type(largest, dtype):
    assert example(shared=np.full((3, 8), largest)).shared.dtype == np.dtype(dtype)


@pytest.mark.parametrize("columns", [0, 3, 7])
def test_private_codes_that_do_not_fill_the_grid_are_refused(columns):
    with pytest.raises(UserError, match=rf"private has {columns} columns, and its grid \(3, 2\) has 6 cells"):
        example(private=np.zeros((3, columns), int))


def test_sixteen_bytes_hold_eight_shared_codes_of_any_table_up_to_65536():
    assert example(n=1, shared=np.full((1, 8), 65535)).shared.nbytes == 16


def test_another_codebook_is_refused_with_both_fingerprints(tmp_path):
    save_tokens(tmp_path / "a.npz", example(fingerprint="a" * 16))
    with pytest.raises(UserError, match=f"{'a' * 16}.*{'b' * 16}"):
        load_tokens(tmp_path / "a.npz", "b" * 16)


def test_the_fingerprint_tells_tables_and_ranges_apart():
    table = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    ranges = {"shared": (0, 2), "image": (2, 6)}
    other = table.copy()
    other[5, 3] = np.nextafter(other[5, 3], np.float32(9))
    found = {
        fingerprint(table, ranges),
        fingerprint(other, ranges),
        fingerprint(table, {"shared": (0, 3), "image": (3, 6)}),
        fingerprint(table.reshape(4, 6), ranges),
    }
    assert len(found) == 4 and all(len(f) == 16 and int(f, 16) >= 0 for f in found)
    # The order of the ranges and the memory layout say nothing about the codebook.
    assert fingerprint(table, dict(reversed(ranges.items()))) == fingerprint(table, ranges)
    assert fingerprint(np.asfortranarray(table), ranges) == fingerprint(table, ranges)


@settings(max_examples=40)
@given(st.floats(0.0, 0.999))
def test_a_truncated_file_is_refused(tmp_path_factory, share):
    path = tmp_path_factory.mktemp("tokens") / "a.npz"
    save_tokens(path, example())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(UserError, match="damaged"):
        load_tokens(path)


def test_a_flipped_bit_in_the_codes_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    tokens = example(shared=np.full((3, 8), 77))
    save_tokens(path, tokens)
    data = bytearray(path.read_bytes())
    data[data.index(tokens.shared.tobytes()) + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged.*CRC"):
        load_tokens(path)


def test_a_compressed_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("shared.npy", "w") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    with pytest.raises(UserError, match=f"states {64 << 20} bytes"):
        load_tokens(path)


def test_an_array_that_states_an_absurd_shape_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    save_tokens(path, example())
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["shared.npy"] = members["shared.npy"].replace(b"(3, 8), }" + b" " * 13, b"(3000000000000, 8), } ")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert b"3000000000000" in path.read_bytes()
    with pytest.raises(UserError, match="damaged"):
        load_tokens(path)


def test_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", format_version=np.asarray(1), ids=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="damaged.*allow_pickle"):
        load_tokens(tmp_path / "a.npz")


def test_a_newer_format_says_so(tmp_path):
    np.savez(tmp_path / "a.npz", format_version=np.asarray(99))
    with pytest.raises(UserError, match="format 99; this vqmm reads 1"):
        load_tokens(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"not a token file"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        load_tokens(tmp_path / "a.npz")
    with pytest.raises(UserError, match="no such token file"):
        load_tokens(tmp_path / "b.npz")
    with pytest.raises(UserError, match="is a folder"):
        load_tokens(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"modality": "video"},
        {"shared": np.zeros((2, 8), int)},
        {"shared": np.zeros((3, 8))},
        {"shared": np.full((3, 8), -1)},
        {"private": np.zeros((3, 5), int)},
        {"sizes": np.zeros((3, 2), int)},
        {"labels": np.zeros(2, int)},
        {"ids": np.array(["a", "b", "c\0"], dtype=object)},
    ],
)
def test_parts_that_do_not_fit_are_refused(change):
    with pytest.raises(UserError):
        example(**change)


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    old = example(n=2)
    save_tokens(path, old)

    def crash(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="Input/output"):
        save_tokens(path, example(n=4))
    assert_same(load_tokens(path), old)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
