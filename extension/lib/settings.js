// What the user has chosen. Kept in storage.local; read each time, since a service worker forgets.

/**
 * @typedef {"url" | "bytes" | "never"} Privacy
 * `url`: the server fetches images of the web itself; `bytes`: the browser reads them and sends the
 * bytes, the address only where that fails; `never`: an address is never sent.
 * @typedef {{server: string, key: string, privacy: Privacy, history: number, language: string, maxBytes: number}} Settings
 * `maxBytes` is what the server said that it takes.
 */

/** @type {Settings} */
export const DEFAULTS = { server: "http://127.0.0.1:8787", key: "", privacy: "bytes", history: 50, language: "", maxBytes: 20_000_000 };

/** Host names of this computer itself. */
export const HERE = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

export const MOST_HISTORY = 500;

/** @returns {Promise<Settings>} */
export async function settings() {
  const kept = await chrome.storage.local.get(DEFAULTS);
  return { ...DEFAULTS, .../** @type {Settings} */ (kept) };
}

/** @param {Partial<Settings>} changes */
export async function change(changes) {
  await chrome.storage.local.set(changes);
}

/**
 * The address of a server as it is kept: its origin and path, without a slash at the end. Null for what
 * cannot be one.
 * @param {string} text @returns {string | null}
 */
export function serverAddress(text) {
  if (/\s/.test(text.trim())) return null;
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(text.trim()) ? text.trim() : `http://${text.trim()}`;
  try {
    const url = new URL(whole);
    if (!["http:", "https:"].includes(url.protocol) || url.username || url.password) return null;
    return (url.origin + url.pathname).replace(/\/+$/, "");
  } catch {
    return null;
  }
}
