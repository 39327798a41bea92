"""The table of signals. `docs/evidence.md` shows it; a test holds the two equal."""

from ._finding import Signal

_IPTC = "IPTC Photo Metadata Standard 2025.1; NewsCodes digitalsourcetype"
_SEEN = "the program's habit, in no specification"
_C2PA = "C2PA specification 2.2"
_CC = "Content Credentials (C2PA)"

_TABLE = (
    Signal(
        "iptc_ai", "IPTC", "XMP `Iptc4xmpExt:DigitalSourceType` = `trainedAlgorithmicMedia`",
        "ai", 0.6, _IPTC,
    ),
    Signal(
        "iptc_composite", "IPTC",
        "the same = `compositeWithTrainedAlgorithmicMedia` or `compositeSynthetic`",
        "edited", 0.4, _IPTC,
    ),
    Signal(
        "iptc_not_ai", "IPTC",
        "the same = a capture, a scan or human work (`digitalCapture`, `negativeFilm`, …)",
        "real", 0.1, _IPTC,
    ),
    Signal(
        "iptc_ai_system", "IPTC 2025.1",
        "XMP `Iptc4xmpExt:AISystemUsed`, `AISystemVersionUsed`, `AIPromptInformation`,"
        " `AIPromptWriterName`",
        "ai", 0.5, _IPTC,
    ),
    Signal(
        "google_made", "Google", "XMP `photoshop:Credit`, or IPTC-IIM 2:110, = `Made with Google AI`",
        "ai", 0.5, _SEEN,
    ),
    Signal(
        "google_edited", "Google", "the same = `Edited with Google AI`",
        "edited", 0.4, _SEEN,
    ),
    Signal(
        "webui", "AUTOMATIC1111, Forge and what writes as they do",
        "PNG text `parameters`, EXIF UserComment, or comment of a JPEG or GIF:"
        " `Steps: … Sampler: … CFG scale: … Seed: …`",
        "ai", 0.6, _SEEN,
    ),
    Signal(
        "comfyui", "ComfyUI",
        "PNG text `prompt` or `workflow`, or the same in EXIF: nodes in JSON",
        "ai", 0.6, _SEEN,
    ),
    Signal(
        "invokeai", "InvokeAI",
        "PNG text `invokeai_metadata`, `invokeai_graph`, `invokeai_workflow`; old: `sd-metadata`,"
        " `Dream`",
        "ai", 0.6, _SEEN,
    ),
    Signal(
        "novelai", "NovelAI", "PNG text `Software` = `NovelAI`, `Comment` in JSON",
        "ai", 0.6, _SEEN,
    ),
    Signal(
        "stealth", "NovelAI, extensions of web UIs",
        "lowest bits of the alpha channel begin with `stealth_pnginfo` or `stealth_pngcomp`, of the"
        " colours with `stealth_rgbinfo` or `stealth_rgbcomp`",
        "ai", 0.6, _SEEN,
    ),
    Signal(
        "fooocus", "Fooocus", "PNG text `fooocus_scheme`; EXIF Software `Fooocus …` with UserComment",
        "ai", 0.6, _SEEN,
    ),
    Signal(
        "swarmui", "SwarmUI", "`sui_image_params` in PNG text `parameters` or EXIF UserComment",
        "ai", 0.6, _SEEN,
    ),
    Signal(
        "midjourney", "Midjourney", "PNG text `Description` with `Job ID:` and a UUID",
        "ai", 0.6, _SEEN,
    ),
    Signal(
        "midjourney_xmp", "Midjourney",
        "XMP `Iptc4xmpExt:DigImageGUID` beside DigitalSourceType `trainedAlgorithmicMedia`",
        "ai", 0.5, _SEEN,
    ),
    Signal(
        "grok", "xAI Grok", "EXIF ImageDescription `Signature: …` in Base64, and Artist = a UUID",
        "ai", 0.5, _SEEN,
    ),
    Signal(
        "luma", "Luma", "PNG text `Source` = `Luma AI`", "ai", 0.5, _SEEN,
    ),
    Signal(
        "samsung_edit", "Samsung",
        "`PhotoEditor_Re_Edit_Data` behind a JPEG, with a `genAIType` other than 0",
        "edited", 0.4, _SEEN,
    ),
    Signal(
        "china_label", "China's content label",
        "XMP `TC260:AIGC`, PNG text `AIGC`, or `AIGC` in EXIF UserComment: JSON with `Label` = 1",
        "ai", 0.6, "GB 45438-2025",
    ),
    Signal(
        "camera", "Cameras",
        "EXIF Make and Model; a maker note is told too",
        "real", 0.1, "EXIF 2.32 (CIPA DC-008)",
    ),
    Signal(
        "credentials_signed_ai", _CC,
        "valid, trusted signer: the image was made (`c2pa.created`) by AI: `trainedAlgorithmicMedia`,"
        " or is a version of such a one",
        "ai", 0.95, _C2PA, "credentials", True,
    ),
    Signal(
        "credentials_signed_edited", _CC,
        "valid, trusted signer: another action, or an ingredient, is of AI, or the whole is"
        " `compositeWithTrainedAlgorithmicMedia` or `compositeSynthetic`",
        "edited", 0.9, _C2PA, "credentials", True,
    ),
    Signal(
        "credentials_signed_camera", _CC,
        "valid, trusted signer: made by a camera (`digitalCapture`, `computationalCapture`), from"
        " nothing else",
        "real", 0.6, _C2PA, "credentials", True,
    ),
    Signal(
        "credentials_signed", _CC, "valid, trusted signer: no statement on AI",
        "unclear", 0.0, _C2PA, "credentials", True,
    ),
    Signal(
        "credentials_untrusted_ai", _CC, "whole, but the signer is not trusted: made by AI",
        "ai", 0.6, _C2PA, "credentials",
    ),
    Signal(
        "credentials_untrusted_edited", _CC, "the same: AI made a part",
        "edited", 0.4, _C2PA, "credentials",
    ),
    Signal(
        "credentials_untrusted", _CC, "the same: anything else, also a camera",
        "unclear", 0.0, _C2PA, "credentials",
    ),
    Signal(
        "credentials_invalid", _CC,
        "broken: image or credentials changed after signing, cut, or of another file",
        "unclear", 0.0, _C2PA, "credentials",
    ),
    Signal(
        "credentials_remote", _CC,
        "XMP `dcterms:provenance`: they lie at an address, which is not asked",
        "unclear", 0.0, _C2PA, "credentials",
    ),
    Signal(
        "credentials", _CC,
        "there, but not checked: the extra `credentials` is not installed, or they are too large",
        "unclear", 0.0, _C2PA, "credentials",
    ),
)  # fmt: skip

SIGNALS: dict[str, Signal] = {signal.key: signal for signal in _TABLE}

_WORDS = {
    "ai": "AI made it",
    "edited": "AI made a part of it",
    "real": "a camera or a person made it",
    "unclear": "nothing on AI",
}


def markdown_table() -> str:
    """The table as `docs/evidence.md` shows it."""
    lines = [
        "| signal | of | where | claims | strength | known from |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{s.key}` | {s.who} | {s.where} | {_WORDS[s.says]} | {s.strength:g} | {s.source} |"
        for s in _TABLE
    ]
    return "\n".join(lines) + "\n"
