// The verdicts that this browser keeps.

import { entries, forget, shorten } from "../lib/history.js";
import { settings } from "../lib/settings.js";
import { $, begin, reveal } from "./common.js";
import { listEntries } from "./entries.js";

const t = await begin();
$("about").textContent = t("page_history_about", { count: (await settings()).history });
$("clear").addEventListener("click", () => shorten(0));
chrome.storage.local.onChanged.addListener((changes) => { if (changes.entries) list(); });
await list();
reveal();

async function list() {
  const kept = await entries();
  const inside = $("entries").contains(document.activeElement);
  listEntries($("entries"), kept, t, (entry) => forget(entry.at));
  $("told").textContent = kept.length ? "" : t("page_history_empty");
  $("clear").disabled = kept.length === 0;
  if (inside) ($("entries").querySelector("button") ?? $("clear")).focus();
}
