// What is known of the user's accounts, kept up to date by server-sent events, and the news of copies.
// While they cannot be had, the list is asked for now and then instead.

import { get, Problem } from "./api.js";
import { language } from "./i18n.js";

const known = new Map();
const followers = new Set();
const paces = new Map();
let limit = 0, source = null, timer = 0, wanted = false, connected = false, loading = null;

export const accounts = () => [...known.values()];
export const account = (id) => known.get(id);
export const allowed = () => limit;

/** follow calls f(kind, account) on every change: "list", "account",
 * "progress", "removed", "online", "offline"; and f(kind, value) with the news of copies, which are not kept here:
 * "copy", "copy_progress", "copy_removed". After "list" some may have been missed. It returns how to stop. */
export function follow(f) {
  followers.add(f);
  return () => followers.delete(f);
}

function notify(kind, value) {
  for (const f of [...followers]) f(kind, value);
}

/** put takes in an account as an answer of the API gave it. */
export function put(a) {
  const before = known.get(a.id);
  // An answer may be older than an event that has overtaken it.
  if (before && before.updated_at > a.updated_at) return before;
  known.set(a.id, a);
  pace(a);
  notify("account", a);
  return a;
}

export function drop(id) {
  const a = known.get(id);
  if (!a) return;
  known.delete(id);
  paces.delete(id);
  notify("removed", a);
}

/** load asks for all accounts. */
export function load() {
  loading ??= get("/v1/accounts").then((list) => {
    limit = list.limit;
    const ids = new Set(list.accounts.map((a) => a.id));
    for (const id of [...known.keys()]) if (!ids.has(id)) drop(id);
    for (const a of list.accounts) { known.set(a.id, a); pace(a); }
    notify("list");
  }).finally(() => { loading = null; });
  return loading;
}

function pace(a) {
  const p = a.status.progress;
  if (a.status.state !== "fetching" || !p.messages_total) { paces.delete(a.id); return; }
  const old = paces.get(a.id);
  if (!old || p.messages_done < old.done || p.messages_total !== old.total) {
    paces.set(a.id, { at: Date.now(), done: p.messages_done, total: p.messages_total });
  }
}

/** left is how many seconds a running fetch will take, or null. */
export function left(a) {
  const from = paces.get(a.id), p = a.status.progress;
  if (!from) return null;
  const seconds = (Date.now() - from.at) / 1000, got = p.messages_done - from.done;
  if (seconds < 2 || got < 3 || p.messages_done >= p.messages_total) return null;
  return (p.messages_total - p.messages_done) * seconds / got;
}

/** start begins to listen; stop ends that. */
export function start() {
  wanted = true;
  open();
  clearInterval(timer);
  timer = setInterval(watch, 10000);
}

export function stop() {
  wanted = false;
  clearInterval(timer);
  close();
}

/** respeak listens in the language that is spoken now. */
export function respeak() {
  close();
  open();
}

function close() {
  source?.close();
  source = null;
}

function open() {
  if (!wanted || document.hidden || source) return;
  const es = source = new EventSource("/v1/events?lang=" + language());
  es.onopen = () => {
    if (!connected) notify("online");
    connected = true;
    load().catch(() => {});
  };
  es.onerror = () => {
    if (source !== es) return;
    connected = false;
    notify("offline");
    if (es.readyState === EventSource.CLOSED) retry();
  };
  es.addEventListener("account", (e) => put(JSON.parse(e.data)));
  es.addEventListener("progress", (e) => {
    const { account_id: id, ...progress } = JSON.parse(e.data);
    const a = known.get(id);
    if (!a) return;
    a.status = { ...a.status, progress };
    pace(a);
    notify("progress", a);
  });
  for (const kind of ["copy", "copy_progress", "copy_removed"]) {
    es.addEventListener(kind, (e) => notify(kind, JSON.parse(e.data)));
  }
  es.addEventListener("removed", (e) => drop(JSON.parse(e.data).account_id));
}

/** retry is for what an EventSource does not do itself: after an answer that
 * is an error it gives up. Asking for the session says whether it has ended. */
async function retry() {
  close();
  try {
    await get("/v1/session");
  } catch (e) {
    if (e instanceof Problem && e.status === 401) { stop(); return; }
  }
  setTimeout(open, 2000);
}

/** watch stands in for events that do not come. */
function watch() {
  if (document.hidden || connected) return;
  load().catch(() => {});
}

// A page that nobody sees needs no connection, of which a browser has few.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { close(); connected = false; } else open();
});
