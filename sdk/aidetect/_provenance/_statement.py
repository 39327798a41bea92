"""What a checked C2PA manifest says of an image's origin, in the vocabulary of IPTC's source types.

The report is c2pa's (Reader JSON). Actions are those of the C2PA specification 2.x, "Actions": of one
made image (`c2pa.created`) or of work on another image (`c2pa.opened`, then edits), whose own manifest
is then an ingredient. An AI edit of a photograph is not an AI image, and is told apart here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ._standards import COMPOSITE, TRAINED, source_type_name

_CAPTURE = {"digitalCapture", "computationalCapture"}
_WHOLE = {"c2pa.created", "c2pa.opened"}
"""Actions whose source type is that of the image as a whole; of the others, of what they added."""

_DEPTH_LIMIT = 64
_IN_STORE = re.compile(r"(?:self#jumbf=)?/c2pa/([^/]+)")

_TRUSTED, _UNTRUSTED = "signingCredential.trusted", "signingCredential.untrusted"

NOT_TRUSTED = {
    _UNTRUSTED,
    "signingCredential.expired",
    "claimSignature.outsideValidity",
    "assertion.action.malformed",
}
"""Flaws that leave image and statement as they were signed, but nobody to vouch for it: an unknown
signer, a certificate that has expired since (without a timestamp, nobody knows when it signed), and
actions in an order that the specification does not have, as known programs wrote them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """`camera`: the image is as a camera made it; none: nothing that bears on AI."""

    says: Literal["ai", "edited", "camera", "none"] = "none"
    source_type: str | None = None
    agent: str | None = None
    """The software that did it, as the manifest names it."""


def statement_of(report: Mapping[str, Any], *, trusted: bool) -> Statement:
    """The statement of the active manifest and of its ingredients; `trusted`: of those only whose own
    signer is trusted too."""
    return _Reading(report, trusted).statement(str(report["active_manifest"]), 0)


class _Reading:
    """One report. Each manifest is read once, however many ingredients lead to it: a small file could
    make for endless visits."""

    def __init__(self, report: Mapping[str, Any], trusted: bool) -> None:
        self._manifests: Mapping[str, Any] = report["manifests"]
        self._trusted = trusted
        self._read: dict[str, Statement] = {}
        self._good: dict[str, set[str]] = {}
        self._flaws: dict[str, set[str]] = {}
        for delta in (report.get("validation_results") or {}).get("ingredientDeltas") or ():
            changes = delta.get("validationDeltas") or {}
            _index(changes.get("success"), self._good)
            _index(changes.get("failure"), self._flaws)

    def statement(self, label: str, depth: int) -> Statement:
        if label not in self._read:
            self._read[label] = Statement()  # for one that comes back to itself
            if label in self._manifests and depth <= _DEPTH_LIMIT:
                self._read[label] = self._of(self._manifests[label], depth)
        return self._read[label]

    def _of(self, manifest: Mapping[str, Any], depth: int) -> Statement:
        actions = list(_actions(manifest))
        for action, term, agent in actions:
            if term == TRAINED and action in _WHOLE:
                return Statement("ai", term, agent)
        all_of_them = manifest.get("ingredients") or ()
        ingredients = [
            (one.get("relationship"), self.statement(one["active_manifest"], depth + 1))
            for one in all_of_them
            if self._is_sound(one)
        ]
        # A manifest without actions around one component is that again, as OpenAI's were in 2025.
        same = {"parentOf"} if actions or len(all_of_them) > 1 else {"parentOf", "componentOf"}
        for relationship, statement in ingredients:
            if relationship in same and statement.says == "ai":
                return statement
        for _, term, agent in actions:
            if term == TRAINED or term in COMPOSITE:
                return Statement("edited", term, agent)
        for relationship, statement in ingredients:
            if relationship in ("parentOf", "componentOf") and statement.says in ("ai", "edited"):
                return Statement("edited", statement.source_type, statement.agent)
        for action, term, agent in actions:
            if action == "c2pa.created" and term in _CAPTURE and not all_of_them:
                return Statement("camera", term, agent)
        return Statement("none", next((term for _, term, _ in actions if term), None))

    def _is_sound(self, ingredient: Mapping[str, Any]) -> bool:
        """Whether the ingredient's own manifest was found whole and, if so wanted, by a trusted signer.

        What its user found when taking it in is recorded in the ingredient; what is otherwise today the
        report has as deltas. Without this, a manifest signed by anybody, opened and saved with a program
        that many have, would come out as a trusted statement.
        """
        label = ingredient.get("active_manifest")
        if not isinstance(label, str):
            return False
        recorded = (ingredient.get("validation_results") or {}).get("activeManifest") or {}
        good = _codes(recorded.get("success")) | self._good.get(label, set())
        flaws = (_codes(recorded.get("failure")) - {_UNTRUSTED}) | self._flaws.get(label, set())
        return _TRUSTED in good and not flaws if self._trusted else flaws <= NOT_TRUSTED


def _codes(items: Any) -> set[str]:
    return {str(item.get("code")) for item in items or ()}


def _index(items: Any, codes: dict[str, set[str]]) -> None:
    """Sorts the codes by the manifest that their address is in."""
    for item in items or ():
        label = _IN_STORE.match(str(item.get("url")))
        if label:
            codes.setdefault(label[1], set()).add(str(item.get("code")))


def _actions(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str | None, str | None]]:
    """Action, last part of its source type, and the software that did it."""
    for assertion in manifest.get("assertions") or ():
        if str(assertion.get("label")).split("__")[0] not in ("c2pa.actions", "c2pa.actions.v2"):
            continue
        data = assertion.get("data")
        for action in (data.get("actions") or ()) if isinstance(data, dict) else ():
            agent = action.get("softwareAgent")
            name = agent.get("name") if isinstance(agent, dict) else agent
            yield (
                str(action.get("action")),
                source_type_name(str(action.get("digitalSourceType", ""))),
                str(name) if name else None,
            )
