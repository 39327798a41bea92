"""Metadata that attacks its reader: no error, no endless work, nothing harmful to show."""

import contextlib
import json
import random
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from aidetect._provenance import _LOOKED_FOR, _metadata, find_claims
from aidetect._provenance._blocks import BLOCK_LIMIT, STEP_LIMIT, TOTAL_LIMIT, Exhausted

from .image_files import chunk, noise, save
from .metadata_files import (
    COMFY,
    INFOTEXT,
    as_json,
    bomb,
    exif,
    gif,
    jpeg,
    picture,
    png,
    raw_png,
    samsung,
    segment,
    source_type,
    webp,
    with_credentials,
    with_xmp,
    xmp,
)
from .test_provenance import SAMPLES

SECONDS = 2.0
"""Of processor time: far more than any of these takes, far less than no bound."""

RTL, ESCAPE = "\u202e", "\x1b[2J"
NASTY = [
    f"{ESCAPE}{RTL}gpj.exe",
    "<script>alert(1)</script>",
    "=cmd()|'/C calc'!A0",
    "x\0y\r\nz",
    "A" * 5000,
]


def quick(data: bytes, form: str) -> list[str]:
    started = time.process_time()
    found = find_claims(data, form)
    assert time.process_time() - started < SECONDS
    return [finding.signal.key for finding in found]


def test_a_prompt_of_a_megabyte_hides_nothing_and_is_not_shown() -> None:
    text = "Steps: 1, " * 90_000 + "\n" + INFOTEXT
    (finding,) = find_claims(png(parameters=text), "PNG")
    assert finding.details["seed"] == "1234567"
    assert len(str(finding.to_evidence())) < 1000
    assert quick(png(prompt=as_json({**COMFY, "text": "y" * 900_000})), "PNG") == ["comfyui"]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_strings_are_cut_and_harmless_to_show(text: str) -> None:
    quoted = xmp(f"<Iptc4xmpExt:AISystemUsed><![CDATA[{text}]]></Iptc4xmpExt:AISystemUsed>")
    files = [
        (
            "PNG",
            png(parameters=f"\nSteps: 2, Sampler: {text}, CFG scale: 7, Seed: {text}, Model: {text}"),
        ),
        ("PNG", png(Software="NovelAI", Comment=as_json({"steps": 2, "seed": text}), Source=text)),
        ("PNG", png(AIGC=as_json({"Label": "1", "ContentProducer": text}))),
        ("JPEG", with_xmp(quoted)),
        ("JPEG", jpeg(make=text.replace("\0", ""), model="m")),
    ]
    for form, data in files:
        for finding in find_claims(data, form):
            for value in (finding.generator or "", *finding.details.values()):
                assert isinstance(value, str) and len(value) <= 300 * 6
                assert not {"\x1b", "\u202e", "\0", "\n", "\r"} & set(value)
                assert value.isprintable()
    assert sum(bool(find_claims(data, form)) for form, data in files) >= 3


LAUGHS = b"<!DOCTYPE l [<!ENTITY a 'ha'>" + b"".join(
    b"<!ENTITY %c '%s'>" % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9)
)
BOMBS = {
    "billion laughs": LAUGHS
    + b"]>"
    + source_type("trainedAlgorithmicMedia").replace(b"<?xpacket", b"<?x"),
    "external": b'<!DOCTYPE l [<!ENTITY e SYSTEM "file:///etc/passwd">]><l>&e;</l>',
    "document type": b"<!DOCTYPE l>" + source_type("trainedAlgorithmicMedia"),
    "deep": b"<a>" * 15_000,
    "wide": b"<a>" + b"<b/>" * 12_000 + b"</a>",
    "cut": source_type("digitalCapture")[:300],
    "no XML": b"\xff\xfe\0\0<<<<",
    "odd code": b"<?xml version='1.0' encoding='utf-7'?><a/>",
}


@pytest.mark.parametrize("name", BOMBS)
def test_xml_bombs_come_to_nothing(name: str) -> None:
    header = b"http://ns.adobe.com/xap/1.0/\0"
    assert quick(segment(0xE1, header + BOMBS[name]), "JPEG") == []


def test_properties_in_front_of_a_flaw_stand() -> None:
    whole = source_type("trainedAlgorithmicMedia")
    header = b"http://ns.adobe.com/xap/1.0/\0"
    assert quick(segment(0xE1, header + whole[:-40]), "JPEG") == ["iptc_ai"]


@pytest.mark.parametrize("depth", [1000, 400_000])
@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_deep_json_comes_to_nothing(depth: int, pair: str) -> None:
    deep = '{"AIGC":' + pair[:-1] * min(depth, 900_000 // len(pair)) + "1" + pair[-1] * 1000 + "}"
    assert quick(png(AIGC=deep, Comment=deep, Software="NovelAI", parameters=deep), "PNG") == []
    assert quick(png(AIGC='{"Label":' + "9" * 500_000 + "}"), "PNG") == []


def test_an_inflation_bomb_is_read_up_to_a_bound() -> None:
    data = bomb(200_000_000)
    tracemalloc.start()
    assert quick(data, "PNG") == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * BLOCK_LIMIT


def test_many_bombs_share_one_bound() -> None:
    one = chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"A" * 5_000_000, 9))
    plain = png()
    tracemalloc.start()
    quick(plain[:33] + one * 500 + plain[33:], "PNG")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * TOTAL_LIMIT


def test_a_file_of_nothing_but_chunks_ends() -> None:
    plain = png()
    assert quick(plain[:33] + chunk(b"teXt", b"") * (10 * STEP_LIMIT) + plain[33:], "PNG") == []
    assert quick(b"\xff\xd8" + b"\xff\xe5\0\2" * (10 * STEP_LIMIT), "JPEG") == []
    assert quick(b"\xff\xd8" + b"\xff" * 1_000_000, "JPEG") == []
    assert quick(b"RIFF\0\0\0\0WEBP" + b"JUNK\0\0\0\0" * (10 * STEP_LIMIT), "WEBP") == []
    assert quick(b"\0\0\0\x08free" * (10 * STEP_LIMIT), "AVIF") == []
    assert quick(b"GIF89a" + bytes(7) + b"\x21\xfe\1a\0" * (10 * STEP_LIMIT), "GIF") == []


def test_directories_that_lead_back_end() -> None:
    pointer = struct.pack("<HHII", 0x8769, 4, 1, 8)
    loop = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + pointer + struct.pack("<I", 8)
    assert quick(segment(0xE1, b"Exif\0\0" + loop), "JPEG") == []
    many = b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + pointer * 5000
    assert quick(segment(0xE1, b"Exif\0\0" + many), "JPEG") == []
    huge = struct.pack("<HHII", 0x010E, 2, 0xFFFFFFFF, 0)
    assert quick(b"II*\0\x08\0\0\0" + struct.pack("<H", 900) + huge * 900, "TIFF") == []


def test_pieces_of_xmp_and_of_iptc_share_the_bounds() -> None:
    head = b"http://ns.adobe.com/xmp/extension/\0" + b"A1" * 16 + struct.pack(">II", 2**32 - 1, 7)
    piece = struct.pack(">BBH", 0xFF, 0xE1, 65_000) + head + b"<a>" * 22_000
    note = xmp(attributes='xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="' + "A1" * 16 + '"')
    main_packet = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + note)
    cut = (piece[: 2 + 65_000]) * 300
    assert quick(main_packet[:-2] + cut, "JPEG") == []
    assert quick(main_packet[:2] + cut + main_packet[2:], "JPEG") == []
    assert quick(segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0short"), "JPEG") == []
    each = b"".join(
        struct.pack(">BBH", 0xFF, 0xE1, 77) + head[:35] + b"%032d" % n + bytes(8) for n in range(19_000)
    )
    assert quick(main_packet[:2] + each + main_packet[2:], "JPEG") == []
    empty = b"\x1c\2\x50\0\0" * 12_000
    for resources in (
        b"8BIM\4\4\0\0" + struct.pack(">I", len(empty)) + empty,
        b"8BIM\4\4\0\0\xff\xff\xff\xff" + empty,
        b"8BIM\4\4\xff",
        b"8BIM\4\4\0\0\0\0\0\7\x1c\2\x6e\x80\4\xff\xff",
        b"8BIM\0\0\0\0\0\0\0\0" * 5000,
    ):
        assert quick(segment(0xED, b"Photoshop 3.0\0" + resources), "JPEG") == []
        behind = segment(0xFE, INFOTEXT.encode())
        assert quick(segment(0xED, b"Photoshop 3.0\0" + resources, behind), "JPEG") == ["webui"]


def test_boxes_that_name_all_the_file_many_times_share_one_bound() -> None:
    item = struct.pack(">HHH", 1, 0, 1)
    iloc = b"\0\0\0\0\x44\0" + struct.pack(">H", 60000) + (item + struct.pack(">II", 0, 2**31)) * 9000
    infe = b"".join(struct.pack(">I4sIHH4s", 20, b"infe", 2 << 24, 1, 0, b"Exif") for _ in range(9000))
    iinf = b"\0\0\0\0" + struct.pack(">H", 9000) + infe
    boxes = b"".join(
        struct.pack(">I4s", len(b) + 8, k) + b for k, b in ((b"iinf", iinf), (b"iloc", iloc))
    )
    meta = struct.pack(">I4sI", len(boxes) + 12, b"meta", 0) + boxes
    assert quick(meta + bytes(3_000_000), "AVIF") == []


@pytest.mark.parametrize(("key", "form", "data"), SAMPLES, ids=range(len(SAMPLES)))
def test_a_file_cut_anywhere_is_read_up_to_there(key: str, form: str, data: bytes) -> None:
    for end in range(0, len(data), max(1, len(data) // 40)):
        quick(data[:end], form)


MUTATIONS: list[Callable[[random.Random, bytearray], None]] = [
    lambda r, b: b.__setitem__(r.randrange(len(b)), r.randrange(256)),
    lambda r, b: b.__setitem__(slice(i := r.randrange(len(b)), i + 4), b"\xff\xff\xff\xff"),
    lambda r, b: b.__setitem__(slice(i := r.randrange(len(b)), i + 4), b"\0\0\0\0"),
    lambda r, b: b.__delitem__(slice(i := r.randrange(len(b)), i + r.randrange(1, 64))),
    lambda r, b: b.__setitem__(slice(i := r.randrange(len(b)), i), b[i : i + 64] * r.randrange(1, 9)),
]


def test_six_hundred_mutated_files_neither_raise_nor_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """The net under the parsers catches all; here it lets through what no parser means to raise."""

    def strict(read: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(Exhausted, struct.error, IndexError):
            read(*arguments)

    monkeypatch.setattr(_metadata, "_try", strict)
    chance = random.Random(7)
    files = [(form, data) for _, form, data in SAMPLES]
    files += [
        ("JPEG", samsung(b'{"genAIType":1}')),
        ("GIF", gif("a")),
        ("WEBP", webp(make="a", model="b")),
    ]
    files += [
        ("AVIF", save(picture(), "AVIF", exif=exif(make="Canon", model="EOS").tobytes())),
        ("TIFF", with_credentials("TIFF")),
    ]
    found = set()
    for _ in range(600):
        form, data = chance.choice(files)
        mutated = bytearray(data)
        for _ in range(chance.choice((1, 3, 20))):
            chance.choice(MUTATIONS)(chance, mutated)
            if not mutated:
                break
        found.update(quick(bytes(mutated), form))
        metadata = _metadata.read_metadata(bytes(mutated), form)
        unguarded = [finding for look in _LOOKED_FOR for finding in look(metadata)]
        json.dumps([dict(finding.to_evidence().details) for finding in unguarded])
    assert len(found) > 10


def test_ten_megabytes_take_at_most_ten_milliseconds_and_no_copy_of_the_pixels() -> None:
    big = save(noise(1900, 1900), "PNG", compress_level=0)
    text = chunk(b"tEXt", b"parameters\0" + INFOTEXT.encode())
    big = big[:33] + text + big[33:]
    assert len(big) > 10_000_000
    best = min(_seconds(big, "PNG") for _ in range(7))
    tracemalloc.start()
    assert quick(big, "PNG") == ["webui"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000
    assert best < 0.010


def _seconds(data: bytes, form: str) -> float:
    started = time.process_time()
    find_claims(data, form)
    return time.process_time() - started


def test_raw_chunks_without_a_keyword_are_skipped() -> None:
    for body in (
        b"",
        b"\0",
        b"parameters",
        b"parameters\0",
        b"parameters\0\0garbage",
        b"k" * 200 + b"\0t",
    ):
        for kind in (b"tEXt", b"zTXt", b"iTXt"):
            assert quick(raw_png(kind, body), "PNG") == []
