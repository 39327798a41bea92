"""The rules of RFC 9111 by which a URL is believed to name the image that it named."""

from email.utils import formatdate

import pytest
from requests.structures import CaseInsensitiveDict

from aidetect._fetch import Fetched
from aidetect_worker._freshness import Remembered, remember, renew

NOW = 1_700_000_000.0
HASH = 64 * "a"
URL = "http://example.org/a.png"
LONGEST = 3600.0


def answered(
    headers: dict[str, str], *, hops: tuple[tuple[int, dict[str, str]], ...] = (), status: int = 200
) -> Fetched:
    told = CaseInsensitiveDict(headers)
    on_the_way = tuple((code, CaseInsensitiveDict(of_hop)) for code, of_hop in hops)
    return Fetched(b"", URL, status, "image/png", told, on_the_way)


def at(seconds: float) -> str:
    return formatdate(NOW + seconds, usegmt=True)


FRESH = [
    ({}, 60),
    ({"Cache-Control": "max-age=100"}, 100),
    ({"cache-control": 'MAX-AGE="100"'}, 100),
    ({"Cache-Control": "max-age=100, s-maxage=30"}, 30),
    ({"Cache-Control": "max-age=100,max-age=50"}, 50),
    ({"Cache-Control": "max-age=100", "Age": "40"}, 60),
    ({"Cache-Control": "max-age=100", "Age": "400"}, 0),
    ({"Cache-Control": "max-age=100", "Date": at(-30)}, 70),
    ({"Cache-Control": "max-age=100", "Date": at(+500)}, 100),
    ({"Cache-Control": "max-age=99999999"}, LONGEST),
    ({"Cache-Control": "max-age=-1"}, 0),
    ({"Cache-Control": "max-age=soon"}, 0),
    ({"Cache-Control": "max-age=" + 99 * "9"}, 0),
    ({"Cache-Control": "max-age"}, 0),
    ({"Cache-Control": "public, immutable, max-age=10"}, 10),
    ({"Cache-Control": "must-revalidate"}, 60),
    ({"Cache-Control": "no-cache"}, 0),
    ({"Cache-Control": 'no-cache="Set-Cookie", max-age=100'}, 0),
    ({"Cache-Control": "max-age=100", "Pragma": "no-cache"}, 100),
    ({"Pragma": "no-cache"}, 0),
    ({"Vary": "*", "Cache-Control": "max-age=100"}, 0),
    ({"Vary": "Accept, User-Agent", "Cache-Control": "max-age=100"}, 100),
    ({"Expires": at(100), "Date": at(0)}, 100),
    ({"Expires": at(100)}, 100),
    ({"Expires": at(100), "Cache-Control": "max-age=10"}, 10),
    ({"Expires": at(-100), "Date": at(0)}, 0),
    ({"Expires": "0"}, 0),
    ({"Expires": "never"}, 0),
    ({"Last-Modified": at(-1000), "Date": at(0)}, 100),
    ({"Last-Modified": at(-1e8), "Date": at(0)}, LONGEST),
    ({"Last-Modified": at(+1000)}, 60),
    ({"Last-Modified": "long ago"}, 60),
    ({"Age": "50"}, 10),
]


@pytest.mark.parametrize(("headers", "seconds"), FRESH)
def test_how_long_an_answer_is_believed(headers: dict[str, str], seconds: float) -> None:
    entry = remember(answered(headers), HASH, NOW, LONGEST)
    assert entry is not None
    assert entry.fresh_until - NOW == pytest.approx(seconds, abs=1)
    assert entry.sha256 == HASH


@pytest.mark.parametrize(
    "control", ["no-store", "max-age=100, No-Store", "private", "private, max-age=9"]
)
def test_what_may_not_be_stored_is_not(control: str) -> None:
    assert remember(answered({"Cache-Control": control, "ETag": '"1"'}), HASH, NOW, LONGEST) is None


def test_the_operator_can_forbid_belief() -> None:
    entry = remember(answered({"Cache-Control": "max-age=100", "ETag": '"1"'}), HASH, NOW, 0)
    assert entry is not None and entry.fresh_until == NOW
    assert entry.ttl(NOW) == 86400


@pytest.mark.parametrize(
    ("hops", "seconds"),
    [
        (((301, {}),), 60),
        (((308, {}),), 60),
        (((302, {}),), 0),
        (((307, {}),), 0),
        (((302, {"Cache-Control": "max-age=20"}),), 20),
        (((301, {"Cache-Control": "max-age=90"}), (302, {"Cache-Control": "max-age=5"})), 5),
        (((301, {"Cache-Control": "max-age=9999"}),), 100),
    ],
)
def test_redirects_are_believed_no_longer_than_they_say(
    hops: tuple[tuple[int, dict[str, str]], ...], seconds: float
) -> None:
    entry = remember(answered({"Cache-Control": "max-age=100"}, hops=hops), HASH, NOW, LONGEST)
    assert entry is not None and entry.fresh_until - NOW == seconds


def test_a_redirect_that_may_not_be_stored() -> None:
    hops = ((302, {"Cache-Control": "no-store"}),)
    assert remember(answered({"Cache-Control": "max-age=100"}, hops=hops), HASH, NOW, LONGEST) is None


def old(etag: str = '"1"', last_modified: str = "") -> Remembered:
    headers = {"ETag": etag, "Last-Modified": last_modified, "Cache-Control": "max-age=100"}
    entry = remember(answered(headers), HASH, NOW, LONGEST)
    assert entry is not None
    return entry


def test_validators_are_sent_back() -> None:
    assert old('W/"1"', at(-9)).headers() == {"If-None-Match": 'W/"1"', "If-Modified-Since": at(-9)}
    assert old("", "").headers() == {}


@pytest.mark.parametrize("value", ["x\r\nHost: evil", "é", 300 * "x", "\x00"])
def test_validators_that_no_header_can_hold_are_dropped(value: str) -> None:
    assert old(value, value).headers() == {}


def test_a_304_renews_the_belief() -> None:
    renewed = renew(old(), answered({"Cache-Control": "max-age=30"}, status=304), NOW + 500, LONGEST)
    assert renewed is not None
    assert (renewed.fresh_until, renewed.etag, renewed.sha256) == (NOW + 530, '"1"', HASH)


def test_a_304_that_says_nothing_gives_what_the_answer_gave() -> None:
    renewed = renew(old(), answered({"ETag": '"2"'}, status=304), NOW + 500, LONGEST)
    assert renewed is not None
    assert (renewed.fresh_until, renewed.etag) == (NOW + 600, '"2"')


def test_a_304_can_take_the_permission_back() -> None:
    assert renew(old(), answered({"Cache-Control": "no-store"}, status=304), NOW, LONGEST) is None


def test_a_304_of_another_address_proves_nothing() -> None:
    entry = old()
    same = answered({}, status=304)
    other = Fetched(b"", "http://example.org/b.png", 304, "", CaseInsensitiveDict())
    assert entry.still_names(same)
    assert not entry.still_names(other)
    assert not entry.still_names(answered({}, status=200))
