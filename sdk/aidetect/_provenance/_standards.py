"""Signals that follow a published standard: IPTC, China's label, C2PA, and EXIF of cameras."""

import json
import re
from collections.abc import Iterator
from typing import Any

from . import _exif
from ._finding import Finding, shown
from ._metadata import Metadata
from ._signals import SIGNALS

_IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_PROVENANCE = "{http://purl.org/dc/terms/}provenance"
_TC260 = re.compile(r"\{https?://www\.tc260\.org\.cn/ns/AIGC/1\.0/?\}AIGC")
_SOURCE_TYPE = re.compile(r"(?:https?://cv\.iptc\.org/newscodes/digitalsourcetype/)?(\w{1,60})/?")

TRAINED = "trainedAlgorithmicMedia"
COMPOSITE = {"compositeWithTrainedAlgorithmicMedia", "compositeSynthetic"}
_NOT_AI = {
    "digitalCapture", "computationalCapture", "compositeCapture", "negativeFilm", "positiveFilm",
    "print", "humanEdits", "minorHumanEdits", "digitalCreation", "digitalArt",
}  # fmt: skip
_SYSTEM = ("AISystemUsed", "AISystemVersionUsed", "AIPromptInformation", "AIPromptWriterName")
_NOTHING = {"", "none", "no", "n/a", "na", "false", "null", "-"}
_JSON_LIMIT = 1_000_000


def json_object(text: str) -> dict[str, Any]:
    """The JSON object that `text` is; empty if it is none, too long or too deep."""
    if len(text) > _JSON_LIMIT or not text.lstrip().startswith("{"):
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def source_type_name(value: str) -> str | None:
    """The last part of one of IPTC's digital source types, such as `trainedAlgorithmicMedia`."""
    match = _SOURCE_TYPE.fullmatch(value.strip())
    return match[1] if match else None


def source_types(metadata: Metadata) -> set[str]:
    """The names of the source types that XMP states."""
    values = metadata.xmp.get(_IPTC + "DigitalSourceType", ())
    return {name for value in values if (name := source_type_name(value))}


def iptc(metadata: Metadata) -> Iterator[Finding]:
    types = source_types(metadata)
    composite = types & COMPOSITE
    if TRAINED in types:
        yield Finding(SIGNALS["iptc_ai"])
    if composite:
        yield Finding(SIGNALS["iptc_composite"], None, shown(value=min(composite)))
    if types & _NOT_AI:
        yield Finding(SIGNALS["iptc_not_ai"], None, shown(value=min(types & _NOT_AI)))
    said = {
        name: value
        for name in _SYSTEM
        for value in metadata.xmp.get(_IPTC + name, ())
        if value.strip().lower() not in _NOTHING
    }
    # Beside a composite's type the properties name what made the part, which is told already.
    if said and not composite:
        system = said.get("AISystemUsed")
        details = shown(
            version=said.get("AISystemVersionUsed"),
            properties=", ".join(said),
            prompt=said.get("AIPromptInformation"),
        )
        yield Finding(SIGNALS["iptc_ai_system"], shown(name=system).get("name"), details)
    if TRAINED in types and metadata.xmp.get(_IPTC + "DigImageGUID"):
        yield Finding(SIGNALS["midjourney_xmp"], "Midjourney")


def google(metadata: Metadata) -> Iterator[Finding]:
    stated = (*metadata.xmp.get(_PHOTOSHOP + "Credit", ()), *metadata.credits)
    credits = {value.strip("\0 \r\n") for value in stated}
    if "Made with Google AI" in credits:
        yield Finding(SIGNALS["google_made"], "Google AI")
    if "Edited with Google AI" in credits:
        yield Finding(SIGNALS["google_edited"], "Google AI")


def china(metadata: Metadata) -> Iterator[Finding]:
    """`Label` 1 says AI. The key alone, and the other values (possible, suspected), do not."""
    stated = [
        value for name, values in metadata.xmp.items() if _TC260.fullmatch(name) for value in values
    ]
    labels = [json_object(text) for text in (*stated, metadata.texts.get("AIGC", ""))]
    labels = [inner if isinstance(inner := label.get("AIGC"), dict) else label for label in labels]
    inner = json_object(metadata.exif.get(_exif.USER_COMMENT, "")).get("AIGC")
    if isinstance(inner, dict):
        labels.append(inner)
    for label in labels:
        if str(label.get("Label")) == "1":
            yield Finding(SIGNALS["china_label"], None, shown(producer=label.get("ContentProducer")))
            return


def credentials_elsewhere(metadata: Metadata) -> Iterator[Finding]:
    if not metadata.credentials and metadata.xmp.get(_PROVENANCE):
        yield Finding(SIGNALS["credentials_remote"], None, {"state": "remote, not read"})


def camera(metadata: Metadata) -> Iterator[Finding]:
    make, model = metadata.exif.get(_exif.MAKE, ""), metadata.exif.get(_exif.MODEL, "")
    # ComfyUI keeps its workflow in these tags.
    if make.strip() and model.strip() and not any("{" in text for text in (make, model)):
        note = "yes" if metadata.exif.get(_exif.MAKER_NOTE, "").strip() else "no"
        yield Finding(SIGNALS["camera"], None, shown(make=make, model=model, maker_note=note))
