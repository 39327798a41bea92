"use strict";
// Rows are arrays: path, label, P(AI) in ten-thousandths, width, height, numbers of texts, same as.
// All of them are untrusted and become text nodes, never markup.

const WORDS = ["AI", "Uncertain", "Not AI", "Not checked"];
const COUNTED = ["AI", "uncertain", "not AI", "not checked"];
const ROW_HEIGHT = 44;
const element = (id) => document.getElementById(id);

async function unpacked(id) {
  const node = element(`data-${id}`);
  const binary = atob(node.textContent);
  node.remove();
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function made(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function percent(row) {
  if (row[1] === 3) return "–";
  const share = row[2] / 100;
  return share < 1 ? "<1 %" : share > 99 ? ">99 %" : `${Math.round(share)} %`;
}

const state = { rows: [], texts: [], pictures: new Map(), order: [], by: "probability", down: true };

const KEYS = {
  label: (row) => row[1],
  probability: (row) => (row[1] === 3 ? -1 : row[2]),
  path: (row) => row[0],
  size: (row) => row[3] * row[4],
};

/** Chooses and orders the rows that the filters leave. */
function choose() {
  const words = element("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const labels = new Set(
    [...document.querySelectorAll("fieldset input:checked")].map((box) => Number(box.value)),
  );
  const least = (Number(element("least").value) || 0) * 100;
  const once = element("once").checked;
  state.order = [];
  state.rows.forEach((row, number) => {
    if (!labels.has(row[1]) || (once && row[6] !== undefined)) return;
    if (least && (row[1] === 3 || row[2] < least)) return;
    if (words.length) {
      const path = row[0].toLowerCase();
      if (!words.every((word) => path.includes(word))) return;
    }
    state.order.push(number);
  });
  const key = KEYS[state.by];
  const keys = state.rows.map(key);
  const sign = state.down ? -1 : 1;
  state.order.sort((one, other) =>
    keys[one] < keys[other] ? -sign : keys[one] > keys[other] ? sign : one - other,
  );
  const all = state.rows.length.toLocaleString("en");
  element("shown").textContent = `${state.order.length.toLocaleString("en")} of ${all} files`;
  element("table").setAttribute("aria-rowcount", state.order.length + 1);
  element("rows").style.height = `${state.order.length * ROW_HEIGHT}px`;
  element("scroller").scrollTop = 0;
  draw();
}

/** Only the rows in sight are in the document. */
function draw() {
  const scroller = element("scroller");
  const first = Math.max(0, Math.floor(scroller.scrollTop / ROW_HEIGHT) - 8);
  const count = Math.ceil(scroller.clientHeight / ROW_HEIGHT) + 16;
  const focused = document.activeElement?.dataset?.number;
  element("rows").replaceChildren(
    ...state.order.slice(first, first + count).map((number, at) => line(number, first + at)),
  );
  if (focused) element("rows").querySelector(`[data-number="${focused}"]`)?.focus();
}

function line(number, place) {
  const row = state.rows[number];
  const picture = made("span", { className: "picture" });
  const pictured = state.pictures.get(number);
  if (pictured) picture.append(made("img", { src: pictured[0], alt: "" }));
  const name = made("button", { type: "button", textContent: row[0], title: row[0] });
  name.dataset.number = number;
  const note = row[6] !== undefined ? `same bytes as ${row[6]}` : (state.texts[row[5][0]] ?? [""])[0];
  const node = made(
    "div",
    { className: "row" },
    made("span", { className: `word label${row[1]}`, textContent: WORDS[row[1]] }),
    made("span", { className: "probability", textContent: percent(row) }),
    picture,
    made("span", { className: "file" }, name, made("span", { className: "note", textContent: note })),
    made("span", { className: "sized", textContent: row[3] ? `${row[3]}×${row[4]}` : "" }),
  );
  node.setAttribute("role", "row");
  node.setAttribute("aria-rowindex", place + 2);
  for (const cell of node.children) cell.setAttribute("role", "cell");
  node.style.top = `${place * ROW_HEIGHT}px`;
  node.addEventListener("click", () => show(number));
  return node;
}

function show(number) {
  const row = state.rows[number];
  element("name").textContent = row[0];
  const sure = row[1] === 3 ? "" : `, P(AI) = ${percent(row)}`;
  element("answer").replaceChildren(
    made("span", { className: `word label${row[1]}`, textContent: WORDS[row[1]] }),
    sure,
  );
  const [image, map] = state.pictures.get(number) ?? [];
  element("figure").hidden = !image;
  if (image) element("image").src = image;
  else element("image").removeAttribute("src");
  for (const part of [element("map"), document.querySelector("figcaption")]) part.hidden = !map;
  if (map) element("map").src = map;
  element("reasons").replaceChildren(
    ...row[5].map((text) => made("li", { textContent: state.texts[text]?.[0] ?? "" })),
  );
  const facts = row[3] ? [`${row[3]}×${row[4]} pixels`] : [];
  if (row[6] !== undefined) facts.push(`same bytes as ${row[6]}`);
  element("facts").textContent = facts.join("; ");
  element("details").showModal();
}

function sortBy(button) {
  const by = button.dataset.by;
  state.down = state.by === by ? !state.down : by !== "path" && by !== "label";
  state.by = by;
  for (const header of document.querySelectorAll("[role=columnheader]")) header.removeAttribute("aria-sort");
  button.parentElement.setAttribute("aria-sort", state.down ? "descending" : "ascending");
  choose();
}

async function begin() {
  const [rows, texts, [[about]]] = await Promise.all(["rows", "texts", "about"].map(unpacked));
  state.rows = rows;
  state.texts = texts;
  element("made").textContent = `Made ${about.made} by aidetect.`;
  const counts = about.counts;
  const named = [["ai", 0], ["uncertain", 1], ["real", 2], ["error", 3]];
  element("counts").replaceChildren(
    ...named.map(([name, label]) =>
      made("li", { textContent: `${counts[name].toLocaleString("en")} ${COUNTED[label]}` }),
    ),
    made("li", { textContent: `${counts.duplicates.toLocaleString("en")} duplicates` }),
  );
  element("filters").addEventListener("input", choose);
  element("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const button of document.querySelectorAll(".head button")) {
    button.addEventListener("click", () => sortBy(button));
  }
  element("scroller").addEventListener("scroll", draw, { passive: true });
  window.addEventListener("resize", draw);
  const opacity = () => (element("map").style.opacity = element("opacity").value / 100);
  element("opacity").addEventListener("input", opacity);
  opacity();
  choose();
  element("notice").textContent = "";
  document.documentElement.dataset.ready = "yes";
}

/** Pictures stand at the end of the page, so that its rows do not wait for them. */
function showPictures() {
  const node = element("data-pictures");
  for (const [number, image, map] of JSON.parse(node.textContent)) {
    state.pictures.set(number, [image, map]);
  }
  node.remove();
  draw();
}

document.addEventListener("DOMContentLoaded", showPictures);
begin().catch((error) => {
  element("notice").textContent = `This browser cannot unpack the report (${error.message}). Use a newer one.`;
});
