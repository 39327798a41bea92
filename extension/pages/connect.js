// Connecting to a server by key or pairing code, and saying exactly what is in the way.

import { Api, Problem } from "../lib/api.js";
import { change, DEFAULTS, HERE, serverAddress, settings } from "../lib/settings.js";

const KEY = /^[0-9a-f]{12}\.[\w-]{43}$/;
const CODE = /^\d{3}[ -]?\d{3}$/;

/**
 * Keeps server and key once the server has answered. Without a secret the kept key is tried, at the server
 * that gave it and nowhere else. Throws Problem; nothing is kept then.
 * @param {string} address @param {string} secret @returns {Promise<any>} what the server says of itself
 */
export async function connect(address, secret) {
  const server = serverAddress(address);
  if (!server) throw new Problem("server_address");
  const kept = await settings();
  let key = secret.trim() || (server === kept.server ? kept.key : "");
  if (!key) throw new Problem("secret_missing");
  if (!KEY.test(key) && !CODE.test(key)) throw new Problem("secret_form");
  try {
    if (CODE.test(key)) key = (await new Api({ server, key: "" }).post("/v1/pairings", { code: key.replace(/\D/g, "") })).key;
    const about = await new Api({ server, key }).json("/v1/server");
    if (about?.name !== "aidetect") throw new Problem("not_aidetect");
    if (!about.scopes?.includes("check")) throw new Problem("scope_check");
    await change({ server, key, maxBytes: Number(about.limits?.max_bytes) || DEFAULTS.maxBytes });
    return about;
  } catch (error) {
    const silent = error instanceof Problem && error.code === "offline";
    throw silent || error instanceof SyntaxError ? await diagnosed(server) : error;
  }
}

/** Why no answer came, as far as a browser lets anybody find out. @param {string} server @returns {Promise<Problem>} */
async function diagnosed(server) {
  const { protocol, hostname } = new URL(server);
  if (!navigator.onLine && !HERE.test(hostname)) return new Problem("no_network");
  const other = server.replace(/^https?/, protocol === "http:" ? "https" : "http");
  const said = await new Api({ server: other, key: "" }).json("/v1/server").catch((error) => error);
  if (said?.code === "key_missing") return new Problem("other_scheme", { detail: other });
  const options = /** @type {RequestInit} */ ({ mode: "no-cors", credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer" });
  const something = await fetch(`${server}/healthz`, options).then(() => true, () => false);
  return new Problem(something ? "not_aidetect" : "nothing_answers");
}

/** What is in the way, in words. @param {any} problem @param {string} address as it was given @param {any} t @returns {string} */
export function said(problem, address, t) {
  const key = `connect_${problem?.code}`;
  if (!t.has(key)) return globalThis.aidetectCardText.problem(problem, t);
  return t(key, { host: hostOf(address), address: problem.detail });
}

/** Whether what is sent there can be read on its way. @param {string} server */
export function readable(server) {
  const { protocol, hostname } = new URL(server);
  return protocol === "http:" && !HERE.test(hostname);
}

/** @param {string} address */
export function hostOf(address) {
  const server = serverAddress(address);
  return server ? new URL(server).host : address;
}

/**
 * A form that connects: tells in `told` how it went, and then calls `connected`.
 * @param {HTMLFormElement} form @param {HTMLElement} told @param {() => any} t
 * @param {() => {address: string, secret: string}} given @param {() => void} connected
 */
export function connects(form, told, t, given, connected) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { address, secret } = given();
    const tell = (/** @type {string} */ text, bad = false) => {
      told.textContent = text;
      told.classList.toggle("bad", bad);
    };
    tell(t()("ext_testing"));
    try {
      const { version, model } = await connect(address, secret);
      const what = model ? `${model.name} ${model.version}` : "–";
      const warning = readable((await settings()).server) ? ` ${t()("ext_unencrypted")}` : "";
      tell(t()("ext_connected", { host: hostOf(address), version, model: what }) + warning);
      connected();
    } catch (problem) {
      tell(said(problem, address, t()), true);
    }
  });
}
