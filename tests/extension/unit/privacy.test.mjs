import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { acquire } from "../../../extension/lib/bytes.js";
import { DEFAULTS } from "../../../extension/lib/settings.js";
import { browser, network } from "./browser.mjs";

const SRC = "https://example.org/a.jpg";
const DATA = "data:image/png;base64,aGVsbG8=";

let it;
beforeEach(() => { it = browser(); });

/** What would be sent for an image that is given by its address. */
async function sent(src, privacy, refused = []) {
  const job = { id: "1", tab: -1, frame: 0, src, fresh: false, incognito: false, shot: false, given: false, refused, view: {} };
  try {
    return await acquire(job, { urls: [src], shown: src, origin: "", alt: "" }, { ...DEFAULTS, privacy });
  } catch (problem) {
    return { code: problem.code };
  }
}

test("an address is sent only where that was chosen, or the bytes cannot be had and it was not forbidden", async () => {
  network({});
  assert.equal((await sent(SRC, "url")).url, SRC);
  assert.equal((await sent(SRC, "bytes")).url, SRC);
  assert.deepEqual(await sent(SRC, "never"), { code: "needs_permission" });
  assert.deepEqual(await sent(SRC, "bytes", [SRC]), { code: "needs_permission" });
});

test("a site that may be read gives the bytes, and its address is not sent", async () => {
  it.granted.add("https://example.org/*");
  for (const privacy of ["bytes", "never"]) {
    const asked = network({ [SRC]: [200, "bytes", { "Content-Type": "image/jpeg" }] });
    const { blob, url, got } = await sent(SRC, privacy);
    assert.equal(await blob.text(), "bytes");
    assert.deepEqual([url, got.kind, asked.length], [undefined, "upload", 1]);
  }
});

test("an image in its own address is sent as bytes, whatever was chosen", async () => {
  globalThis.fetch = async (address) => { assert.equal(address, DATA); return new Response("hello"); };
  for (const privacy of ["url", "bytes", "never"]) {
    const { blob, url } = await sent(DATA, privacy);
    assert.deepEqual([await blob.text(), url], ["hello", undefined]);
  }
});

test("a file larger than the server takes is not sent, nor is its address", async () => {
  it.granted.add("https://example.org/*");
  network({ [SRC]: [200, "x".repeat(100)] });
  const job = { id: "1", tab: -1, frame: 0, src: SRC, refused: [], view: {} };
  const asked = acquire(job, { urls: [SRC], shown: SRC, origin: "", alt: "" }, { ...DEFAULTS, maxBytes: 99 });
  await assert.rejects(asked, { code: "too_large", limit: 99 });
});
