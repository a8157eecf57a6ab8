"""Splits a file into its streams of sound, each in a form that libsndfile reads to its end.

libsndfile gives as many samples as a header states, and no more. Headers are wrong where a recorder or a
pipe was cut off, where files were joined, and where tools changed a file without its header. So the number
in the header is replaced by one without an end, and what it stated is kept for comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NamedTuple

from vqmm.data.mp3_header import MOST_SIDE, SEARCHED, TAGS, parse_frame, read_mp3_header
from vqmm.data.riff import WavLayout, read_wav_layout
from vqmm.data.spliced_file import SplicedFile
from vqmm.errors import UnreadableFile

FLAC_BEGINS = b"fLaC\x00\x00\x00\x22"
BLOCK_BYTES = 1 << 20
ID3_TAIL = 128  # bytes of a tag of version 1, which stands at the end


class SoundPart(NamedTuple):
    """One stream of sound of a file.

    Attributes:
        source: what libsndfile reads.
        original: the same with the header that it has, where the end of the sound can be found by no
            other means if something else follows it.
        stated: samples of each channel that the file states; None where it states none, -1 where
            libsndfile reads the right number.
        frame: samples in a frame of an MP3, 0 for others. Their number of frames is compared.
        delay: samples that the decoder of an MP3 cuts from the beginning.
        padding: samples to cut from the end where an MP3 has as many frames as it states.
        complete: whether the number of bytes shows that nothing is missing, whatever `stated` is.
        notes: what else is to be reported.
    """

    source: str | SplicedFile
    original: SplicedFile | None = None
    stated: int | None = -1
    frame: int = 0
    delay: int = 0
    padding: int = 0
    complete: bool = False
    notes: tuple[str, ...] = ()


def sound_parts(path: Path, file: BinaryIO) -> list[SoundPart]:
    """Finds the streams of sound in a file: one, or as many as were joined.

    Args:
        path: of the file.
        file: the same, open for reading; it must stay open while the parts are read.

    Raises:
        UnreadableFile: it is cut short of what its header states.
    """
    begin, end = _after_id3(file, 0), path.stat().st_size
    file.seek(max(0, end - ID3_TAIL))
    if file.read(3) == b"TAG":
        end -= ID3_TAIL
    file.seek(begin)
    magic = file.read(12)
    if magic[:4] in (b"RIFF", b"RF64") and magic[8:] == b"WAVE":
        return _wav_parts(path, file, begin, end)
    if magic.startswith(b"fLaC"):
        return _flac_parts(file, begin, end)
    if magic.startswith(b"OggS"):
        return _ogg_parts(path, file, begin, end)
    if magic[:4] in (b"FORM", b"RIFX", b".snd", b"caff"):
        return [SoundPart(str(path))]
    return _mp3_parts(path, file, begin, end)


def _after_id3(file: BinaryIO, place: int) -> int:
    """The first byte from `place` on that belongs to no ID3 tag."""
    while True:
        file.seek(place)
        tag = file.read(10)
        if len(tag) < 10 or tag[:3] != b"ID3" or max(tag[6:]) > 127:
            return place
        place += 10 + sum(digit << 7 * (3 - n) for n, digit in enumerate(tag[6:]))


def _wav_parts(path: Path, file: BinaryIO, begin: int, end: int) -> list[SoundPart]:
    parts: list[SoundPart] = []
    while True:
        layout = read_wav_layout(file, begin, end)
        if layout is None:
            return [*parts, SoundPart(SplicedFile(file, b"", begin, end) if begin else str(path))]
        if layout.stated is None:
            return [*parts, SoundPart(_with_sizes(file, layout, begin, end), stated=None)]
        if layout.stated > layout.there:
            raise UnreadableFile(
                path, f"is truncated: {layout.there} of {layout.stated} bytes of sound are there"
            )
        after = layout.start + layout.stated + layout.stated % 2
        notes: tuple[str, ...] = ()
        if layout.follows == "bytes":
            notes = (f"{end - after} bytes after the sound that its header states are not read",)
        whole = begin == 0 and layout.follows != "wav"
        parts.append(
            SoundPart(
                str(path) if whole else SplicedFile(file, b"", begin, after if after < end else end),
                notes=notes,
            )
        )
        if layout.follows != "wav":
            return parts
        begin = after


def _with_sizes(file: BinaryIO, layout: WavLayout, begin: int, end: int) -> SplicedFile:
    """The file with the length of its sound in place of none."""
    file.seek(begin)
    head = bytearray(file.read(layout.start - begin))
    for place, width in layout.sizes:
        known = layout.there if width == 8 or len(layout.sizes) == 1 else 0xFFFF_FFFF
        value = min(known, 256**width - 1)
        head[place - begin : place - begin + width] = value.to_bytes(width, "little")
    return SplicedFile(file, bytes(head), layout.start, end)


def _mp3_parts(path: Path, file: BinaryIO, begin: int, end: int) -> list[SoundPart]:
    file.seek(begin)
    header = read_mp3_header(file.read(2 * SEARCHED), end - begin)
    if header is None:
        return [SoundPart(str(path))]
    _refuse_changes(path, file, begin + header.begin, end)
    starts = [begin, *_tagged_frames(file, begin + header.start, end)]
    parts = []
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        file.seek(start)
        header = read_mp3_header(file.read(min(2 * SEARCHED, stop - start)), stop - start)
        if header is None:
            continue
        more = None if header.stated_bytes is None else stop - start - header.begin - header.stated_bytes
        parts.append(
            SoundPart(
                SplicedFile(file, header.head, start + header.start, stop),
                stated=header.stated_frames,
                frame=header.samples,
                delay=header.delay,
                padding=header.padding,
                complete=more is not None and more >= 0,
            )
        )
    return parts


def _refuse_changes(path: Path, file: BinaryIO, place: int, end: int) -> None:
    """Walks the frames: the decoder leaves out what follows in another rate or number of channels."""
    first, block, base = None, b"", place
    while place + 4 <= end:
        if place + 4 > base + len(block):
            file.seek(place)
            block, base = file.read(BLOCK_BYTES), place
        frame = parse_frame(block[place - base : place - base + 4])
        if frame is None:
            after = _after_id3(file, place)
            if after == place:
                return
            place = after
            continue
        first = first or frame
        if (frame.rate, frame.channels) != (first.rate, first.channels):
            raise UnreadableFile(
                path,
                f"joins recordings of {first.rate} Hz, {first.channels} channels, and {frame.rate} Hz, "
                f"{frame.channels} channels; keep each in its own file",
            )
        place += frame.size


def _tagged_frames(file: BinaryIO, begin: int, end: int) -> list[int]:
    """Finds where further MP3s begin in a file that several were joined into."""
    found = []
    for place in sorted(place for tag in TAGS for place in _places(file, tag, begin, end)):
        first = max(begin, place - MOST_SIDE - 4)
        file.seek(first)
        data = file.read(place + 4 - first)
        for at in range(len(data) - 8):
            frame = parse_frame(data[at : at + 4])
            if frame is not None and at + 4 + frame.side == place - first:
                found.append(first + at)
    return found


def _flac_parts(file: BinaryIO, begin: int, end: int) -> list[SoundPart]:
    starts = [begin, *(place for place in _places(file, FLAC_BEGINS, begin + 4, end))]
    parts = []
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        file.seek(start)
        head = bytearray(file.read(26))
        if len(head) < 26:
            parts.append(SoundPart(SplicedFile(file, bytes(head), start + len(head), stop)))
            continue
        stated = (head[21] & 0x0F) << 32 | int.from_bytes(head[22:26], "big")
        head[21] &= 0xF0
        head[22:26] = bytes(4)
        original = SplicedFile(file, b"", start, stop) if stated else None
        source = SplicedFile(file, bytes(head), start + 26, stop)
        parts.append(SoundPart(source, original, stated or None))
    return parts


def _places(file: BinaryIO, mark: bytes, begin: int, end: int) -> list[int]:
    """Finds `mark` in bytes `begin` to `end`."""
    found, place = [], begin
    while place < end:
        file.seek(place)
        block = file.read(BLOCK_BYTES + len(mark) - 1)
        at = block.find(mark)
        while at >= 0:
            found.append(place + at)
            at = block.find(mark, at + 1)
        place += BLOCK_BYTES
    return found


def _ogg_parts(path: Path, file: BinaryIO, begin: int, end: int) -> list[SoundPart]:
    """Walks the pages: the first ones of each link of a chain say so, and so should its last one."""
    starts, place, beginning, flags = [begin], begin, True, 4
    while place < end:
        file.seek(place)
        page = file.read(27 + 255)
        if len(page) < 27 or page[:4] != b"OggS":
            if page[:4] == b"OggS"[: len(page)]:
                place = end + 1
            break
        flags = page[5]
        if flags & 2 and not beginning:
            starts.append(place)
        beginning = bool(flags & 2)
        place += 27 + page[26] + sum(page[27 : 27 + page[26]])
    if place > end:
        raise UnreadableFile(path, "is truncated: its last page of sound is not all there")
    notes = () if flags & 4 else ("has no mark of its end: sound after it may be missing",)
    whole = len(starts) == 1
    return [
        SoundPart(
            str(path) if whole else SplicedFile(file, b"", start, stop), notes=notes if stop == end else ()
        )
        for start, stop in zip(starts, [*starts[1:], end], strict=True)
    ]
