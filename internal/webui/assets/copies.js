// The list of the user's copies of mailboxes, live.

import { get, query } from "./api.js";
import { h, icon, put, say, show } from "./dom.js";
import * as live from "./events.js";
import { size, t } from "./i18n.js";
import { timeLine } from "./list.js";
import { explain, startAnew, toast } from "./page.js";
import { between, ended, merged, name, progressView, remove, stateView, tell, untilLine } from "./copyparts.js";

/** page is the list. What is known and shown is in one object (ui), which every function below is given. */
export async function page() {
  const ui = build();
  try {
    await load(ui);
  } catch (e) {
    if (e.code !== "copies_disabled") throw e;
    return { el: off(), title: t("copies.title") };
  }
  const stop = live.follow((kind, value) => followed(ui, kind, value));
  const el = h("div", { class: "page" },
    h("header", { class: "page-head" },
      h("div", null, h("h1", { tabindex: "-1" }, t("copies.title")), h("p", { class: "lead" }, t("copies.lead"))),
      h("div", { class: "page-side" }, ui.add)),
    ui.full, ui.list, ui.more, ui.empty);
  return { el, title: t("copies.title"), leave: stop };
}

/** off is the page where copies are switched off. */
const off = () => h("div", { class: "page narrow" }, h("h1", { tabindex: "-1" }, t("copies.title")),
  h("p", null, t("error.copies_disabled")), h("p", null, h("a", { href: "/" }, t("back.list"))));

function build() {
  const add = () => h("a", { class: "button primary", href: "/copies/new", onclick: startAnew },
    icon("add"), t("copies.new"));
  const ui = {
    copies: new Map(), cards: new Map(), limit: 0, next: null,
    add: add(), full: h("p", { class: "hint" }), list: h("ul", { class: "cards", "aria-label": t("copies.title") }),
    more: h("p", { hidden: true }),
    empty: h("section", { class: "empty" },
      h("h2", null, t("copies.empty.title")), h("p", null, t("copies.empty.text")), add()),
  };
  ui.more.append(h("button", { type: "button", onclick: () => further(ui) }, t("account.skipped.more")));
  return ui;
}

/** load shows the newest copies. */
async function load(ui) {
  const answer = await get("/v1/copies?limit=50");
  ui.limit = answer.limit;
  const ids = new Set(answer.copies.map((c) => c.id));
  if (!ui.copies.size || !ui.next) ui.next = answer.next_cursor;
  if (!answer.next_cursor) for (const id of ui.copies.keys()) if (!ids.has(id)) ui.copies.delete(id);
  for (const c of answer.copies) ui.copies.set(c.id, c);
  all(ui);
}

/** further shows older ones. */
async function further(ui) {
  const from = ui.cards.size;
  try {
    const answer = await get("/v1/copies" + query({ limit: 50, cursor: ui.next }));
    for (const c of answer.copies) ui.copies.set(c.id, c);
    ui.next = answer.next_cursor;
    all(ui);
    ui.list.children[from]?.querySelector("a").focus();
  } catch (e) { explain(e); }
}

function followed(ui, kind, value) {
  if (kind === "list") { load(ui).catch(() => {}); return; } // The connection was away.
  const id = kind === "copy" ? value.id : value?.copy_id, before = ui.copies.get(id);
  if (kind === "copy") {
    tell(before, value);
    ui.copies.set(id, value);
    if (before) one(ui, value); else all(ui);
    count(ui);
  } else if (kind === "copy_progress" && before) {
    ui.copies.set(id, merged(before, value));
    one(ui, ui.copies.get(id));
  } else if (kind === "copy_removed") {
    ui.copies.delete(id);
    all(ui);
  }
}

/** all shows all copies, the newest first. */
function all(ui) {
  for (const [id, c] of ui.cards) if (!ui.copies.has(id)) { c.el.remove(); ui.cards.delete(id); }
  const sorted = [...ui.copies.values()].sort((a, b) => b.created_at.localeCompare(a.created_at));
  sorted.forEach((c, i) => {
    one(ui, c);
    const { el } = ui.cards.get(c.id);
    if (ui.list.children[i] !== el) ui.list.insertBefore(el, ui.list.children[i] || null);
  });
  count(ui);
}

/** count says how many there may be. */
function count(ui) {
  const n = ui.copies.size, open = [...ui.copies.values()].filter((c) => !ended(c)).length;
  const full = open >= ui.limit;
  show(ui.add, n > 0 && !full);
  show(ui.full, n > 0 && full);
  say(ui.full, t("copies.full", { n: ui.limit }));
  show(ui.list, n > 0);
  show(ui.empty, n === 0);
  show(ui.more, Boolean(ui.next));
}

function one(ui, c) {
  let shown = ui.cards.get(c.id);
  if (!shown) {
    shown = card(ui);
    ui.cards.set(c.id, shown);
    ui.list.append(shown.el);
  }
  shown.update(c);
}

/** card is a copy in the list. */
function card(ui) {
  let c = null;
  const title = h("a", { class: "card-link" }), state = stateView(), progress = progressView();
  const trouble = h("p", { class: "trouble" }), until = h("p", { class: "hint" });
  const fix = h("a", { class: "fix" }, t("card.fix")), totals = h("span"), when = h("span");
  const trash = h("button", { type: "button", class: "icon-button quiet bad" }, icon("trash"));
  trash.addEventListener("click", () => remove(c, () => {
    ui.copies.delete(c.id);
    all(ui);
    toast(t("copies.deleted"), "good");
    document.querySelector("main h1").focus();
  }));
  const el = h("li", { class: "card" },
    h("div", { class: "card-main" }, h("h2", null, title), state.el, trouble, until, fix, progress.el,
      h("p", { class: "facts" }, when, totals)),
    h("div", { class: "card-actions" }, trash));
  return {
    el,
    update(now) {
      if (!c) put(title, between(now));
      c = now;
      el.dataset.id = c.id;
      el.dataset.state = c.state;
      title.href = fix.href = "/copies/" + c.id;
      fix.setAttribute("aria-label", t("card.fix") + ": " + name(c));
      state.update(c);
      progress.update(c);
      untilLine(until, c);
      show(trouble, Boolean(c.diagnosis) && !ended(c));
      say(trouble, c.diagnosis?.title || "");
      show(fix, c.state === "needs_attention");
      moment(when, c);
      const { messages, bytes } = c.totals;
      say(totals, messages ? t("copies.copied", { n: messages, size: size(bytes) }) : "");
      show(totals, messages > 0);
      const words = t("copies.delete.of", { name: name(c) });
      for (const attribute of ["aria-label", "title"]) trash.setAttribute(attribute, words);
    },
  };
}

/** moment says since when a copy is there, or when it ended. */
function moment(el, c) {
  const at = c.ended_at || c.started_at || c.created_at;
  timeLine(el, c.ended_at ? "copies.when.ended" : c.started_at ? "copies.when.begun" : "copies.when.made", at);
}
