// Shows the cards of this tab's checks, above whatever the page has open, and hands on what is clicked.
//
// A classic script for the top frame, loaded after the card's; the checks themselves run in the background.
// Its value is a token of this document, so that no other document of the tab shows its cards; null where
// the document is none of HTML.
"use strict";

globalThis.aidetectPlace ??= (() => {
  if (!(document.documentElement instanceof HTMLElement)) return { page: null };
  const TICK_MS = 5_000;
  const page = [...crypto.getRandomValues(new Uint32Array(4))].join("-");
  /** Job → its card, when what it shows was so, and whether more is to come. @type {Map<string, {card: any, over: boolean, more: boolean, at: number}>} */
  const cards = new Map();
  /** Job → when what its card showed last was so, once that was closed. @type {Map<string, number>} */
  const closed = new Map();
  const shelf = makeShelf();
  let timer = 0;

  /** @param {any} message @returns {Promise<any>} */
  async function tell(message) {
    try {
      return await chrome.runtime.sendMessage(message);
    } catch {
      return { problem: { code: "extension_gone" } }; // it was updated or removed while the page stayed
    }
  }

  function makeShelf() {
    const made = document.createElement("div");
    made.setAttribute("popover", "manual");
    const looks = {
      all: "initial", display: "flex", "flex-direction": "column", gap: "12px", position: "fixed", inset: "16px 16px auto auto",
      width: "min(440px, calc(100vw - 32px))", "max-height": "calc(100vh - 32px)", overflow: "auto", padding: "0", margin: "0",
      border: "0", background: "none", "z-index": "2147483647", direction: getComputedStyle(document.documentElement).direction,
      "border-radius": "14px", filter: "drop-shadow(0 6px 24px rgb(0 0 0 / .28))",
    };
    for (const [name, value] of Object.entries(looks)) made.style.setProperty(name, value, "important");
    // It has no size where what it lies in was closed or taken away.
    new ResizeObserver(() => { if (!made.offsetWidth) stage(); }).observe(made);
    return made;
  }

  /** Puts it on top of all; inside the page's own dialog where one is open, as all else is inert then. */
  function stage() {
    if (!cards.size) return;
    const dialogs = [...document.querySelectorAll("dialog")].filter((one) => one.matches(":modal"));
    const parent = dialogs.at(-1) ?? document.documentElement;
    if (shelf.parentNode !== parent) parent.append(shelf);
    try {
      if (!shelf.matches(":popover-open")) shelf.showPopover();
    } catch {
      // A document that allows no popover still shows it, below its own top layer.
    }
  }

  /** Again, as what came to the top after it covers it. */
  function raise() {
    if (shelf.matches(":popover-open")) shelf.hidePopover();
    stage();
  }

  /** @param {any} message */
  function show({ job, at, view, words, src, more }) {
    let held = cards.get(job);
    const over = view.state === "done" || view.state === "failed";
    // What comes late is passed over, and nobody who fills in a form is disturbed by what is shown already.
    if (held ? at <= held.at : closed.has(job) && (over || at <= Number(closed.get(job)))) return;
    if (!held) {
      const t = globalThis.aidetectCardText.translator(words.messages, words.lang);
      held = { card: globalThis.aidetectCard.create({ t, actions: actionsFor(job), mode: "closed", level: 2 }), over: false, more: true, at: 0 };
      cards.set(job, held);
      shelf.prepend(held.card.host);
    }
    held.at = at;
    held.more = more;
    held.over = over;
    const heatmap = view.heatmap ? async () => blobOf(view.heatmap) : null;
    const picture = view.picture ?? (view.got?.kind === "url" && /^https?:/.test(src) ? src : null);
    stage();
    held.card.show({ ...view, heatmap, picture });
    tick();
  }

  /** @param {string} job */
  function actionsFor(job) {
    const act = (/** @type {string} */ action) => () => tell({ type: "action", job, action });
    const close = () => {
      const cancelled = !cards.get(job)?.over;
      if (cancelled) tell({ type: "action", job, action: "cancel" });
      drop(job, cancelled);
    };
    return {
      close, cancel: close, retry: act("retry"), recheck: act("recheck"), connect: act("connect"), choose: act("choose"),
      open: act("open"), allow: act("allow"), screenshot: act("screenshot"),
      report: async (/** @type {any} */ report) => {
        const answer = await tell({ type: "action", job, action: "report", report });
        if (answer?.problem) throw answer.problem;
      },
    };
  }

  /** What is checked again elsewhere brings its card back; its heat map does not, nor what was cancelled. @param {string} job @param {boolean} [cancelled] */
  function drop(job, cancelled = false) {
    closed.set(job, cancelled ? Infinity : cards.get(job)?.at ?? 0);
    cards.get(job)?.card.remove();
    cards.delete(job);
    if (!cards.size) shelf.remove();
  }

  /** While a check runs, asks the background from time to time: browsers end it when it looks idle. */
  function tick() {
    clearTimeout(timer);
    if (![...cards.values()].some((one) => one.more)) return;
    timer = window.setTimeout(async () => {
      await tell({ type: "tick" });
      tick();
    }, TICK_MS);
  }

  /** A page's policy may forbid fetching a data: address, so it is read by hand. @param {string} address */
  function blobOf(address) {
    const [head, body] = address.split(",", 2);
    const bytes = Uint8Array.from(atob(body), (one) => one.charCodeAt(0));
    return new Blob([bytes], { type: /data:([^;]*)/.exec(head)?.[1] });
  }

  chrome.runtime.onMessage.addListener((message) => {
    if (message?.type === "view" && message.page === page) show(message);
    if (message?.type === "hide") shelf.style.setProperty("visibility", message.hidden ? "hidden" : "visible", "important");
  });
  document.addEventListener("keydown", (event) => {
    const last = [...cards.entries()].at(-1);
    if (event.key === "Escape" && !event.defaultPrevented && last?.[1].over) drop(last[0]);
  });
  document.addEventListener("toggle", (event) => { if (event.target !== shelf) stage(); }, true);
  document.addEventListener("fullscreenchange", raise);
  window.addEventListener("pageshow", (event) => { if (event.persisted) tell({ type: "tick" }); });
  return { page };
})();
globalThis.aidetectPlace.page;
