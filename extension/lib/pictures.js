// Blobs, data: addresses and small copies of images, without a document.

const SIDE = 720;

/** @param {string} address a data: address @returns {Promise<Blob>} */
export async function asBlob(address) {
  return (await fetch(address)).blob();
}

/** @param {Blob} blob @returns {Promise<string>} */
export async function asDataAddress(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return `data:${blob.type || "application/octet-stream"};base64,${btoa(text)}`;
}

/** A copy for the card, as a data: address; null for what the browser cannot show. @param {Blob} blob */
export async function thumbnail(blob) {
  try {
    const bitmap = await createImageBitmap(blob);
    const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return await asDataAddress(await canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 }));
  } catch {
    return null;
  }
}

/** Whether the browser can show it as an image. @param {Blob} blob */
export async function readable(blob) {
  return createImageBitmap(blob).then((bitmap) => { bitmap.close(); return true; }, () => false);
}

/**
 * The visible part of a box in a picture of the window. Throws where nothing of it is visible.
 * @param {Blob} whole @param {{left: number, top: number, width: number, height: number, inner: number[]}} box
 */
export async function cropped(whole, box) {
  const bitmap = await createImageBitmap(whole);
  const ratio = bitmap.width / box.inner[0];
  const left = Math.max(0, box.left), top = Math.max(0, box.top);
  const right = Math.min(box.inner[0], box.left + box.width), bottom = Math.min(box.inner[1], box.top + box.height);
  const canvas = new OffscreenCanvas(Math.round((right - left) * ratio), Math.round((bottom - top) * ratio));
  canvas.getContext("2d")?.drawImage(bitmap, -left * ratio, -top * ratio);
  return canvas.convertToBlob({ type: "image/png" });
}

/** @param {Blob} blob @returns {Promise<string>} 64 hex digits */
export async function sha256(blob) {
  const digest = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
