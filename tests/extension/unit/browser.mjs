// As much of a browser as the modules without a page ask for: storage, permissions, locks, languages.
// `browser()` starts anew and returns what can be looked at and changed.

/** @param {Record<string, any>} kept */
function area(kept) {
  const listeners = [];
  const copy = (value) => structuredClone(value);
  return {
    onChanged: { addListener: (one) => listeners.push(one) },
    async get(asked) {
      if (asked === null || asked === undefined) return copy(kept);
      if (typeof asked === "string") return asked in kept ? { [asked]: copy(kept[asked]) } : {};
      if (Array.isArray(asked)) return copy(Object.fromEntries(asked.filter((key) => key in kept).map((key) => [key, kept[key]])));
      return { ...asked, ...copy(Object.fromEntries(Object.keys(asked).filter((key) => key in kept).map((key) => [key, kept[key]]))) };
    },
    async set(values) {
      Object.assign(kept, copy(values));
      for (const one of listeners) one(Object.fromEntries(Object.entries(values).map(([key, newValue]) => [key, { newValue }])));
    },
    async remove(keys) {
      for (const key of [keys].flat()) delete kept[key];
    },
  };
}

/** As much of IndexedDB as the images that are kept ask for. */
function database() {
  const kept = new Map();
  const asked = (result) => ({ result });
  const store = {
    put: (value, key) => asked(kept.set(key, value)), get: (key) => asked(kept.get(key)),
    delete: (key) => asked(kept.delete(key)), clear: () => asked(kept.clear()),
  };
  const begun = (made, event) => { queueMicrotask(() => made[event]()); return made; };
  const base = { close() {}, transaction: () => begun({ objectStore: () => store }, "oncomplete") };
  return { open: () => begun({ result: base }, "onsuccess") };
}

export function browser({ language = "en-GB", languages = ["en-GB"], onLine = true } = {}) {
  const local = {}, session = {}, granted = new Set();
  globalThis.indexedDB = database();
  globalThis.chrome = {
    storage: { local: area(local), session: area(session) },
    i18n: { getUILanguage: () => language, getMessage: (key) => key },
    permissions: { contains: async ({ origins }) => origins.every((one) => granted.has(one)) },
    runtime: { id: "x", getURL: (path) => `chrome-extension://x/${path}` },
    scripting: { executeScript: async () => { throw new Error("no access to this page"); } },
    tabs: {},
  };
  let last = Promise.resolve();
  const locks = { request: (name, work) => (last = last.catch(() => {}).then(work)) };
  Object.defineProperty(globalThis, "navigator", { value: { languages, onLine, locks }, configurable: true });
  return { local, session, granted };
}

/**
 * Puts `answers` in the place of the network: address → [status, JSON or text, headers], or a function of
 * the request that returns one; whatever is not named does not answer. Returns the requests that were made.
 */
export function network(answers) {
  const asked = [];
  globalThis.fetch = async (address, options = {}) => {
    asked.push({ address, ...options });
    const found = answers[address];
    if (!found) throw new TypeError("Failed to fetch");
    const [status, body, headers = {}] = typeof found === "function" ? await found(options) : found;
    if (options.mode === "no-cors") return new Response(null);
    if (headers.opaque) throw new TypeError("Failed to fetch"); // answers without letting other origins read
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return new Response(status === 204 ? null : text, { status, headers });
  };
  return asked;
}
