import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { cancel, halt, hurry, hurryAll, run } from "../../../extension/lib/check.js";
import { load, remove, save } from "../../../extension/lib/jobs.js";
import { keep, kept } from "../../../extension/lib/kept.js";
import { change } from "../../../extension/lib/settings.js";
import { browser, network } from "./browser.mjs";

const SERVER = "https://example.org";
const VERDICT = { label: "real", image: { sha256: "0".repeat(64) }, model: { name: "m" } };
const DONE = [200, { id: "c", state: "done", verdict: VERDICT, signature: "s", heatmap: "/map" }];
const LIMITED = [429, { code: "rate_limited" }, { "Retry-After": "3600" }];
const MAP = [200, "map", { "Content-Type": "image/png" }];

let it, told;
beforeEach(async () => {
  it = browser();
  told = [];
  await change({ server: SERVER, key: "first" });
});

/** A check of an image that was given, or of an address. */
async function begun(id, src = "") {
  const view = { state: "waiting", name: "a.jpg", got: null };
  if (!src) await keep(id, new Blob(["image"]), false);
  await save({ id, tab: -1, frame: 0, src, given: !src, fresh: true, refused: [], map: null, check: null, at: 0, view });
  return () => run(id, async (job) => { told.push(structuredClone(job.view)); });
}

const states = () => told.map((view) => [view.state, Boolean(view.heatmap)].join());

/** Until it holds, however slow this machine is. */
async function until(true_) {
  for (const end = Date.now() + 90_000; !(await true_()); await new Promise((go) => setTimeout(go, 5))) {
    assert.ok(Date.now() < end, JSON.stringify(told));
  }
}

test("the verdict is told and kept before the heat map, which is read when the server has time for it", async () => {
  const answers = [[...LIMITED.slice(0, 2), { "Retry-After": "1" }], MAP];
  const asked = network({ [`${SERVER}/v1/uploads?wait=1`]: DONE, [`${SERVER}/map`]: () => answers.shift() });
  await (await begun("1"))();
  assert.deepEqual(states(), ["sending,false", "done,false", "done,true"]);
  assert.deepEqual([it.local.entries.length, asked.length], [1, 3]);
  const job = await load("1");
  assert.deepEqual([job.map, job.view.heatmap], [null, `data:image/png;base64,${btoa("map")}`]);
});

test("without a heat map, or one that can be read, the verdict stands", async () => {
  network({ [`${SERVER}/v1/uploads?wait=1`]: DONE, [`${SERVER}/map`]: [404, { code: "unknown_check" }] });
  await (await begun("1"))();
  assert.deepEqual(states(), ["sending,false", "done,false", "done,false"]);
  assert.equal((await load("1")).map, null);
});

test("a background that was ended meanwhile reads the heat map in its next life", async () => {
  network({ [`${SERVER}/map`]: MAP });
  const again = await begun("1");
  const job = await load("1");
  await save({ ...job, map: "/map", view: { ...job.view, state: "done", verdict: VERDICT } });
  await again();
  assert.deepEqual(states(), ["done,true"]);
});

test("who asks again does not wait for the heat map of the last time", async () => {
  network({ [`${SERVER}/v1/uploads?wait=1`]: DONE, [`${SERVER}/map`]: LIMITED });
  const ended = (await begun("1"))();
  await until(async () => (await load("1")).view.state === "done");
  await halt("1");
  await ended;
  assert.deepEqual(states(), ["sending,false", "done,false"]);
});

test("a hurry ends a pause, also where it comes before it", async () => {
  const answers = [LIMITED, LIMITED, DONE];
  network({ [`${SERVER}/v1/uploads?wait=1`]: () => answers.shift(), [`${SERVER}/map`]: MAP });
  const ended = (await begun("1"))();
  hurry("1"); // nothing was asked yet
  await until(() => answers.length === 1 && told.at(-1).state === "paused");
  hurryAll();
  await ended;
  assert.equal(told.at(-1).state, "done");
});

test("a key that was changed while the old one was refused is asked with", async () => {
  const keys = [];
  const refusing = async ({ headers }) => {
    keys.push(headers.Authorization);
    if (keys.length > 1) return DONE;
    await change({ key: "second" });
    return [401, { code: "key_invalid" }];
  };
  network({ [`${SERVER}/v1/uploads?wait=1`]: refusing, [`${SERVER}/map`]: MAP });
  await (await begun("1"))();
  assert.deepEqual(keys, ["Bearer first", "Bearer second"]);
  assert.equal(told.at(-1).state, "done");
});

test("what is cancelled at any moment is not kept again", async () => {
  const image = `${SERVER}/a.jpg`;
  it.granted.add(`${SERVER}/*`);
  for (let steps = 0; steps < 120; steps += 1) {
    const [id, queued] = [String(steps), [202, { id: "c", state: "queued" }]];
    network({ [image]: [200, "image"], [`${SERVER}/v1/uploads?wait=1`]: queued, [`${SERVER}/v1/checks/c`]: [204, ""] });
    const ended = (await begun(id, image))();
    for (let step = 0; step < steps; step += 1) await null;
    await cancel(id);
    await remove([id]);
    await ended;
    assert.deepEqual([await load(id), await kept(id)], [null, null], `after ${steps} steps`);
  }
});

test("each change of a job is later than the one before, whatever the clock says", async () => {
  const job = { id: "1", at: 9e15, view: { state: "queued" } };
  await save(job);
  assert.equal((await load("1")).at, 9e15 + 1);
});
