// The server's API: one key, typed failures, and which of them waiting may help against.

/** @typedef {"offline" | "busy" | "limited"} Why */

/** @type {Record<number, Why>} */
const AGAIN = { 429: "limited", 502: "offline", 503: "busy", 504: "offline" };

/** A request that failed. `code` is the API's; `why` is there where waiting helps, `limit` (bytes) where one was met. */
export class Problem extends Error {
  /** @param {string} code @param {{detail?: string, why?: Why | null, seconds?: number | null, limit?: number | null}} [more] */
  constructor(code, { detail = "", why = null, seconds = null, limit = null } = {}) {
    super(detail || code);
    this.code = code;
    this.detail = detail;
    this.why = why;
    this.seconds = seconds;
    this.limit = limit;
  }

  /** What can be kept and sent between the parts of the extension. */
  plain() {
    return { code: this.code, detail: this.detail, limit: this.limit };
  }
}

export class Api {
  /** @param {{server: string, key: string}} where */
  constructor({ server, key }) {
    this.server = server;
    this.key = key;
  }

  /**
   * The parsed answer, null for one without a body. Throws Problem, or AbortError.
   * @param {string} path @param {RequestInit & {type?: string}} [options] @returns {Promise<any>}
   */
  async json(path, options = {}) {
    const answer = await this.send(path, options);
    return answer.status === 204 ? null : answer.json();
  }

  /** @param {string} path @param {AbortSignal} [signal] @returns {Promise<Blob>} */
  async blob(path, signal) {
    return (await this.send(path, { signal })).blob();
  }

  /** @param {string} path @param {any} value @param {AbortSignal} [signal] */
  post(path, value, signal) {
    return this.json(path, { method: "POST", body: JSON.stringify(value), type: "application/json", signal });
  }

  /** @param {string} path @param {RequestInit & {type?: string}} [options] */
  async send(path, { method = "GET", body, type, signal } = {}) {
    /** @type {Record<string, string>} */
    const headers = {};
    if (this.key) headers.Authorization = `Bearer ${this.key}`;
    if (type) headers["Content-Type"] = type;
    /** @type {Response} */
    let answer;
    try {
      answer = await fetch(this.server + path, {
        method, body, headers, signal, credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
      });
    } catch (error) {
      if (error instanceof Error && error.name === "AbortError") throw error;
      throw new Problem("offline", { why: "offline" });
    }
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => null);
    const why = AGAIN[answer.status] ?? null;
    if (typeof problem?.code !== "string") {
      throw new Problem(why === "offline" ? "offline" : "not_aidetect", { why });
    }
    const seconds = Number(answer.headers.get("Retry-After")) || null;
    throw new Problem(problem.code, { detail: String(problem.detail ?? ""), why, seconds });
  }
}
