import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import "../../../extension/inject/card-text.js";

const { clean, percent, problem, progress, reasons, remedies, sentence, translator } = globalThis.aidetectCardText;
const read = async (lang) => JSON.parse(await readFile(new URL(`../../../extension/_locales/${lang}/messages.json`, import.meta.url), "utf8"));
const [en, id] = await Promise.all(["en", "id"].map(async (lang) => translator(await read(lang), lang)));
const verdict = (more) => ({ label: "ai", probability: 0.871, decided_by: "model", uncertain_because: null, reasons: [], evidence: [], ...more });

test("what would steer or reorder text is taken out", () => {
  assert.equal(clean("photo\u202egnp.exe"), "photo\ufffdgnp.exe");
  assert.equal(clean("a\u0000b\u001b[31mc\u2066d\ufeff"), "a\ufffdb\ufffd[31mc\ufffdd\ufffd");
  assert.equal(clean("عربي"), "عربي");
  assert.equal(clean("x".repeat(400)).length, 300);
  assert.equal(clean(null), "");
  assert.equal(clean(7), "7");
});

test("a stranger's string is put in as it is: no markup, no placeholders, isolated", () => {
  const t = translator({ hello: { message: "Hello $NAME$!" } }, "en");
  assert.equal(t("hello", { name: "<b>$NAME$</b>" }), "Hello <b>$NAME$</b>!");
  assert.equal(t("hello", { name: "ليلى" }), "Hello \u2068ليلى\u2069!");
  assert.equal(t("hello", {}), "Hello !");
  assert.equal(t("unknown"), "unknown");
});

test("numbers are written as the language does, and no probability is a certainty", () => {
  assert.equal(percent(0.871, "en"), "87%");
  assert.equal(percent(0.9999, "en"), ">99%");
  assert.equal(percent(1, "id"), ">99%");
  assert.equal(percent(0, "en"), "<1%");
  assert.equal(percent(undefined, "en"), "?");
  assert.match(id("fact_pixels", { width: 4000, height: 3000 }), /^4\.000 × 3\.000/);
});

test("one pixel is not counted as many", () => {
  const tiny = verdict({ reasons: [{ code: "too_small", text: "", params: { side: 1, needed: 64 } }] });
  assert.deepEqual(reasons(tiny, en), ["The shorter side is 1 px long; 64 px are needed."]);
  assert.deepEqual(reasons(tiny, id), ["Sisi terpendek 1 px; yang dibutuhkan 64 px."]);
});

test("one frame and one view are not counted as many", () => {
  const of = (code, params) => reasons(verdict({ reasons: [{ code, text: "", params }] }), en);
  assert.deepEqual(of("frames", { ai: 1, real: 1, all: 16, share: 0.0625 }), ["Frames that look made by AI: 1 of 16; that do not: 1."]);
  assert.deepEqual(of("frames", { ai: 1, real: 0, all: 1, share: 1 }), ["Frames that look made by AI: 1 of 1; that do not: 0."]);
  assert.deepEqual(of("views", { ai: 1, all: 9 }), ["Views of the image that look more like AI than not: 1 of 9."]);
});

test("the sentence is of what decided", () => {
  assert.equal(sentence(verdict(), en), "The model puts the chance that AI made this image at 87%.");
  assert.match(sentence(verdict({ decided_by: "metadata", probability: 0.1 }), en), /^The file itself says/);
  assert.ok(!sentence(verdict({ decided_by: "metadata", probability: 0.1 }), en).includes("%"));
  assert.match(sentence(verdict({ label: "uncertain", uncertain_because: "too_small" }), id), /kecil/);
  assert.equal(sentence(verdict({ label: "uncertain", uncertain_because: "new" }), en), en("because_other"));
});

test("reasons are in the reader's language, unknown ones in the server's", () => {
  const made = verdict({ reasons: [{ code: "views", text: "…", params: { ai: 7, all: 9 } }, { code: "new", text: "Some\u202e English" }, null] });
  assert.deepEqual(reasons(made, id).length, 2);
  assert.match(reasons(made, id)[0], /7.*9/);
  assert.equal(reasons(made, id)[1], "Some\ufffd English");
});

test("a problem is said by its code, else as the server said it; one thing helps first", () => {
  assert.equal(problem({ code: "corrupt_image" }, en), "The image is damaged or incomplete.");
  assert.equal(problem({ code: "new", detail: "The\u202e moon." }, en), "The\ufffd moon.");
  assert.equal(problem({}, en), en("error_other"));
  assert.equal(remedies({ code: "key_invalid" })[0], "connect");
  assert.equal(remedies({ code: "needs_permission" })[0], "allow");
  assert.deepEqual(remedies({ code: "new" }), ["retry"]);
});

test("progress says how many are before it, and why it waits", () => {
  assert.match(progress({ state: "queued", position: 3 }, en), /3/);
  assert.match(progress({ state: "paused", paused: { why: "limited", seconds: 9 } }, en), /9/);
  assert.equal(progress({ state: "new" }, en), en("state_waiting"));
});
