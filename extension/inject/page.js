// What is done inside a page once the person asks: finding images, and reading their bytes.
//
// A classic script for the isolated world of a frame; it defines `globalThis.aidetectPage`. It changes
// nothing on the page and asks for nothing but the image.
"use strict";

globalThis.aidetectPage ??= (() => {
  const MOST_LISTED = 60;
  const MOST_LOOKED_AT = 5000;
  const LEAST_SIDE = 48;
  const LAZY = ["data-src", "data-original", "data-full", "data-large", "data-zoom-image", "data-lazy-src", "data-hi-res-src"];
  const IMAGE_NAME = /\.(jpe?g|png|webp|avif|gif|tiff?|bmp|heic|heif)$/i;
  /** @type {Element[]} */
  let listed = [];

  /** @param {string | null | undefined} text @returns {string | null} */
  function absolute(text) {
    try {
      const url = new URL(text || "", document.baseURI);
      return /^(https?|data|blob):$/.test(url.protocol) && text ? url.href : null;
    } catch {
      return null;
    }
  }

  /** The candidate of a srcset with the most pixels. @param {string | null} srcset @returns {{url: string, size: number} | null} */
  function largest(srcset) {
    const all = [...(srcset ?? "").matchAll(/\s*([^\s,]\S*[^\s,])(?:\s+([\d.]+)([wx]))?\s*(?:,|$)/g)];
    const sized = all.map(([, url, size, unit]) => ({ url, size: Number(size ?? 1) * (unit === "w" ? 1 : 1000) }));
    return sized.sort((a, b) => b.size - a.size)[0] ?? null;
  }

  /** Addresses of an image, the one with most pixels first, then the one that is shown. @param {Element} element */
  function addresses(element) {
    /** @type {(string | null | undefined)[]} */
    const found = [];
    const link = element.closest("a[href]");
    const target = link && absolute(link.getAttribute("href"));
    if (target && IMAGE_NAME.test(new URL(target).pathname)) found.push(target);
    if (element instanceof HTMLImageElement) {
      const sets = [element.srcset, element.getAttribute("data-srcset")];
      for (const source of element.closest("picture")?.querySelectorAll("source") ?? []) sets.push(source.getAttribute("srcset"));
      const sized = sets.map(largest).filter((one) => one !== null).map(({ url, size }) => ({ url: absolute(url), size }));
      const isShown = (/** @type {{url: string | null}} */ one) => Number(one.url === element.currentSrc);
      const best = sized.sort((a, b) => b.size - a.size || isShown(b) - isShown(a))[0];
      if (best) found.push(best.url);
      for (const name of LAZY) found.push(absolute(element.getAttribute(name)));
      found.push(element.currentSrc, absolute(element.getAttribute("src")));
    }
    return [...new Set(found.filter((one) => one))];
  }

  /** The image with this address: in the page, or in a shadow root of it. @param {string} src @returns {Element | null} */
  function withAddress(src) {
    for (const image of everything(document)) {
      if (image instanceof HTMLImageElement && (image.currentSrc === src || image.src === src)) return image;
      if (image instanceof SVGImageElement && absolute(image.href.baseVal) === src) return image;
      if (image instanceof HTMLInputElement && image.type === "image" && image.src === src) return image;
    }
    return null;
  }

  /** @param {Document | ShadowRoot} root @returns {Generator<Element>} */
  function* everything(root) {
    for (const element of root.querySelectorAll("*")) {
      yield element;
      if (element.shadowRoot) yield* everything(element.shadowRoot);
    }
  }

  /** Where the image with this address can be had. @param {string} src */
  function describe(src) {
    const element = withAddress(src);
    const urls = element ? addresses(element) : [];
    if (!urls.includes(src)) urls.push(src);
    return { urls, shown: src, origin: self.origin, alt: element?.getAttribute("alt") ?? "" };
  }

  /** Where it lies in the window, moved into sight; null in a frame, whose place is not known. @param {string} src */
  async function reveal(src) {
    const element = window === window.top ? withAddress(src) : null;
    if (!element) return null;
    element.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
    await new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); });
    const { left, top, width, height } = element.getBoundingClientRect();
    return { left, top, width, height, inner: [innerWidth, innerHeight] };
  }

  /**
   * The bytes behind an address, no more than `most`.
   * @param {string} url @param {number} most @param {boolean} fresh past the browser's cache @param {RequestCredentials} credentials
   * @returns {Promise<{blob?: Blob, failed?: string}>}
   */
  async function fetched(url, most, fresh, credentials) {
    const answer = await fetch(url, { credentials, cache: fresh ? "no-cache" : "force-cache" });
    if (!answer.ok) return { failed: `http ${answer.status}` };
    const reader = answer.body?.getReader();
    /** @type {BlobPart[]} */
    const pieces = [];
    for (let size = 0; reader;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      pieces.push(value);
      if (size > most) {
        reader.cancel().catch(() => {});
        return { failed: "too_large" };
      }
    }
    return { blob: new Blob(pieces, { type: answer.headers.get("Content-Type")?.split(";")[0] ?? "" }) };
  }

  /** The same as text, which crosses between processes. @param {string} url @param {number} most @param {boolean} fresh */
  async function read(url, most, fresh) {
    try {
      const same = url.startsWith("blob:") || new URL(url).origin === self.origin;
      const { blob, failed } = await fetched(url, most, fresh, same ? "include" : "omit");
      return blob ? { data: await asText(blob) } : { failed };
    } catch (error) {
      return { failed: String(error) };
    }
  }

  /** @param {Blob} blob @returns {Promise<string>} as a data: address */
  function asText(blob) {
    return new Promise((done, failed) => {
      const reader = new FileReader();
      reader.onload = () => done(String(reader.result));
      reader.onerror = () => failed(reader.error);
      reader.readAsDataURL(blob);
    });
  }

  /** What an element shows, drawn anew: metadata is lost. @param {Element | null} element @param {number} [side] */
  function draw(element, side) {
    try {
      const [width, height] = sizeOf(element);
      if (!element || !width || !height) return { failed: "empty" };
      const scale = side ? Math.min(1, side / Math.max(width, height)) : 1;
      const canvas = document.createElement("canvas");
      canvas.width = Math.max(1, Math.round(width * scale));
      canvas.height = Math.max(1, Math.round(height * scale));
      const context = canvas.getContext("2d");
      context?.drawImage(/** @type {CanvasImageSource} */ (/** @type {unknown} */ (element)), 0, 0, canvas.width, canvas.height);
      return { data: side ? canvas.toDataURL("image/jpeg", 0.8) : canvas.toDataURL("image/png") };
    } catch (error) {
      return { failed: String(error) };
    }
  }

  /** @param {Element | null} element @returns {number[]} in pixels of its own */
  function sizeOf(element) {
    if (element instanceof HTMLImageElement) return [element.naturalWidth, element.naturalHeight];
    if (element instanceof HTMLVideoElement) return [element.videoWidth, element.videoHeight];
    if (element instanceof HTMLCanvasElement) return [element.width, element.height];
    return [0, 0];
  }

  /** Images, CSS backgrounds, canvases and videos of the page, the largest first. */
  function list() {
    /** @type {{element: Element, kind: string, url: string, width: number, height: number, area: number}[]} */
    const found = [];
    let looked = 0;
    for (const element of everything(document)) {
      if ((looked += 1) > MOST_LOOKED_AT) break;
      const { width, height } = element.getBoundingClientRect();
      if (width < LEAST_SIDE || height < LEAST_SIDE) continue;
      const [own, tall] = sizeOf(element);
      const add = (/** @type {string} */ kind, /** @type {string} */ url) =>
        found.push({ element, kind, url, width: own || Math.round(width), height: tall || Math.round(height), area: width * height });
      if (element instanceof HTMLImageElement && own) add("image", element.currentSrc);
      else if (element instanceof HTMLCanvasElement) add("canvas", "");
      else if (element instanceof HTMLVideoElement && own) add("video", "");
      else {
        const background = /url\("(.*?)"\)/.exec(getComputedStyle(element).backgroundImage)?.[1];
        const url = absolute(background);
        if (url && !url.startsWith("data:image/svg")) add("background", url);
      }
    }
    const shown = found.sort((a, b) => b.area - a.area).slice(0, MOST_LISTED);
    listed = shown.map((one) => one.element);
    return shown.map(({ element, kind, url, width, height }, index) => ({
      index, kind, url, width, height,
      name: element.getAttribute("alt") || element.getAttribute("aria-label") || element.getAttribute("title") || "",
      thumbnail: draw(element, 160).data ?? null,
    }));
  }

  /** @param {number} index in the last list */
  const drawListed = (index) => draw(listed[index] ?? null);
  /** @param {string} src */
  const drawShown = (src) => draw(withAddress(src));

  return { describe, reveal, fetched, read, list, drawListed, drawShown };
})();
void 0;
