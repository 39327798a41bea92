// The page's language: the same messages as the extension's, chosen here and kept.

import { read, write } from "./storage.js";

const KNOWN = ["en", "id"];

export function preferred() {
  const wanted = [read("language"), ...navigator.languages.map((one) => one.split("-")[0])];
  return wanted.find((one) => KNOWN.includes(one)) ?? "en";
}

export async function speak(language) {
  const answer = await fetch(`/static/page/_locales/${language}/messages.json`);
  if (!answer.ok) throw new Error(`messages: ${answer.status}`);
  write("language", language);
  return globalThis.aidetectCardText.translator(await answer.json(), language);
}

/** Fills in every element of the page that names its message. */
export function fill(t) {
  document.documentElement.lang = t.lang;
  document.title = `${t("page_title")} – aidetect`;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
}
