// Settings, each kept as it is changed; the server only once it has answered.

import { shorten } from "../lib/history.js";
import { change, MOST_HISTORY, settings } from "../lib/settings.js";
import { $, begin, button, make, open, reveal } from "./common.js";
import { connects, hostOf } from "./connect.js";

let t = await begin();
await show();
connects($("server"), $("told"), () => t, () => ({ address: $("address").value, secret: $("secret").value }), async () => {
  $("secret").value = "";
  await show();
});
$("disconnect").addEventListener("click", async () => {
  await change({ key: "" });
  $("told").textContent = t("ext_disconnected");
  await show();
});
$("privacy").addEventListener("change", (/** @type {any} */ event) => change({ privacy: event.target.value }));
$("history").addEventListener("change", async () => {
  const most = Math.min(MOST_HISTORY, Math.max(0, Math.round(Number($("history").value)) || 0));
  $("history").value = most;
  await change({ history: most });
  await shorten(most);
});
$("show-history").addEventListener("click", () => open("history.html"));
$("language").addEventListener("change", async () => {
  await change({ language: $("language").value });
  $("told").textContent = "";
  t = await begin();
  await show();
});
chrome.permissions.onAdded.addListener(listSites);
chrome.permissions.onRemoved.addListener(listSites);
reveal();

async function show() {
  const { server, key, privacy, history, language } = await settings();
  $("address").value = server;
  $("history").value = history;
  $("language").value = language;
  /** @type {any} */ (document.querySelector(`input[name=privacy][value=${privacy}]`)).checked = true;
  $("disconnect").hidden = !key;
  if (key && !$("told").textContent) $("told").textContent = t("ext_key_kept", { host: hostOf(server) });
  await listSites();
}

/** Sites that the person let aidetect read, each to be taken back. */
async function listSites() {
  const { origins = [] } = await chrome.permissions.getAll();
  $("no-sites").hidden = origins.length > 0;
  $("sites").replaceChildren(...origins.map((origin) => {
    const name = origin.replace(/\/\*$/, "");
    return make("li", { className: "entry" }, make("bdi", { className: "what", textContent: name }),
      button(t("ext_sites_remove"), name, () => chrome.permissions.remove({ origins: [origin] })));
  }));
}
