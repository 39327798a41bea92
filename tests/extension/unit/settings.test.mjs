import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { change, DEFAULTS, serverAddress, settings } from "../../../extension/lib/settings.js";
import { languageOf } from "../../../extension/lib/words.js";
import { browser } from "./browser.mjs";

let it;
beforeEach(() => { it = browser(); });

test("without a choice the server of this computer, no key, and bytes before addresses", async () => {
  assert.deepEqual(await settings(), DEFAULTS);
  assert.equal(DEFAULTS.server, "http://127.0.0.1:8787");
  assert.equal(DEFAULTS.privacy, "bytes");
  assert.equal(DEFAULTS.key, "");
});

test("a choice is kept, and nothing beside it", async () => {
  await change({ privacy: "never" });
  assert.deepEqual(it.local, { privacy: "never" });
  assert.equal((await settings()).privacy, "never");
});

for (const [given, kept] of [
  ["http://127.0.0.1:8787/", "http://127.0.0.1:8787"],
  ["127.0.0.1:8787", "http://127.0.0.1:8787"],
  ["  https://Example.ORG/aidetect/  ", "https://example.org/aidetect"],
  ["https://example.org:443", "https://example.org"],
  ["[::1]:8787", "http://[::1]:8787"],
  ["http://127.0.0.1:8787/#key=1", "http://127.0.0.1:8787"],
  ["https://user:secret@example.org", null],
  ["ftp://example.org", null],
  ["javascript://x", null],
  ["two words", null],
  ["", null],
]) {
  test(`the address ${JSON.stringify(given)} is kept as ${kept}`, () => assert.equal(serverAddress(given), kept));
}

test("the language is the chosen one, else the browser's, else English", () => {
  browser({ language: "id-ID", languages: ["de-DE"] });
  assert.equal(languageOf(""), "id");
  assert.equal(languageOf("en"), "en");
  assert.equal(languageOf("xx"), "id");
  browser({ language: "de-DE", languages: ["de-DE", "id"] });
  assert.equal(languageOf(""), "id");
  browser({ language: "de-DE", languages: ["fr"] });
  assert.equal(languageOf(""), "en");
});
