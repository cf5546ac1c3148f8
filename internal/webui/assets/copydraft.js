// What was chosen while a copy is prepared. It is kept while the page is open, and (without passwords) in this tab's
// storage: what was typed of the two mailboxes is in wizardstate.js.

import { user, copying, startedAnew } from "./page.js";

const store = "mailbrook.copy";
const fresh = () => ({
  user: "", step: 1, asking: false, sides: { source: null, target: null }, into: "", below: "", usual: null,
  chosen: null, names: {}, options: {}, plan: null, planned: "", started: null,
});

/** draft is what was chosen:
 *
 * - step, which of the four is shown, and asking, whether the second asks for another server;
 * - sides, the two mailboxes as the API takes them; into, "own" or "other"; below, the folder for everything;
 * - usual, which folders are copied unless something is said, by name, null before a plan; chosen, which are to be;
 *   names, what they are called, where that was edited;
 * - options, the others as the API takes them; plan, the last one, and planned, what it was made of;
 * - started, the copy once it was started. */
export const draft = fresh();

/** save keeps the draft for a reload of the page. */
export function save() {
  const bare = (side) => side && { ...side, password: undefined };
  const kept = {
    ...draft, plan: null, planned: "", started: null,
    sides: { source: bare(draft.sides.source), target: bare(draft.sides.target) },
  };
  try { sessionStorage.setItem(store, JSON.stringify(kept)); } catch { /* There is none. */ }
}

/** restore takes up what this user chose before, and says whether somebody starts over; translated says that the page
 * is shown in another language, and not opened again. */
export function restore(translated) {
  const over = startedAnew();
  if (over || draft.started && !translated || draft.user && draft.user !== user()) forget();
  if (!draft.user) {
    try {
      const kept = JSON.parse(sessionStorage.getItem(store) || "null");
      if (kept?.user === user()) Object.assign(draft, kept);
    } catch { /* There is none, or it is not ours. */ }
  }
  draft.user = user();
  return over;
}

/** forget drops all that was chosen. */
export function forget() {
  Object.assign(draft, fresh());
  try { sessionStorage.removeItem(store); } catch { /* There is none. */ }
}

/** unplan drops the plan, as of other mailboxes, and all that was chosen of it. */
export function unplan() {
  Object.assign(draft, { plan: null, planned: "", usual: null, chosen: null, names: {} });
}

/** signsIn says whether a side can be signed in to: a password is not kept when the page is loaded again. */
export const signsIn = (side) => Boolean(side && (side.grant || side.password));

/** own says whether an address is the user's own. */
const own = (email) => email?.toLowerCase() === user()?.toLowerCase();

/** intoOwn and intoOther say where this source may be copied to. */
export const intoOwn = () => !own(draft.sides.source?.email);
export const intoOther = () => copying() === "any" || own(draft.sides.source?.email);

/** body is what the API is asked with. */
export function body() {
  const { plan, chosen, names, below } = draft, options = { ...draft.options };
  if (below) options.prefix = below;
  const folders = plan && chosen ? rules(plan.folders, chosen, draft.usual) : {};
  const map = {};
  for (const f of plan?.folders || []) {
    if (chosen?.[f.source] && names[f.source] && names[f.source] !== f.target) map[f.source] = names[f.source];
  }
  if (Object.keys(map).length) folders.map = map;
  if (Object.keys(folders).length) options.folders = folders;
  return {
    source: draft.sides.source, target: draft.into === "own" ? { protocol: "local" } : draft.sides.target, options,
  };
}

/** under says whether a rule for a folder b holds for a, too: one for the inbox is for the inbox alone. */
const under = (a, b) => b.source !== "INBOX" && a.source.startsWith(b.source + "/");

/** choose has a folder copied, or not, and those below it with it. No rule has a folder copied in one that is left out
 * of one that is copied: those between come along. */
export function choose(folders, chosen, f, on) {
  for (const g of folders) if (g === f || under(g, f)) chosen[g.source] = on;
  if (!on) return;
  const above = folders.filter((g) => under(f, g)), kept = above.filter((g) => chosen[g.source]);
  for (const g of above) if (kept.some((k) => under(g, k))) chosen[g.source] = true;
}

/** rules says which folders are copied as the API takes it, {} when those are that are anyway: a rule holds for a
 * folder and those below it, what is left out wins, and what is shared by others is to be named. */
export function rules(folders, chosen, usual) {
  if (folders.every((f) => Boolean(chosen[f.source]) === Boolean(usual[f.source]))) return {};
  const on = folders.filter((f) => chosen[f.source]), off = folders.filter((f) => !chosen[f.source]);
  if (on.every((f) => usual[f.source] && !off.some((g) => under(f, g)))) {
    const out = off.filter((f) => usual[f.source] && !off.some((g) => usual[g.source] && under(f, g)));
    return { exclude: out.map((f) => f.source) };
  }
  const left = off.filter((f) => on.some((g) => under(f, g)));
  return { include: on.map((f) => f.source), exclude: left.map((f) => f.source) };
}
