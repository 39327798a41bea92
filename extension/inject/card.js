// The card: a verdict with its evidence, or how far a check has come, drawn into a shadow root of its own.
//
// A classic script, to be loaded after card-text.js and card-style.js; it defines
//   globalThis.aidetectCard.create({ t, actions, mode = "open", level = 3 }) -> { host, show(view), focus(), remove() }
// `t` comes from aidetectCardText.translator; `level` is that of its heading. Only the `actions` that are
// given are offered: retry, recheck, cancel, close, choose, connect, allow, screenshot, editUrl, open,
// download(kind, view), and copy(text) and report({label, note, attach}), which return promises. Without
// `copy` the browser's clipboard is used, where it has one.
// A view is { state, name, position, paused: {why, seconds}, verdict, signature, problem, got: {kind, host},
// picture: URL of data: or blob:, attachable: whether a report may carry the image,
// heatmap: () => Promise<Blob | null> }, its state one of waiting, sending, queued, fetching, analysing, paused,
// done and failed.
//
// Everything is made of elements and text nodes, so that a stranger's string stays a string and
// Trusted Types have nothing to object to.
"use strict";

(() => {
  const { aidetectCardText: text, aidetectCardStyle: style } = /** @type {any} */ (globalThis);
  const SVG = "http://www.w3.org/2000/svg";
  const ICONS = {
    ai: "M11 3l2 6 6 2-6 2-2 6-2-6-6-2 6-2zM19 16v5M16.5 18.5h5",
    real: "M4 5h16v14H4zM4 16l4.5-4.5L12 15l3-3 5 5M15.5 8.5h.01",
    uncertain: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.4 9.6a2.6 2.6 0 1 1 3.9 2.2c-.9.5-1.3 1-1.3 1.9M12 16.8h.01",
    failed: "M12 4 2.8 20h18.4zM12 10v4.2M12 17.2h.01",
    busy: "M7 3h10M7 21h10M8 3c0 4.5 8 4.5 8 9s-8 4.5-8 9M16 3c0 4.5-8 4.5-8 9s8 4.5 8 9",
    close: "M6 6l12 12M18 6 6 18",
    model: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z",
    credentials: "M12 3l7 3v5c0 4.6-3 8-7 10-4-2-7-5.4-7-10V6zM9 12l2 2 4-4",
    credentialsOpen: "M12 3l7 3v5c0 4.6-3 8-7 10-4-2-7-5.4-7-10V6z",
    frames: "M4 5h16v14H4zM8 5v14M16 5v14M4 12h4M16 12h4",
    metadata: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
  };

  /** @param {string} tag @param {Record<string, any>} [props] @param {...any} children @returns {any} */
  function h(tag, props = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "hidden" || name === "disabled") element[/** @type {"hidden"} */ (name)] = value;
      else if (value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  }

  function icon(/** @type {string} */ name) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", ICONS[/** @type {"ai"} */ (name)] || ICONS.uncertain);
    svg.append(path);
    return svg;
  }

  /** @param {{t: any, actions?: any, mode?: ShadowRootMode, level?: number}} options */
  function create({ t, actions = {}, mode = "open", level = 3 }) {
    const host = document.createElement("div");
    const root = host.attachShadow({ mode });
    root.adoptedStyleSheets = [style()];
    const name = h("bdi", { class: "name", id: "name", dir: "auto" });
    const badge = h("div", { class: "badge" });
    const word = h("h3", { id: "word", "aria-level": level });
    const line = h("p");
    const bar = h("div", { class: "bar" });
    const close = h("button", { type: "button", class: "icon", "aria-describedby": "name", onclick: () => actions.close() }, icon("close"));
    const head = h("div", { class: "head" }, badge,
      h("div", { class: "said" }, h("div", { role: "status", "aria-atomic": "true" }, word, line), bar));
    const rest = h("div");
    // Its languages run from left to right, on whatever page it lies.
    const article = h("article", { role: "region", dir: "ltr", "aria-labelledby": "name word", tabindex: "-1" },
      h("div", { class: "top" }, name, close), head, rest);
    root.append(article);
    article.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // it is used up: whoever holds the cards does not close another
      const form = rest.querySelector("form");
      if (form?.contains(root.activeElement)) toggleReport(form, false); // what was typed stays
      else actions.close?.();
    });

    /** What the rest was drawn from. */
    let drawn = "";
    /** @type {any} */
    let shown = null;
    /** Whether the answer that is drawn has its heat map. */
    let mapped = false;

    function show(/** @type {any} */ view) {
      shown = view;
      host.lang = t.lang;
      const done = view.state === "done" && view.verdict;
      const failed = view.state === "failed";
      const label = done ? view.verdict.label : failed ? "failed" : "busy";
      article.dataset.label = label;
      head.classList.toggle("progress", !done && !failed);
      set(name, text.clean(view.name, 200));
      close.hidden = !actions.close;
      close.setAttribute("aria-label", t(done || failed ? "action_remove" : "action_cancel"));
      set(word, done ? t(`verdict_${label}`) : failed ? t("verdict_failed") : text.progress(view, t));
      set(line, done ? text.sentence(view.verdict, t) : failed ? text.problem(view.problem, t) : "");
      line.hidden = !line.textContent;
      bar.hidden = done || failed;
      bar.classList.toggle("still", ["waiting", "queued", "paused"].includes(view.state));
      if (badge.dataset.icon !== label) badge.replaceChildren(icon(label));
      badge.dataset.icon = label;
      // The rest is drawn anew only where it changes: nothing that somebody is using goes away under them.
      const kind = done ? "done" : failed ? "failed" : view.state === "paused" ? "paused" : "busy";
      const from = kind + (done ? contents(view) : failed ? JSON.stringify(view.problem) : "");
      if (from !== drawn) {
        drawn = from;
        mapped = false;
        const focused = rest.contains(root.activeElement);
        rest.replaceChildren(...(done ? answer(view) : [buttons(kind, view)]).filter(Boolean));
        if (focused) article.focus();
      }
      if (done && view.heatmap && !mapped) {
        mapped = true;
        addHeatmap(view);
      }
    }

    /** What an answer is drawn from. Its heat map may come later. @param {any} view */
    const contents = ({ name, verdict, signature, picture, got, attachable }) =>
      JSON.stringify([name, verdict, signature, picture, got, attachable]);

    function set(/** @type {any} */ element, /** @type {string} */ value) {
      if (element.textContent !== value) element.textContent = value; // a screen reader reads changes
    }

    function button(/** @type {string} */ action, /** @type {string} */ key, /** @type {() => void} */ run, main = false) {
      if (!actions[action]) return null;
      return h("button", { type: "button", class: main ? "main" : undefined, onclick: run, "data-action": action }, t(key));
    }

    function buttons(/** @type {string} */ kind, /** @type {any} */ view) {
      let offered = [button("cancel", "action_cancel", () => actions.cancel())];
      if (kind === "paused") offered.unshift(button("retry", "action_retry_now", () => actions.retry(), true));
      if (kind === "failed") {
        const first = text.remedies(view.problem).find((/** @type {string} */ one) => actions[one]);
        const key = { connect: "action_connect", allow: "action_allow", editUrl: "action_edit_url", choose: "action_choose", retry: "action_retry" };
        offered = first ? [button(first, key[/** @type {"retry"} */ (first)], () => actions[first](), true)] : [];
        if (first === "allow") offered.push(button("screenshot", "action_screenshot", () => actions.screenshot()));
      }
      const found = offered.filter(Boolean);
      return found.length ? h("div", { class: "actions" }, ...found) : null;
    }

    function answer(/** @type {any} */ view) {
      const why = h("div", { class: "why" },
        h("ul", { class: "reasons" }, ...text.reasons(view.verdict, t).map((/** @type {string} */ one) => h("li", { dir: "auto" }, one))),
        h("div", {}, h("h4", { "aria-level": level + 1 }, t("evidence_title")),
          h("ul", { class: "evidence" }, ...text.evidence(view.verdict, t).map(evidence))),
        h("details", {}, h("summary", {}, t("details_title")), pairs(text.facts(view, t))));
      const form = actions.report ? reportForm() : null;
      const body = h("div", { class: "body" }, why);
      if (view.picture || view.heatmap) addPicture(body, view);
      return [body, done(form), form];
    }

    function evidence(/** @type {any} */ row) {
      const open = row.kind === "credentials" && row.state !== "valid";
      const scale = row.share === null ? null : h("div", { class: "scale", "aria-hidden": "true" },
        t("scale_real"), h("div", { class: "track" }, h("i")), t("scale_ai"));
      const mark = scale?.querySelector("i");
      if (mark) mark.style.insetInlineStart = `${100 * row.share}%`;
      return h("li", { "data-kind": row.kind, "data-state": row.state }, icon(open ? "credentialsOpen" : row.kind in ICONS ? row.kind : "model"),
        h("div", {}, h("b", {}, row.title), h("span", { dir: "auto" }, row.text), scale,
          row.note ? h("small", {}, row.note) : null, row.details.length ? pairs(row.details) : null));
    }

    function pairs(/** @type {[string, string][]} */ all) {
      return h("dl", {}, ...all.flatMap(([title, value]) => [h("dt", {}, title), h("dd", {}, h("bdi", {}, value))]));
    }

    /** The image, or why it is not shown, with room for the heat map over it. */
    function addPicture(/** @type {any} */ body, /** @type {any} */ view) {
      const { width, height } = view.verdict.image;
      const frame = h("div", { class: "frame" });
      frame.style.setProperty("--ratio", String(Math.min(4, Math.max(0.25, width / height)) || 1));
      const note = h("p", {}, t(view.got?.kind === "url" ? "picture_elsewhere" : "picture_gone"));
      frame.append(note);
      if (view.picture) {
        note.hidden = true;
        const image = h("img", { alt: t("picture_alt"), src: view.picture });
        image.addEventListener("error", () => {
          image.remove();
          note.textContent = t("picture_unreadable");
          note.hidden = false;
        });
        frame.append(image);
      }
      body.prepend(h("figure", {}, frame));
      body.classList.add("pictured");
    }

    async function addHeatmap(/** @type {any} */ view) {
      const body = rest.querySelector(".body");
      const canvas = await view.heatmap().then((/** @type {Blob | null} */ blob) => (blob ? paint(blob) : null)).catch(() => null);
      if (!canvas || !body) return;
      if (!body.querySelector("figure")) addPicture(body, view);
      const figure = body.querySelector("figure"), frame = body.querySelector(".frame");
      canvas.setAttribute("aria-hidden", "true");
      const slider = h("input", { type: "range", min: "0", max: "100", step: "5", value: view.picture ? "60" : "100", id: "strength", "aria-describedby": "heat" });
      const draw = () => { canvas.style.opacity = String(slider.value / 100); };
      slider.addEventListener("input", draw);
      draw();
      frame.append(canvas);
      const key = (/** @type {string} */ side) => h("span", {}, h("i", { class: side }), t(`heatmap_${side}`));
      figure.append(h("figcaption", {}, h("label", { for: "strength" }, t("heatmap_strength")), slider,
        h("div", { class: "legend" }, key("real"), key("ai")), h("p", { class: "help", id: "heat" }, t("heatmap_help"))));
    }

    function done(/** @type {any} */ form) {
      const write = actions.copy ?? navigator.clipboard?.writeText.bind(navigator.clipboard);
      const copy = write && h("button", { type: "button", "data-action": "copy", onclick: () =>
        write(text.summary(shown, t)).then(() => { copy.textContent = t("action_copied"); }, () => {}),
      }, t("action_copy"));
      const report = button("report", "action_report", () => toggleReport(form, form.hidden));
      report?.setAttribute("aria-expanded", "false");
      const found = [
        button("recheck", "action_recheck", () => actions.recheck()), button("open", "action_open", () => actions.open()),
        copy, button("download", "action_download", () => actions.download("verdict", shown)),
        shown.signature ? button("download", "action_download_signed", () => actions.download("signed", shown)) : null, report,
      ];
      return h("div", { class: "actions" }, ...found.filter(Boolean));
    }

    function toggleReport(/** @type {any} */ form, /** @type {boolean} */ open) {
      const opener = rest.querySelector("[data-action=report]");
      form.hidden = !open;
      opener.setAttribute("aria-expanded", String(open));
      (open ? form.querySelector("input") : opener).focus();
    }

    function reportForm() {
      const choice = (/** @type {string} */ label) =>
        h("label", { class: "choice" }, h("input", { type: "radio", name: "label", value: label }), t(`report_${label}`));
      const note = h("textarea", { maxlength: "1000", rows: "3" });
      const attach = h("input", { type: "checkbox", name: "attach" });
      const told = h("p", { class: "told", role: "status" });
      const send = h("button", { type: "submit", class: "main" }, t("report_send"));
      const fields = h("div", { class: "why" },
        h("fieldset", {}, h("legend", {}, t("report_question")), choice("ai"), choice("real")),
        h("label", { class: "field" }, t("report_note"), note),
        shown.attachable ? h("label", { class: "choice" }, attach, t("report_attach")) : null,
        h("div", { class: "row" }, send));
      const form = h("form", { hidden: true, "aria-labelledby": "report name", onsubmit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        const chosen = form.querySelector("input[name=label]:checked");
        told.textContent = chosen ? "" : t("report_choose");
        if (!chosen) return;
        send.disabled = true;
        try {
          await actions.report({ label: chosen.value, note: note.value.trim(), attach: attach.checked });
          fields.hidden = true;
          told.textContent = t("report_thanks");
        } catch (error) {
          told.textContent = t("report_failed", { why: text.problem(error, t) });
        }
        send.disabled = false;
      } }, h("h4", { id: "report", "aria-level": level + 1 }, t("report_title")), fields, told);
      return form;
    }

    return { host, show, focus: () => article.focus(), remove: () => host.remove() };
  }

  /** A heat map as a canvas: grey 128 is even odds, 32 steps are one unit of log-odds, 0 was not looked at. */
  async function paint(/** @type {Blob} */ blob) {
    const bitmap = await createImageBitmap(blob);
    const canvas = document.createElement("canvas");
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
    context.drawImage(bitmap, 0, 0);
    const cells = context.getImageData(0, 0, canvas.width, canvas.height);
    const { data } = cells;
    for (let at = 0; at < data.length; at += 4) {
      const odds = data[at] === 0 ? 0 : (data[at] - 128) / 32;
      const [red, green, blue] = odds > 0 ? [213, 94, 0] : [0, 114, 178];
      data.set([red, green, blue, 255 * Math.min(1, Math.sqrt(Math.abs(odds) / 4))], at); // 4: the most there is
    }
    context.putImageData(cells, 0, 0);
    return canvas;
  }

  Object.assign(globalThis, { aidetectCard: { create } });
})();
void 0;
