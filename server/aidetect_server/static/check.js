// One check from its first request to its verdict; it outlasts a server that is away or busy.

const WAITS = [2, 4, 8, 16, 20];
const AT_ONCE = 4;
const LONGEST_PAUSE = 30;

let running = 0;
const queue = [];

/** A place among those that run at the same time. */
async function place() {
  if (running >= AT_ONCE) await new Promise((go) => queue.push(go));
  else running += 1;
  return () => {
    const next = queue.shift();
    if (next) next();
    else running -= 1;
  };
}

/** `source`: {file} or {url}. `onchange` is called with the check after every change of its `view`. */
export class Check {
  constructor(api, source, limits, onchange) {
    Object.assign(this, { api, source, limits, onchange, id: null, wake: null, abort: null });
    const got = source.file ? { kind: "upload" } : { kind: "url", host: host(source.url) };
    this.view = { state: "waiting", name: source.file ? source.file.name || "image" : source.url.split(/[?#]/)[0], got, picture: null, attachable: Boolean(source.file) };
    if (source.file) this.view.picture = URL.createObjectURL(source.file);
  }

  get over() {
    return this.view.state === "done" || this.view.state === "failed";
  }

  async run({ fresh = false } = {}) {
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.change({ state: "waiting", verdict: null, problem: null, signature: null, heatmap: null, position: null });
    const leave = await place();
    try {
      if (!signal.aborted) await this.ask(fresh, signal);
    } catch (error) {
      if (!signal.aborted) this.change({ state: "failed", problem: error.code ? error : { code: "other", detail: String(error) } });
    } finally {
      leave();
    }
  }

  /** Again now, instead of when the pause is over. */
  hurry() {
    this.wake?.();
  }

  /** Ends it here and at the server, and lets the picture go. */
  drop() {
    this.abort?.abort();
    this.hurry();
    if (this.id && !this.over) this.api.json(`/v1/checks/${this.id}`, { method: "DELETE" }).catch(() => {});
    if (this.view.picture) URL.revokeObjectURL(this.view.picture);
  }

  async ask(fresh, signal) {
    let answer = await this.begin(fresh, signal);
    for (let turn = 0; answer.state !== "done" && answer.state !== "failed"; turn += 1) {
      this.change({ state: answer.state, position: answer.position });
      const wait = WAITS[Math.min(turn, WAITS.length - 1)];
      const { id } = answer;
      try {
        const asked = performance.now();
        answer = await this.patiently(() => this.api.json(`/v1/checks/${id}?wait=${wait}`, { signal }), signal);
        // No place to wait at the server: ask no faster than once a second.
        if (performance.now() - asked < 500 && answer.state !== "done" && answer.state !== "failed") await pause(1, signal);
      } catch (error) {
        if (error.code !== "unknown_check") throw error;
        answer = await this.begin(fresh, signal); // the server was set up anew meanwhile
      }
    }
    this.finish(answer);
  }

  async begin(fresh, signal) {
    const { file, url } = this.source;
    if (file && this.limits?.max_bytes < file.size) throw { code: "too_large" };
    this.change({ state: "sending" });
    const answer = await this.patiently(() => {
      if (url) return this.api.post("/v1/checks?wait=1", { url, fresh }, signal);
      const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
      return this.api.json("/v1/uploads?wait=1", { method: "POST", body: file, type, signal });
    }, signal);
    this.id = answer.id;
    return answer;
  }

  finish(answer) {
    const { api } = this;
    const heatmap = answer.heatmap ? () => api.blob(answer.heatmap).catch(() => null) : null;
    if (answer.state === "done") this.change({ state: "done", verdict: answer.verdict, signature: answer.signature, heatmap });
    else this.change({ state: "failed", problem: answer.problem });
  }

  /** Tries until it works or waiting cannot help, telling why it waits. */
  async patiently(request, signal) {
    const before = { state: this.view.state, position: this.view.position };
    for (let pauses = 0; ; pauses += 1) {
      try {
        const answer = await request();
        if (this.view.state === "paused") this.change(before);
        return answer;
      } catch (error) {
        if (!error.why || signal.aborted) throw error;
        const seconds = Math.min(error.seconds ?? 2 ** pauses, LONGEST_PAUSE);
        this.change({ state: "paused", paused: { why: error.why, seconds: Math.ceil(seconds) } });
        await new Promise((go) => {
          this.wake = go;
          setTimeout(go, 1000 * (seconds + Math.random() / 4));
        });
        this.wake = null;
        signal.throwIfAborted();
      }
    }
  }

  change(values) {
    Object.assign(this.view, values);
    this.onchange(this);
  }
}

function pause(seconds, signal) {
  return new Promise((go) => {
    const timer = setTimeout(go, 1000 * seconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); go(); }, { once: true });
  });
}

function host(url) {
  try {
    return new URL(url).host;
  } catch {
    return "";
  }
}
