// The server's API as this page uses it: one key, typed failures, patience where waiting helps.

const AGAIN = { 429: "limited", 502: "offline", 503: "busy", 504: "offline" };

/** A request that failed: `code` as in the API, `why` (offline, busy, limited) where waiting helps. */
export class Problem extends Error {
  constructor(code, { detail = "", why = null, seconds = null } = {}) {
    super(detail || code);
    Object.assign(this, { code, detail, why, seconds });
  }
}

export class Api {
  constructor(key) {
    this.key = key;
  }

  /** The parsed answer, null for one without a body. Throws Problem, or AbortError. */
  async json(path, options = {}) {
    const answer = await this.send(path, options);
    return answer.status === 204 ? null : answer.json();
  }

  async blob(path) {
    return (await this.send(path)).blob();
  }

  async send(path, { method = "GET", body, type, signal } = {}) {
    const headers = {};
    if (this.key) headers.Authorization = `Bearer ${this.key}`;
    if (type) headers["Content-Type"] = type;
    let answer;
    try {
      answer = await fetch(path, { method, body, headers, signal, credentials: "omit", cache: "no-store", redirect: "error" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("offline", { why: "offline" });
    }
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    const why = AGAIN[answer.status] ?? null;
    const seconds = Number(answer.headers.get("Retry-After")) || null;
    throw new Problem(problem.code || (why === "offline" ? "offline" : "other"), { detail: problem.detail, why, seconds });
  }

  post(path, value, signal) {
    return this.json(path, { method: "POST", body: JSON.stringify(value), type: "application/json", signal });
  }
}

/** A pairing code's key. */
export async function pair(code) {
  return (await new Api(null).post("/v1/pairings", { code })).key;
}
