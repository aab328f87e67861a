// The Rust crypto keeps its keys in IndexedDB, which Node lacks: here it lies in memory and is written to a file when the
// client stops, so that a restarted client is the same device.
import "fake-indexeddb/auto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { deserialize, serialize } from "node:v8";

const done = (request) =>
    new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });

/** Writes every database to a file, whole or not at all. */
export async function keep(file) {
    const kept = [];
    for (const { name, version } of await indexedDB.databases()) {
        const database = await done(indexedDB.open(name));
        const stores = [];
        for (const store of database.objectStoreNames) {
            stores.push(await readStore(database.transaction(store).objectStore(store)));
        }
        database.close();
        kept.push({ name, version, stores });
    }
    await writeFile(file + ".new", serialize(kept), { mode: 0o600 });
    await rename(file + ".new", file);
}

async function readStore(store) {
    const indexes = [...store.indexNames].map((name) => {
        const { keyPath, unique, multiEntry } = store.index(name);
        return { name, keyPath, unique, multiEntry };
    });
    const { name, keyPath, autoIncrement } = store;
    const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
    return { name, keyPath, autoIncrement, indexes, keys, values };
}

/** Puts back what keep wrote; says whether there was anything. */
export async function restore(file) {
    let kept;
    try {
        kept = deserialize(await readFile(file));
    } catch (error) {
        if (error.code === "ENOENT") return false;
        throw error;
    }
    for (const { name, version, stores } of kept) {
        const opening = indexedDB.open(name, version);
        opening.onupgradeneeded = () => stores.forEach((store) => writeStore(opening.result, store));
        (await done(opening)).close();
    }
    return true;
}

function writeStore(database, { name, keyPath, autoIncrement, indexes, keys, values }) {
    const store = database.createObjectStore(name, { keyPath, autoIncrement });
    for (const { name, keyPath, unique, multiEntry } of indexes) store.createIndex(name, keyPath, { unique, multiEntry });
    values.forEach((value, at) => (keyPath === null ? store.put(value, keys[at]) : store.put(value)));
}
