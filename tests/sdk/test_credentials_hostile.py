"""Manifest stores that attack the native library which reads them: no crash, no endless work, and
nothing that such a file says counts."""

import re
import struct
import time

import pytest

from aidetect._provenance import find_claims
from aidetect._provenance._credentials import STORE_LIMIT
from aidetect._provenance._statement import statement_of

from .image_files import chunk
from .signed_files import CAPTURED, MADE_BY_AI, action, picture, signed, signer

SECONDS = 20.0
"""Of processor time: far more than any of these takes, far less than no bound."""

LABEL = b"urn:c2pa:40b6d976-39f1-4017-ba7b-5ab0fbd89927"
NOTHING = b"\xa0"


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def part(kind: str, label: bytes, *inside: bytes) -> bytes:
    """A JUMBF superbox with its description (ISO/IEC 19566-5)."""
    identity = kind.encode() + bytes.fromhex("00110010800000aa00389b71")
    return box(b"jumb", box(b"jumd", identity + b"\x03" + label + b"\0") + b"".join(inside))


def store(claim: bytes = NOTHING, assertion: bytes = NOTHING, signature: bytes = NOTHING) -> bytes:
    return part("c2pa", b"c2pa", manifest(LABEL, claim, assertion, signature))


def manifest(label: bytes, claim: bytes, assertion: bytes, signature: bytes) -> bytes:
    return part(
        "c2ma",
        label,
        part("c2as", b"c2pa.assertions", part("cbor", b"c2pa.actions.v2", box(b"cbor", assertion))),
        part("c2cl", b"c2pa.claim.v2", box(b"cbor", claim)),
        part("c2cs", b"c2pa.signature", box(b"cbor", signature)),
    )


def nested(depth: int) -> bytes:
    inside = b""
    for _ in range(depth):
        inside = part("c2pa", b"c2pa", inside)
    return inside


CBOR = {
    "arrays in arrays": b"\x81" * 400_000 + b"\0",
    "maps in maps": b"\xa1\x61a" * 300_000 + b"\0",
    "tags on tags": b"\xd8\x12" * 300_000 + b"\0",
    "arrays without end": b"\x9f" * 300_000,
    "an array of a billion": b"\x9b\0\0\0\xff\xff\xff\xff\xff",
    "a string of a terabyte": b"\x5b\0\0\0\xff\xff\xff\xff\xff",
    "a map of a billion": b"\xbb\0\0\0\xff\xff\xff\xff\xff",
}
STORES = {
    **{f"claim: {name}": store(claim=cbor) for name, cbor in CBOR.items()},
    **{f"signature: {name}": store(signature=cbor) for name, cbor in CBOR.items()},
    **{f"assertion: {name}": store(assertion=cbor) for name, cbor in CBOR.items()},
    "boxes in boxes": nested(10_000),
    "a box longer than all": box(b"jumb", b"")[:3] + b"\xff" + store()[4:],
    "a box without end": b"\0\0\0\0" + store()[4:],
    "ten thousand manifests": part(
        "c2pa",
        b"c2pa",
        *(manifest(LABEL[:-6] + b"%06d" % n, NOTHING, NOTHING, NOTHING) for n in range(10_000)),
    ),
    "an empty store": part("c2pa", b"c2pa"),
}


def keys(data: bytes, form: str = "PNG") -> list[str]:
    started = time.process_time()
    found = find_claims(data, form)
    assert time.process_time() - started < SECONDS
    return [finding.signal.key for finding in found]


@pytest.mark.parametrize("name", STORES)
def test_a_hostile_store_is_invalid_or_not_found(name: str) -> None:
    plain = picture("PNG")
    assert len(STORES[name]) <= STORE_LIMIT
    data = plain[:33] + chunk(b"caBX", STORES[name]) + plain[33:]
    assert keys(data) in (["credentials_invalid"], [])


def test_manifests_that_are_their_own_ingredients_are_invalid() -> None:
    camera = signed(CAPTURED)
    data = signed(action("opened"), ingredients=[("parentOf", camera)])
    labels = list(dict.fromkeys(re.findall(rb"urn:c2pa:[0-9a-f-]{36}", data)))
    assert len(labels) == 2
    for one, other in (labels, labels[::-1]):
        assert keys(data.replace(one, other), "JPEG") == ["credentials_invalid"]


def test_ingredients_of_ingredients_cost_no_more_than_their_bytes() -> None:
    """Each one twice, which would be 2^12 visits if nothing were remembered."""
    data, party = signed(MADE_BY_AI), signer("Chain")
    for _ in range(12):
        data = signed(
            action("created"), ingredients=[("componentOf", data), ("componentOf", data)], party=party
        )
    assert keys(data, "JPEG") == ["credentials_untrusted_edited"]


def test_a_report_whose_manifests_lead_to_each_other_is_read_in_no_time() -> None:
    def ingredient(label: int) -> dict[str, object]:
        recorded = {"success": [{"code": "signingCredential.trusted"}]}
        results = {"activeManifest": recorded}
        named = {"active_manifest": f"m{label}", "relationship": "componentOf"}
        return {**named, "validation_results": results}

    made = {"action": "c2pa.created", "digitalSourceType": "trainedAlgorithmicMedia"}
    actions = [{"label": "c2pa.actions.v2", "data": {"actions": [made]}}]
    manifests: dict[str, object] = {
        f"m{n}": {"ingredients": [ingredient(n + 1)] * 3 + [ingredient(n)]} for n in range(40)
    }
    manifests["m40"] = {"assertions": actions}
    started = time.process_time()
    for trusted in (True, False):
        report = {"active_manifest": "m0", "manifests": manifests}
        assert statement_of(report, trusted=trusted).says == "edited"
    assert time.process_time() - started < 2


def test_boxes_of_other_formats_that_never_end() -> None:
    deep = b""
    for _ in range(20_000):
        deep = box(b"moov", deep)
    head = box(b"ftyp", b"avif\0\0\0\0mif1avif")
    identity = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
    own = box(b"uuid", identity + b"\0\0\0\0manifest\0" + bytes(8) + store())
    assert keys(head + own + deep, "AVIF") in (["credentials_invalid"], [])
    lists = b""
    for _ in range(20_000):
        lists = b"LIST" + struct.pack("<I", len(lists) + 4) + b"abcd" + lists
    riff = b"C2PA" + struct.pack("<I", len(store())) + store() + b"\0" * (len(store()) & 1) + lists
    webp = b"RIFF" + struct.pack("<I", len(riff) + 4) + b"WEBP" + riff
    assert keys(webp, "WEBP") in (["credentials_invalid"], [])
