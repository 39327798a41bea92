// One check, from the click to the verdict. Every step is kept, so that a new service worker goes on
// where the last one was ended.

import { Api, Problem } from "./api.js";
import { acquire, find } from "./bytes.js";
import { knows, remember } from "./history.js";
import { load, over, save } from "./jobs.js";
import { asDataAddress, sha256, thumbnail } from "./pictures.js";
import { settings } from "./settings.js";

const MAX_BYTES = 20_000_000;
const WAIT_SECONDS = 10;
const LONGEST_PAUSE = 20;
const ADDRESS_FAILED = new Set(["blocked_address", "fetch", "dns", "connection", "tls", "timeout", "http_3xx", "http_4xx", "http_5xx", "not_an_image", "unreachable"]);

/** @type {Map<string, AbortController>} */
const running = new Map();
/** @type {Map<string, () => void>} */
const pauses = new Map();

/** @typedef {(job: import("./jobs.js").Job) => Promise<void>} Told */

/**
 * Runs a job to its end, unless that is being done already.
 * @param {string} id @param {Told} told is called after every change
 * @param {Blob | null} [given] the bytes, where they are at hand
 */
export async function run(id, told, given = null) {
  if (running.has(id)) return;
  const abort = new AbortController();
  running.set(id, abort);
  try {
    const job = await load(id);
    if (job && !over(job)) await new Run(job, told, abort.signal, given).go();
  } finally {
    running.delete(id);
  }
}

/** Ends it here and at the server. @param {string} id */
export async function cancel(id) {
  running.get(id)?.abort();
  pauses.get(id)?.();
  const job = await load(id);
  if (job?.check && !over(job)) new Api(await settings()).json(`/v1/checks/${job.check}`, { method: "DELETE" }).catch(() => {});
}

/** Goes on now instead of when a pause is over. @param {string} id */
export function hurry(id) {
  pauses.get(id)?.();
}

class Run {
  /** @param {import("./jobs.js").Job} job @param {Told} told @param {AbortSignal} signal @param {Blob | null} given */
  constructor(job, told, signal, given) {
    Object.assign(this, { job, told, signal, given });
    this.job = job;
    this.told = told;
    this.signal = signal;
    this.given = given;
    /** @type {Api} */
    this.api = new Api({ server: "", key: "" });
  }

  async go() {
    try {
      const chosen = await settings();
      if (!chosen.key) throw new Problem("key_missing");
      this.api = new Api(chosen);
      await this.finish(await this.answer(chosen));
    } catch (error) {
      if (this.signal.aborted) return;
      const problem = error instanceof Problem ? error.plain() : { code: "other", detail: String(error) };
      await this.change({ state: "failed", problem });
    }
  }

  /** @param {import("./settings.js").Settings} chosen */
  async answer(chosen) {
    for (;;) {
      const answer = await this.follow(await this.begin(chosen));
      const failed = answer.state === "failed" && this.job.view.got?.kind === "url" && ADDRESS_FAILED.has(answer.problem?.code);
      if (!failed || this.job.tab < 0 || this.job.refused.includes("address")) return answer;
      this.job.refused.push("address"); // the server could not have it: what else there is
      this.job.check = null;
    }
  }

  /** The check as the server began it, or as it was begun before. @param {import("./settings.js").Settings} chosen */
  async begin(chosen) {
    const { job } = this;
    if (job.check) return { id: job.check, state: "queued" };
    const { blob, url, got } = await this.acquire(chosen);
    await this.change({ state: "sending", got, attachable: Boolean(blob), picture: blob ? await thumbnail(blob) : null });
    const answer = await this.patiently(async () => {
      if (url) return this.api.post("/v1/checks?wait=1", { url, fresh: job.fresh }, this.signal);
      return this.upload(/** @type {Blob} */ (blob));
    });
    job.check = answer.id;
    return answer;
  }

  /** @param {import("./settings.js").Settings} chosen */
  async acquire(chosen) {
    if (this.given) return { blob: this.given, url: undefined, got: { kind: "upload" } };
    if (this.job.tab < 0) return { blob: undefined, url: this.job.src, got: { kind: "url", host: new URL(this.job.src).host } };
    return acquire(this.job, await find(this.job), chosen, MAX_BYTES);
  }

  /** An image that was sent before is asked for by its hash. @param {Blob} blob */
  async upload(blob) {
    if (blob.size > MAX_BYTES) throw new Problem("too_large");
    const hash = await sha256(blob);
    if (await knows(hash)) {
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
        answer = await this.begin(await settings());
      }
      if (answer.state !== "done" && answer.state !== "failed" && performance.now() - asked < 500) await this.pause(1);
    }
    return answer;
  }

  /** @param {any} answer */
  async finish(answer) {
    if (answer.state === "failed") {
      await this.change({ state: "failed", problem: answer.problem });
      return;
    }
    const heatmap = answer.heatmap ? await this.api.blob(answer.heatmap).then(asDataAddress, () => null) : null;
    const view = { state: "done", verdict: answer.verdict, signature: answer.signature, heatmap };
    await this.change(view);
    if (!this.job.incognito) await remember(this.job.view);
  }

  /**
   * Tries until it works or waiting cannot help, telling why it waits.
   * @template T @param {() => Promise<T>} request @returns {Promise<T>}
   */
  async patiently(request) {
    const { state, position } = this.job.view;
    for (let tries = 0; ; tries += 1) {
      try {
        const answer = await request();
        if (this.job.view.state === "paused") await this.change({ state, position });
        return answer;
      } catch (error) {
        if (!(error instanceof Problem) || !error.why || this.signal.aborted) throw error;
        const seconds = Math.min(error.seconds ?? 2 ** tries, LONGEST_PAUSE);
        await this.change({ state: "paused", paused: { why: error.why, seconds: Math.ceil(seconds) } });
        await this.pause(seconds + Math.random() / 4);
      }
    }
  }

  /** @param {number} seconds */
  async pause(seconds) {
    await new Promise((go) => {
      pauses.set(this.job.id, () => go(undefined));
      setTimeout(go, 1000 * seconds);
    });
    pauses.delete(this.job.id);
    this.signal.throwIfAborted();
  }

  /** @param {any} values */
  async change(values) {
    this.signal.throwIfAborted();
    Object.assign(this.job.view, values);
    await save(this.job);
    await this.told(this.job);
  }
}
