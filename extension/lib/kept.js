// The bytes of checked images, in IndexedDB: a check goes on with them after the service worker's death, is
// made again from them, and a report may carry them. They go with their job; those of private windows are
// in memory alone.

const STORE = "images";
/** @type {Map<string, Blob>} */
const secret = new Map();

/** @param {string} id a job's @param {Blob} blob @param {boolean} incognito */
export async function keep(id, blob, incognito) {
  if (incognito) secret.set(id, blob);
  else await change((store) => store.put(blob, id));
}

/** @param {string} id @returns {Promise<Blob | null>} */
export async function kept(id) {
  return secret.get(id) ?? (await change((store) => store.get(id))) ?? null;
}

/** @param {string[]} ids */
export async function forget(ids) {
  for (const id of ids) secret.delete(id);
  await change((store) => ids.map((id) => store.delete(id)).at(-1));
}

/** What is left of the browser's last run. */
export async function forgetAll() {
  await change((store) => store.clear());
}

/** @param {(store: IDBObjectStore) => IDBRequest | undefined} make @returns {Promise<any>} the request's result */
async function change(make) {
  const open = indexedDB.open("aidetect", 1);
  open.onupgradeneeded = () => open.result.createObjectStore(STORE);
  const base = await settled(open);
  try {
    const transaction = base.transaction(STORE, "readwrite");
    const made = make(transaction.objectStore(STORE));
    await new Promise((done, failed) => {
      transaction.oncomplete = done;
      transaction.onerror = transaction.onabort = () => failed(transaction.error);
    });
    return made?.result;
  } finally {
    base.close();
  }
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function settled(request) {
  return new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
}
