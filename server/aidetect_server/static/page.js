// The page: takes images and addresses, shows a card for each, keeps a history.

import { Api } from "./lib/api.js";
import { Check } from "./check.js";
import { given, typed } from "./inputs.js";
import { MOST, forget, history, read, remember, write } from "./storage.js";
import { fill, preferred, speak } from "./words.js";

const MOST_AT_ONCE = 100;
const REFUSED = ["key_missing", "key_invalid", "scope_missing"];
const KEY = /^[0-9a-f]{12}\.[\w-]{43}$/;
const CODE = /^\d{3}[ -]?\d{3}$/;
const $ = (id) => document.getElementById(id);

let t;
let api = serving("");
let limits = null;
/** Shown results, the newest first: {check | view, card, item}. */
let results = [];

// The key

/** This server's API, with the key. */
function serving(key) {
  return new Api({ server: "", key });
}

/** Takes a key or a code out of the address, so that neither stays in sight. */
async function arrive() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const [key, code] = [fragment.get("key"), fragment.get("pair")];
  if (key || code) globalThis.history.replaceState(null, "", location.pathname);
  const kept = read("key");
  if ((key || code) && (await connect(key ?? code))) return;
  if (kept) await connect(kept); // a code that was used before takes nobody's key away
  else if (!key && !code) offerToConnect();
}

/** Whether this key, or the key for this code, is used from now on. */
async function connect(secret) {
  $("connect-told").textContent = "";
  try {
    const code = CODE.test(secret) && { code: secret.replace(/\D/g, "") };
    const key = code ? (await serving("").post("/v1/pairings", code)).key : secret;
    if (!KEY.test(key)) throw { code: "form" };
    api = serving(key);
    write("key", key);
    $("connect").hidden = true;
    $("ask").hidden = false;
    $("disconnect").hidden = false;
    limits = (await api.json("/v1/server")).limits;
    const refused = results.filter(({ check }) => REFUSED.includes(check?.view.problem?.code));
    for (const { check } of refused) again(check);
    return true;
  } catch (problem) {
    if (problem.why && api.key) return true; // away or busy: the key may be good, and checks wait
    if (read("key") === secret) write("key", null);
    offerToConnect(problem.code === "form" ? t("page_connect_form") : globalThis.aidetectCardText.problem(problem, t));
    return false;
  }
}

function offerToConnect(told = "") {
  api = serving("");
  $("ask").hidden = true;
  $("disconnect").hidden = true;
  $("connect").hidden = false;
  $("connect-told").textContent = told;
}

// Checks

function add(sources) {
  const taken = sources.slice(0, MOST_AT_ONCE);
  $("told").textContent = sources.length > taken.length ? t("page_too_many", { count: MOST_AT_ONCE }) : "";
  for (const source of taken) {
    const check = new Check(api, source, limits, changed);
    const result = { check, view: check.view };
    place(result);
    check.run();
  }
}

function takeIn({ files, urls }) {
  if (!api.key) return;
  if (!files.length && !urls.length) $("told").textContent = t("page_nothing");
  else add([...files.map((file) => ({ file })), ...urls.map((url) => ({ url }))]);
}

function changed(check) {
  const result = results.find((one) => one.check === check);
  if (!result) return;
  result.card.show(check.view);
  if (check.view.state === "done") {
    remember(check.view);
    listHistory();
  }
  count();
}

function place(result) {
  results.unshift(result);
  result.item = document.createElement("li");
  $("cards").prepend(result.item);
  draw(result);
  count();
}

function draw(result) {
  result.card = globalThis.aidetectCard.create({ t, actions: actionsFor(result) });
  result.item.replaceChildren(result.card.host);
  result.card.show(result.view);
}

function actionsFor(result) {
  const actions = { close: () => remove(result), download: save };
  const { check } = result;
  if (!check) return actions;
  return {
    ...actions,
    cancel: () => remove(result),
    retry: () => (check.view.state === "paused" ? check.hurry() : again(check)),
    recheck: () => again(check, { fresh: Boolean(check.source.url) }),
    choose: () => $("files").click(),
    connect: () => { offerToConnect(); $("secret").focus(); },
    ...(check.source.url ? { editUrl: () => editAddress(check.source.url) } : {}),
    report: (report) => send(check, report),
  };
}

function again(check, options) {
  check.api = api; // the key may be another by now
  check.run(options);
}

function remove(result) {
  const at = results.indexOf(result);
  result.check?.drop();
  result.item.remove();
  results = results.filter((one) => one !== result);
  count();
  // Whoever closed it with the keyboard goes on at the next one.
  (results[at] ?? results[at - 1])?.card.focus() ?? $("results").focus();
}

function count() {
  const done = results.filter(({ check }) => !check || check.over).length;
  const text = results.length > 1 ? t("page_progress", { done, all: results.length }) : "";
  if ($("tally").textContent !== text) $("tally").textContent = text;
  $("none").hidden = results.length > 0;
  $("clear").hidden = results.length < 2;
}

function editAddress(url) {
  $("url").value = url;
  $("url").focus();
}

async function send(check, { label, note, attach }) {
  const report = { check: check.id, label, ...(note ? { note } : {}) };
  if (!attach) return api.post("/v1/reports", report);
  const body = new FormData();
  for (const [name, value] of Object.entries(report)) body.append(name, value);
  body.append("image", check.source.file);
  return api.json("/v1/reports", { method: "POST", body });
}

function save(kind, view) {
  const signed = kind === "signed"; // as `aidetect verify` takes it
  const content = signed ? { verdict: view.verdict, signature: view.signature } : view.verdict;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2), "\n"], { type: "application/json" }));
  const name = globalThis.aidetectCardText.clean(view.name, 80).replace(/[^\p{L}\p{N}._-]+/gu, "_").replace(/^\.+/, "");
  link.download = `${name || "image"}.${signed ? "signed-" : ""}verdict.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// History

function listHistory() {
  const entries = history();
  $("history-empty").hidden = entries.length > 0;
  $("forget").disabled = entries.length === 0;
  $("entries").replaceChildren(...entries.map(entryItem));
}

function entryItem(entry) {
  const { clean } = globalThis.aidetectCardText;
  const item = document.createElement("li");
  const name = Object.assign(document.createElement("bdi"), { textContent: clean(entry.name, 120) });
  const when = new Date(entry.at).toLocaleString(t.lang, { dateStyle: "medium", timeStyle: "short" });
  const about = Object.assign(document.createElement("small"), { textContent: `${t(`short_${entry.verdict.label}`)} · ${when}` });
  const button = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: t("page_history_show") });
  button.setAttribute("aria-label", `${t("page_history_show")}: ${name.textContent}`);
  button.addEventListener("click", () => {
    const result = { view: { ...entry, state: "done", got: { kind: "history" } } };
    place(result);
    result.card.focus();
    result.item.scrollIntoView({ block: "nearest" });
  });
  item.append(name, about, button);
  return item;
}

// Start

function listen() {
  const page = document.documentElement;
  const over = (is) => {
    document.body.classList.toggle("over", is);
    $("drop-text").textContent = t(is ? "page_drop_now" : "page_drop");
  };
  page.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
  page.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
  page.addEventListener("drop", (event) => { event.preventDefault(); over(false); takeIn(given(event.dataTransfer)); });
  document.addEventListener("paste", (event) => {
    const typing = event.composedPath()[0].matches?.("input, textarea");
    if (typing && !event.clipboardData.files.length) return;
    event.preventDefault();
    takeIn(given(event.clipboardData));
  });
  $("choose").addEventListener("click", () => $("files").click());
  $("files").addEventListener("change", () => {
    takeIn({ files: [...$("files").files], urls: [] });
    $("files").value = "";
  });
  $("addresses").addEventListener("submit", (event) => {
    event.preventDefault();
    takeIn({ files: [], urls: typed($("url").value) });
    $("url").value = "";
  });
  $("connect").addEventListener("submit", async (event) => {
    event.preventDefault();
    await connect($("secret").value.trim());
    $("secret").value = "";
    if (api.key) $("choose").focus();
  });
  $("disconnect").addEventListener("click", () => { write("key", null); offerToConnect(); $("secret").focus(); });
  $("clear").addEventListener("click", () => { for (const result of [...results]) remove(result); });
  $("forget").addEventListener("click", () => { forget(); listHistory(); });
  $("keep").addEventListener("change", () => write("keep", $("keep").checked));
  $("language").addEventListener("change", () => translate($("language").value));
  globalThis.addEventListener("hashchange", arrive);
}

async function translate(language) {
  t = await speak(language);
  fill(t);
  $("language").value = language;
  $("sent").textContent = t("page_sent", { host: location.host });
  $("history-about").textContent = t("page_history_about", { count: MOST });
  for (const result of results) draw(result);
  count();
  listHistory();
}

try {
  await translate(preferred());
  $("keep").checked = read("keep", true);
  listen();
  await arrive();
} finally {
  if (t) {
    $("broken").remove();
    $("page").hidden = false;
  }
}
