"""A spliced file is read as its bytes in one piece would be."""

import io

import numpy as np
import pytest

from vqmm.data.spliced_file import SplicedFile


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(200)))
    with path.open("rb") as opened:
        yield opened


@pytest.mark.parametrize("head", [b"", b"head of it"])
@pytest.mark.parametrize("start, stop", [(0, 200), (30, 120), (190, 200), (50, 50)])
def test_it_is_the_head_and_the_stretch(file, head, start, stop):
    spliced, whole = SplicedFile(file, head, start, stop), io.BytesIO(head + bytes(range(start, stop)))
    rng = np.random.default_rng(0)
    for _ in range(60):
        offset, whence = int(rng.integers(0, 60)), int(rng.integers(3))
        assert spliced.seek(offset, whence) == whole.seek(offset, whence) == spliced.tell()
        ours, theirs = bytearray(int(rng.integers(0, 90))), None
        theirs = bytearray(len(ours))
        assert spliced.readinto(ours) == whole.readinto(theirs) and ours == theirs
    spliced.seek(0)
    assert spliced.read() == whole.getvalue() and repr(spliced) == repr(file.name)
