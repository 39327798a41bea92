import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Api, Problem } from "../../../extension/lib/api.js";
import { connect, hostOf, readable, said } from "../../../extension/pages/connect.js";
import { settings } from "../../../extension/lib/settings.js";
import { browser, network } from "./browser.mjs";

const KEY = `${"a".repeat(12)}.${"B".repeat(43)}`;
const SERVER = "https://example.org";
const ABOUT = { name: "aidetect", version: "1", scopes: ["check"], limits: { max_bytes: 5 }, model: { name: "m", version: "1" } };
const NO_KEY = [401, { code: "key_missing" }];

let it;
beforeEach(() => { it = browser(); });
const fails = (promise) => promise.then(() => assert.fail("it went well"), (problem) => problem);
const connected = (more = {}) => network({ [`${SERVER}/v1/server`]: [200, { ...ABOUT, ...more }] });

test("the key goes into one header; nothing else of the browser goes along", async () => {
  const [asked] = [connected()];
  await new Api({ server: SERVER, key: KEY }).json("/v1/server");
  const { headers, credentials, cache, redirect, referrerPolicy } = asked[0];
  assert.deepEqual(headers, { Authorization: `Bearer ${KEY}` });
  assert.deepEqual([credentials, cache, redirect, referrerPolicy], ["omit", "no-store", "error", "no-referrer"]);
});

for (const [status, body, code, why] of [
  [429, { code: "rate_limited" }, "rate_limited", "limited"],
  [503, { code: "queue_full" }, "queue_full", "busy"],
  [502, "<html>", "offline", "offline"],
  [504, "", "offline", "offline"],
  [401, { code: "key_invalid" }, "key_invalid", null],
  [404, "<html>", "not_aidetect", null],
]) {
  test(`status ${status} is the problem ${code}${why ? ", and waiting helps" : ""}`, async () => {
    network({ [`${SERVER}/x`]: [status, body, { "Retry-After": "7" }] });
    const problem = await fails(new Api({ server: SERVER, key: "" }).json("/x"));
    assert.ok(problem instanceof Problem);
    assert.deepEqual([problem.code, problem.why], [code, why]);
    if (typeof body === "object") assert.equal(problem.seconds, 7);
  });
}

test("no answer is the problem offline; what was given up is not one", async () => {
  network({});
  assert.equal((await fails(new Api({ server: SERVER, key: "" }).json("/x"))).why, "offline");
  globalThis.fetch = async () => { throw new DOMException("", "AbortError"); };
  assert.equal((await fails(new Api({ server: SERVER, key: "" }).json("/x"))).name, "AbortError");
});

test("connecting keeps server, key and limit once the server has answered", async () => {
  connected();
  assert.equal((await connect(`${SERVER}/`, ` ${KEY} `)).version, "1");
  const { server, key, maxBytes } = await settings();
  assert.deepEqual([server, key, maxBytes], [SERVER, KEY, 5]);
});

test("a pairing code is traded for a key, however it is written", async () => {
  for (const code of ["123456", "123 456", "123-456"]) {
    it = browser();
    const asked = network({ [`${SERVER}/v1/pairings`]: [200, { key: KEY }], [`${SERVER}/v1/server`]: [200, ABOUT] });
    await connect(SERVER, code);
    assert.equal(asked[0].body, '{"code":"123456"}');
    assert.equal((await settings()).key, KEY);
  }
});

test("without a secret the kept key is tried, at its own server alone", async () => {
  connected();
  await connect(SERVER, KEY);
  await connect(SERVER, "");
  const asked = network({ "https://elsewhere.example/v1/server": [200, ABOUT] });
  const problem = await fails(connect("https://elsewhere.example", ""));
  assert.equal(problem.code, "secret_missing");
  assert.deepEqual(asked, []);
  assert.equal((await settings()).server, SERVER);
});

for (const [what, answers, secret, code] of [
  ["what is neither key nor code", {}, "12345", "secret_form"],
  ["a wrong key", { [`${SERVER}/v1/server`]: [401, { code: "key_invalid" }] }, KEY, "key_invalid"],
  ["a wrong code", { [`${SERVER}/v1/pairings`]: [403, { code: "pairing_code_wrong" }] }, "123456", "pairing_code_wrong"],
  ["a key that may not check", { [`${SERVER}/v1/server`]: [200, { ...ABOUT, scopes: ["metrics"] }] }, KEY, "scope_check"],
  ["an address where nothing answers", {}, KEY, "nothing_answers"],
  ["an address of something else", { [`${SERVER}/v1/server`]: [404, "<html>"] }, KEY, "not_aidetect"],
  ["something else that answers all", { [`${SERVER}/v1/server`]: [200, "<html>"], [`${SERVER}/healthz`]: [200, ""] }, KEY, "not_aidetect"],
  ["something that lets nobody read it", { [`${SERVER}/v1/server`]: [200, "", { opaque: "1" }], [`${SERVER}/healthz`]: [200, ""] }, KEY, "not_aidetect"],
  ["https where http is spoken", { "http://example.org/v1/server": NO_KEY }, KEY, "other_scheme"],
]) {
  test(`${what} is called ${code}, and nothing is kept`, async () => {
    network(answers);
    const problem = await fails(connect(SERVER, secret));
    assert.equal(problem.code, code);
    if (code === "other_scheme") assert.equal(problem.detail, "http://example.org");
    assert.deepEqual(it.local, {});
  });
}

test("without a network that is said, except of this computer's server", async () => {
  browser({ onLine: false });
  network({});
  assert.equal((await fails(connect(SERVER, KEY))).code, "no_network");
  assert.equal((await fails(connect("http://127.0.0.1:8787", KEY))).code, "nothing_answers");
});

test("what is no address is said before anything is sent", async () => {
  const asked = network({});
  assert.equal((await fails(connect("no address", KEY))).code, "server_address");
  assert.deepEqual(asked, []);
});

test("the words of a problem name the server, and fall back to the card's", () => {
  globalThis.aidetectCardText = { problem: ({ code }) => `card: ${code}` };
  const t = Object.assign((key, values) => `${key} ${values.host} ${values.address}`, { has: (key) => key.startsWith("connect_") });
  assert.equal(said(new Problem("other_scheme", { detail: "http://example.org" }), SERVER, t), "connect_other_scheme example.org http://example.org");
  assert.equal(said(new Problem("key_invalid"), SERVER, { has: () => false }), "card: key_invalid");
  assert.equal(hostOf("two words"), "two words");
});

test("http is open to whoever is on the way, except within this computer", () => {
  assert.ok(readable("http://192.168.1.5:8787") && readable("http://example.org"));
  for (const one of ["https://example.org", "http://127.0.0.1:8787", "http://localhost:1", "http://[::1]:8787"]) assert.ok(!readable(one), one);
});
