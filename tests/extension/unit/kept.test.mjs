import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { entries, forget, knows, remember, shorten } from "../../../extension/lib/history.js";
import { all, load, over, save } from "../../../extension/lib/jobs.js";
import { change } from "../../../extension/lib/settings.js";
import { browser } from "./browser.mjs";

let it;
beforeEach(() => { it = browser(); });

const view = (name, sha256) => ({ name, picture: "data:,private", verdict: { label: "real", image: { sha256 }, model: {} }, signature: null });

test("the newest verdict comes first, without its image", async () => {
  await remember(view("a", "1"));
  await remember(view("b", "2"));
  assert.deepEqual((await entries()).map((one) => one.name), ["b", "a"]);
  assert.ok(!JSON.stringify(it.local).includes("private"));
  assert.ok(await knows("1") && !(await knows("3")));
});

test("the same image is kept once", async () => {
  await remember(view("a", "1"));
  await remember(view("b", "2"));
  await remember(view("a", "1"));
  assert.deepEqual((await entries()).map((one) => one.name), ["a", "b"]);
});

test("no more are kept than was chosen, and none where that is none", async () => {
  await change({ history: 2 });
  for (const name of ["a", "b", "c"]) await remember(view(name, name));
  assert.deepEqual((await entries()).map((one) => one.name), ["c", "b"]);
  await shorten(1);
  assert.deepEqual((await entries()).map((one) => one.name), ["c"]);
  await change({ history: 0 });
  await remember(view("d", "d"));
  assert.deepEqual(await entries(), []);
});

test("one can be removed", async () => {
  await chrome.storage.local.set({ entries: ["1", "2"].map((at) => ({ at, ...view(at, at) })) });
  await forget("2");
  assert.deepEqual((await entries()).map((one) => one.at), ["1"]);
});

test("what another version left there is passed over", async () => {
  for (const left of ["a", {}, [null, 1, { verdict: {} }]]) {
    await chrome.storage.local.set({ entries: left });
    assert.deepEqual(await entries(), []);
  }
});

test("a check under way is found again, and is over once it is done or failed", async () => {
  await save({ id: "1", view: { state: "queued" } });
  await chrome.storage.session.set({ other: 1 });
  const [job] = await all();
  assert.equal(job.id, "1");
  assert.ok(job.at > 0 && !over(job));
  assert.equal(await load("2"), null);
  assert.ok(over({ view: { state: "done" } }) && over({ view: { state: "failed" } }));
});
