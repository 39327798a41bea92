// One check, from the click to the verdict. Every step is kept, so that a new service worker goes on
// where the last one was ended.

import { Api, Problem } from "./api.js";
import { acquire, find } from "./bytes.js";
import { knows, remember } from "./history.js";
import { load, over, save } from "./jobs.js";
import { keep, kept } from "./kept.js";
import { asDataAddress, sha256, thumbnail } from "./pictures.js";
import { HERE, settings } from "./settings.js";

const WAIT_SECONDS = 10;
const LONGEST_GUESS = 20;
const LONGEST_PAUSE = 3600;
/** A browser ends a service worker that called nothing of its own for 30 s. */
const SLICE = 15;
const ADDRESS_FAILED = new Set([
  "blocked_address", "fetch", "dns", "connection", "tls", "timeout", "http_3xx", "http_4xx", "http_5xx", "http_status",
  "not_an_image", "too_large", "truncated", "unreachable",
]);

/** @type {Map<string, Run>} */
const running = new Map();

/** @typedef {(job: import("./jobs.js").Job) => Promise<void>} Told */

/**
 * Runs a job to its end, unless that is being done already.
 * @param {string} id @param {Told} told is called after every change
 */
export async function run(id, told) {
  if (running.has(id)) return;
  const one = new Run(id, told);
  running.set(id, one);
  one.ended = one.go().finally(() => running.delete(id));
  await one.ended;
}

/** Ends it here, and waits until it has. @param {string} id */
export async function halt(id) {
  const one = running.get(id);
  one?.stop();
  await one?.ended.catch(() => {});
}

/** Ends it here and at the server. @param {string} id */
export async function cancel(id) {
  running.get(id)?.stop();
  const job = await load(id);
  if (job?.check && !over(job)) new Api(await settings()).json(`/v1/checks/${job.check}`, { method: "DELETE" }).catch(() => {});
}

/** Goes on now instead of when a pause is over. @param {string} id */
export function hurry(id) {
  running.get(id)?.hurry();
}

/** All go on now: what they waited for may be there. */
export function hurryAll() {
  for (const one of running.values()) one.hurry();
}

class Run {
  /** @param {string} id @param {Told} told */
  constructor(id, told) {
    this.id = id;
    this.told = told;
    this.abort = new AbortController();
    this.signal = this.abort.signal;
    this.job = /** @type {import("./jobs.js").Job} */ (/** @type {unknown} */ (null));
    this.api = new Api({ server: "", key: "" });
    /** Somebody was in a hurry, since the last pause or in it. */
    this.hurried = false;
    /** @type {(() => void) | null} */
    this.wake = null;
    /** @type {Promise<void>} */
    this.ended = Promise.resolve();
  }

  stop() {
    this.abort.abort();
    this.wake?.();
  }

  hurry() {
    this.hurried = true;
    this.wake?.();
  }

  async go() {
    const job = await load(this.id);
    if (!job) return;
    this.job = job;
    if (!over(job)) await this.check();
    if (job.map) await this.addHeatmap().catch(() => {});
  }

  async check() {
    try {
      await this.connect();
      await this.finish(await this.answer());
    } catch (error) {
      if (this.signal.aborted) return;
      const problem = error instanceof Problem ? error.plain() : { code: "other", detail: String(error) };
      await this.change({ state: "failed", problem });
    }
  }

  /** To the server of the settings as they are now: they may change while a check waits. */
  async connect() {
    const chosen = await settings();
    if (!chosen.key) throw new Problem("key_missing");
    this.api = new Api(chosen);
  }

  /** Whether the settings name another server or key by now. That is used from here on. */
  async moved() {
    const { server, key } = this.api;
    await this.connect();
    return this.api.server !== server || this.api.key !== key;
  }

  /** The server's last word; while an address leads it nowhere, another way to the image is tried. @returns {Promise<any>} */
  async answer() {
    const { job } = this;
    for (;;) {
      const answer = await this.follow(await this.begin());
      const { code } = answer.problem ?? {};
      const elsewhere = answer.state === "failed" && job.asked && ADDRESS_FAILED.has(code);
      if (!elsewhere || (code === "too_large" && job.asked === job.src)) return answer;
      job.refused.push(/** @type {string} */ (job.asked));
      Object.assign(job, { asked: null, check: null });
    }
  }

  /** The check as the server began it, or as it was begun before. */
  async begin() {
    const { job } = this;
    if (job.check) return { id: job.check, state: "queued" };
    const { blob, url, got } = await this.acquire();
    job.asked = url ?? null;
    await this.change({ state: "sending", got, attachable: Boolean(blob), picture: null });
    const picture = blob ? thumbnail(blob) : null;
    const answer = await this.patiently(() =>
      blob ? this.upload(blob) : this.api.post("/v1/checks?wait=1", { url, fresh: job.fresh }, this.signal));
    job.view.picture = await picture;
    job.check = answer.id;
    return answer;
  }

  /** @returns {Promise<import("./bytes.js").Acquired>} */
  async acquire() {
    const { job } = this;
    const before = await kept(job.id);
    if (before) return { blob: before, got: job.view.got ?? { kind: "upload" } };
    const found = await find(job);
    if (found.alt && !/^https?:/.test(job.src)) job.view.name = found.alt;
    const acquired = await acquire(job, found, await settings());
    job.view.got = acquired.got;
    this.signal.throwIfAborted(); // what was cancelled meanwhile is not kept
    await save(job);
    if (acquired.blob) await keep(job.id, acquired.blob, job.incognito);
    return acquired;
  }

  /** An image that was sent before is asked for by its hash. @param {Blob} blob */
  async upload(blob) {
    const { maxBytes } = await settings();
    if (blob.size > maxBytes) throw new Problem("too_large", { limit: maxBytes });
    const hash = await sha256(blob);
    if (!this.job.fresh && (await knows(hash))) {
      try {
        return await this.api.post("/v1/checks?wait=1", { sha256: hash }, this.signal);
      } catch (error) {
        if (!(error instanceof Problem) || error.why) throw error;
      }
    }
    const type = blob.type.startsWith("image/") ? blob.type : "application/octet-stream";
    return this.api.json("/v1/uploads?wait=1", { method: "POST", body: blob, type, signal: this.signal });
  }

  /** Asks until it is finished. @param {any} answer @returns {Promise<any>} */
  async follow(answer) {
    while (answer.state !== "done" && answer.state !== "failed") {
      await this.change({ state: answer.state, position: answer.position ?? null });
      const asked = performance.now();
      try {
        const { id } = answer;
        answer = await this.patiently(() => this.api.json(`/v1/checks/${id}?wait=${WAIT_SECONDS}`, { signal: this.signal }));
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== "unknown_check") throw error;
        this.job.check = null; // the server was set up anew meanwhile
        answer = await this.begin();
      }
      if (answer.state !== "done" && answer.state !== "failed" && performance.now() - asked < 500) await this.pause(1);
    }
    return answer;
  }

  /** @param {any} answer */
  async finish(answer) {
    if (answer.state === "failed") {
      const limit = answer.problem.code === "too_large" ? (await settings()).maxBytes : null;
      await this.change({ state: "failed", problem: { ...answer.problem, limit } });
      return;
    }
    const { verdict, signature } = answer;
    this.signal.throwIfAborted();
    if (!this.job.incognito) await remember({ name: this.job.view.name, verdict, signature });
    this.job.map = answer.heatmap ?? null;
    await this.change({ state: "done", verdict, signature });
  }

  /** Reads the heat map, for which no verdict waits: the server may put it off, as any request. */
  async addHeatmap() {
    let heatmap = null;
    try {
      await this.connect();
      heatmap = await asDataAddress(await this.patiently(() => this.api.blob(String(this.job.map), this.signal), false));
    } catch {
      // The verdict stands without it.
    }
    this.job.map = null;
    await this.change({ heatmap });
  }

  /**
   * Tries until it works or waiting cannot help, telling why it waits unless that is nobody's concern.
   * @template T @param {() => Promise<T>} request @param {boolean} [telling] @returns {Promise<T>}
   */
  async patiently(request, telling = true) {
    const { state, position } = this.job.view;
    for (let tries = 0; ; tries += 1) {
      try {
        const answer = await request();
        if (this.job.view.state === "paused") await this.change({ state, position });
        return answer;
      } catch (error) {
        if (!(error instanceof Problem) || this.signal.aborted) throw error;
        if (!error.why) {
          if (await this.moved()) continue; // another key than the one that was refused
          throw error;
        }
        const cut = error.why === "offline" && !navigator.onLine && !HERE.test(new URL(this.api.server).hostname);
        await this.wait(cut ? "network" : error.why, Math.min(error.seconds ?? Math.min(2 ** tries, LONGEST_GUESS), LONGEST_PAUSE), telling);
        await this.connect();
      }
    }
  }

  /** @param {string} why @param {number} seconds @param {boolean} telling */
  async wait(why, seconds, telling) {
    const end = Date.now() + 1000 * (seconds + Math.random() / 4);
    for (let left = seconds; left > 0; left = (end - Date.now()) / 1000) {
      if (telling) await this.change({ state: "paused", paused: { why, seconds: Math.ceil(left) } });
      else await load(this.id); // a call of its own
      if (await this.pause(Math.min(left, SLICE))) return;
    }
  }

  /** @param {number} seconds @returns {Promise<boolean>} whether somebody was in a hurry */
  async pause(seconds) {
    if (!this.hurried) await new Promise((/** @type {(value?: undefined) => void} */ go) => {
      this.wake = go;
      setTimeout(go, 1000 * seconds);
    });
    this.wake = null;
    this.signal.throwIfAborted();
    const { hurried } = this;
    this.hurried = false;
    return hurried;
  }

  /** @param {any} values */
  async change(values) {
    this.signal.throwIfAborted();
    Object.assign(this.job.view, values);
    await save(this.job);
    await this.told(this.job);
  }
}
