// The owner's list: the accounts, live, and how full the own mailbox is.

import { call, patch, post, get, Problem } from "./api.js";
import { address as broken, h, s, put, say, show, icon, announce, dialog, uid } from "./dom.js";
import * as live from "./events.js";
import { folderName, t, when, full, size, span } from "./i18n.js";
import { letters } from "./letters.js";
import { explain, go, flash, startAnew, toast } from "./page.js";
import { quotaBar } from "./chart.js";

export const glyph = {
  pending: "clock", fetching: "fetch", ok: "check", partial: "warn", retrying: "clock", needs_attention: "warn",
  over_quota: "full", paused: "pause",
};

/** time is an element that says how long ago something is and keeps saying it. */
export function time(iso) {
  return h("time", { datetime: iso, title: full(iso), "data-live": "" }, when(iso));
}

/** planned says when something is to be: what should have been by now has no turn yet. */
export const planned = (iso) => (Date.parse(iso) <= Date.now() ? t("why.turn") : when(iso));

/** due is time for what is planned. */
export function due(iso) {
  return h("time", { datetime: iso, title: full(iso), "data-live": "due" }, planned(iso));
}

/** ticking keeps the times on the page right. */
export function ticking() {
  for (const el of document.querySelectorAll("time[data-live]")) {
    say(el, (el.dataset.live === "due" ? planned : when)(el.dateTime));
  }
}

/** timeLine fills a sentence that has {when} in it with a time element. */
export function timeLine(el, key, iso, element = time) {
  const [before, after] = t(key, { when: "\u0000" }).split("\u0000");
  el.replaceChildren(before, element(iso), after);
}

export async function fetchNow(a) {
  try {
    const before = a.status.last_attempt_at;
    live.put(await post("/v1/accounts/" + a.id + "/fetch"));
    const close = toast(t("card.asked", { name: a.name }), "good");
    const stop = live.follow((kind) => {
      const now = live.account(a.id)?.status;
      if (now && (kind === "progress" || now.state === "fetching" || now.last_attempt_at === before)) return;
      stop();
      if (!now || now.diagnosis) close(); // It would stand before what went wrong.
    });
  } catch (e) { explain(e); }
}

export async function pause(a, on) {
  try {
    live.put(await patch("/v1/accounts/" + a.id, { enabled: on }));
    toast(t(on ? "card.resumed" : "card.paused", { name: a.name }), "good");
  } catch (e) { explain(e); }
}

/** remove asks what is to become of the mail, and deletes the account. Without done, which is given a note, the page
 * stays. */
export function remove(a, done) {
  const keep = h("input", { type: "radio", name: "mail", value: "keep", checked: true, id: uid("keep") });
  const drop = h("input", { type: "radio", name: "mail", value: "delete", id: uid("drop") });
  const bad = h("p", { class: "error", role: "alert" });
  const ok = h("button", { type: "button", class: "danger" }, t("delete.do"));
  const no = h("button", { type: "button" }, t("cancel"));
  const d = dialog({
    title: t("delete.title", { name: a.name }),
    body: [
      h("p", null, t("delete.provider", { provider: a.email.split("@").pop() })),
      h("fieldset", { class: "choice" }, h("legend", null, t("delete.choice", { folder: a.folder })),
        h("label", { for: keep.id }, keep, h("span", null, t("delete.keep"), h("small", null, t("delete.keep.hint")))),
        h("label", { for: drop.id }, drop,
          h("span", null, t("delete.drop"), h("small", null, t("delete.drop.hint", { n: a.status.totals.messages }))))),
      bad,
    ],
    actions: [no, ok],
  });
  no.addEventListener("click", () => d.close());
  ok.addEventListener("click", async () => {
    ok.disabled = true;
    try {
      await call("DELETE", "/v1/accounts/" + a.id + "?mail=" + (drop.checked ? "delete" : "keep"));
    } catch (e) {
      if (!(e instanceof Problem) || e.status !== 404) {
        ok.disabled = false;
        if (e.status === 401) d.close(); else say(bad, explain(e, true));
        return;
      }
    }
    d.close();
    const text = t("delete.done", { name: a.name });
    done?.({ text });
    live.drop(a.id);
    if (done) return;
    toast(text, "good");
    document.querySelector("main h1")?.focus(); // Its card is gone.
  });
}

/** menu opens the context menu of an account at a place of the window. */
export function menu(a, x, y, opener) {
  document.querySelector(".menu")?.remove();
  // A menu opened by mouse, where nothing had the focus, gives it to what it is about.
  const about = () => document.querySelector('.card[data-id="' + a.id + '"] h2 a') || document.querySelector("main h1");
  const back = opener || (document.activeElement === document.body ? about() : document.activeElement);
  const item = (key, picture, act, kind) => h("button", {
    type: "button", role: "menuitem", tabindex: "-1", class: kind, onclick: () => { close(); act(); },
  }, icon(picture), t(key));
  const items = [
    item("menu.open", "open", () => go("/accounts/" + a.id)),
    item("menu.fetch", "fetch", () => fetchNow(a)),
    item("menu.edit", "edit", () => go("/accounts/" + a.id + "/edit")),
    item("menu.delete", "trash", () => remove(a), "bad"),
  ];
  if (!a.enabled) items.splice(1, 1);
  const m = h("div", { class: "menu", role: "menu", "aria-label": t("card.more.of", { name: a.name }) }, items);
  const outside = (e) => { if (!m.contains(e.target)) close(false); };
  function close(focus = true) {
    m.remove();
    document.removeEventListener("pointerdown", outside, true);
    window.removeEventListener("blur", away);
    window.removeEventListener("resize", away);
    document.removeEventListener("scroll", away, true);
    opener?.setAttribute("aria-expanded", "false");
    if (focus && back?.isConnected) back.focus();
  }
  const away = () => close(false);
  m.addEventListener("keydown", (e) => {
    const i = items.indexOf(document.activeElement), n = items.length;
    const to = { ArrowDown: (i + 1) % n, ArrowUp: (i + n - 1) % n, Home: 0, End: n - 1 }[e.key];
    if (to !== undefined) { items[to].focus(); e.preventDefault(); }
    else if (e.key === "Escape") { close(); e.preventDefault(); }
    else if (e.key === "Tab") close();
    else {
      const found = items.find((b) => b.textContent.toLowerCase().startsWith(e.key.toLowerCase()));
      if (found && e.key.length === 1) found.focus();
    }
  });
  m.addEventListener("contextmenu", (e) => e.preventDefault());
  (document.querySelector("main") || document.body).append(m);
  const room = m.getBoundingClientRect();
  m.style.left = Math.max(8, Math.min(x, innerWidth - room.width - 8)) + "px";
  m.style.top = Math.max(8, Math.min(y, innerHeight - room.height - 8)) + "px";
  document.addEventListener("pointerdown", outside, true);
  window.addEventListener("blur", away);
  window.addEventListener("resize", away);
  opener?.setAttribute("aria-expanded", "true");
  items[0].focus({ preventScroll: true });
  document.addEventListener("scroll", away, true);
}

/** longPress opens a menu where a finger rests; browsers differ in whether
 * they do so themselves. */
function longPress(el, open) {
  let timer = 0, from = null, opened = false;
  const end = () => { clearTimeout(timer); timer = 0; };
  el.addEventListener("pointerdown", (e) => {
    opened = false;
    if (e.pointerType !== "touch" || e.target.closest("button, input")) return;
    from = [e.clientX, e.clientY];
    end();
    timer = setTimeout(() => { opened = true; open(...from); }, 550);
  });
  el.addEventListener("pointermove", (e) => {
    if (timer && Math.hypot(e.clientX - from[0], e.clientY - from[1]) > 10) end();
  });
  for (const over of ["pointerup", "pointercancel", "pointerleave"]) el.addEventListener(over, end);
  const swallow = (e) => { if (opened) { e.preventDefault(); e.stopPropagation(); opened = false; } };
  el.addEventListener("click", swallow, true);
  el.addEventListener("contextmenu", (e) => {
    e.preventDefault();
    end();
    if (opened) return;
    opened = e.pointerType === "touch";
    const box = el.getBoundingClientRect();
    if (e.clientX || e.clientY) open(e.clientX, e.clientY); else open(box.left + 24, box.top + 48);
  });
}

/** pauseSwitch is the switch beside an account, with the word for how it stands. */
export function pauseSwitch(current) {
  const word = h("span", { class: "switch-word", "aria-hidden": "true", onclick: () => el.click() });
  const el = h("button", { type: "button", role: "switch", class: "switch" },
    h("span", { class: "knob" }, icon("check"), icon("pause")));
  el.addEventListener("click", async () => {
    const a = current();
    el.disabled = true;
    await pause(a, !a.enabled);
    el.disabled = false;
    el.focus();
  });
  return {
    el: h("span", { class: "switch-line" }, el, word),
    update(a) {
      say(word, t(a.enabled ? "card.on.word" : "card.off.word"));
      el.setAttribute("aria-checked", String(a.enabled));
      el.setAttribute("aria-label", t("card.on", { name: a.name }));
      el.title = t("card.on", { name: a.name });
    },
  };
}

/** progressView shows a running fetch. */
export function progressView() {
  const bar = h("progress", { max: "1" });
  const text = h("p", { class: "progress-text" });
  const el = h("div", { class: "progress", hidden: true }, bar, text);
  return {
    el,
    update(a) {
      const p = a.status.progress, on = a.status.state === "fetching";
      show(el, on);
      if (!on) return;
      bar.setAttribute("aria-label", t("progress.label", { name: a.name }));
      if (!p.messages_total) {
        bar.removeAttribute("value");
        say(text, t("progress.begin"));
        return;
      }
      bar.max = p.messages_total;
      bar.value = p.messages_done;
      const rest = live.left(a);
      say(text, [
        p.folder && folderName(p.folder), t("progress.count", { done: p.messages_done, total: p.messages_total }),
        size(p.bytes_done), rest === null ? null : t("progress.left", { span: span(rest) }),
      ].filter(Boolean).join(" · "));
    },
  };
}

/** shownState is an account's state as it is shown: one of which something could
 * not be read is not up to date. */
export const shownState = (a) => (a.status.state === "ok" && a.status.diagnosis ? "partial" : a.status.state);

/** stateView says how an account is, in words with a picture. */
export function stateView() {
  const el = h("p", { class: "state" });
  return {
    el,
    update(a) {
      const state = shownState(a);
      if (el.dataset.state === state) return;
      el.dataset.state = state;
      el.replaceChildren(icon(glyph[state] || "info"), h("span", null, t("state." + state)));
    },
  };
}

/** fetched is how much was fetched for an account so far, whether or not it is still in the mailbox; "" before the
 * first fetch. */
export const fetched = ({ status: { totals, last_success_at: at } }) => (at || totals.messages
  ? t("card.fetched", { messages: t("messages", { n: totals.messages }), size: size(totals.bytes) }) : "");

/** overdue says of a delay that the fetch should have been. */
export const overdue = (d) => d.kind === "waiting" || d.kind === "budget" && !d.until;

/** others are the delays that are not the account's own doing. */
const others = ["maintenance", "outage", "budget", "waiting"];

function card(first) {
  let a = first;
  const title = h("a", { class: "card-link" });
  const address = h("span", { class: "address" }), protocol = h("span", { class: "badge" });
  const state = stateView(), progress = progressView(), paused = pauseSwitch(() => a);
  const last = h("span"), next = h("span"), totals = h("span");
  const trouble = h("p", { class: "trouble" });
  const leftOut = h("a", null), skipped = h("p", { class: "left-over", hidden: true }, icon("warn"), leftOut);
  const fix = h("a", { class: "fix" }, t("card.fix"));
  const now = h("button", { type: "button", class: "icon-button", onclick: () => fetchNow(a) }, icon("fetch"),
    h("span", null, t("card.fetch")));
  const trash = h("button", { type: "button", class: "icon-button quiet bad", onclick: () => remove(a) },
    icon("trash"));
  const more = h("button", {
    type: "button", class: "icon-button quiet", "aria-haspopup": "menu", "aria-expanded": "false",
    onclick: () => { const r = more.getBoundingClientRect(); menu(a, r.right - 200, r.bottom + 4, more); },
  }, icon("more", "dots"));
  const el = h("li", { class: "card", "data-id": a.id },
    h("div", { class: "card-main" },
      h("h2", null, title), h("p", { class: "who" }, address, protocol),
      state.el, trouble, fix, skipped, progress.el,
      h("p", { class: "facts" }, last, next, totals)),
    h("div", { class: "card-actions" }, paused.el, now, trash, more));
  longPress(el, (x, y) => menu(a, x, y));
  return {
    el,
    get account() { return a; },
    /** skips says how many messages were skipped. */
    skips(n) {
      el.dataset.skipped = n;
      show(skipped, n > 0);
      say(leftOut, t("why.skipped.first", { n }));
      leftOut.setAttribute("aria-label", t("why.skipped.first", { n }) + ": " + letters(a.name));
    },
    update(latest) {
      a = latest;
      const st = a.status;
      leftOut.href = "/accounts/" + a.id + "#skipped";
      say(title, a.name);
      title.href = "/accounts/" + a.id;
      if (address.textContent !== letters(a.email)) put(address, broken(a.email));
      say(protocol, t(a.protocol));
      el.dataset.state = st.state;
      for (const part of [state, progress, paused]) part.update(a);
      if (st.last_success_at) timeLine(last, "card.last", st.last_success_at);
      else say(last, t(st.totals.messages > 0 ? "card.last.some" : "card.last.never"));
      const comes = st.next_poll_at && a.enabled && st.state !== "fetching";
      show(next, comes);
      if (comes) timeLine(next, "card.next", st.next_poll_at, due);
      say(totals, fetched(a));
      show(totals, totals.textContent);
      const wrong = others.includes(st.delay?.kind) ? st.delay : st.state !== "paused" ? st.diagnosis : null;
      show(trouble, Boolean(wrong) && st.state !== "over_quota"); // The state says that already.
      say(trouble, wrong ? wrong.title : "");
      show(fix, st.state === "needs_attention");
      fix.href = "/accounts/" + a.id;
      fix.setAttribute("aria-label", t("card.fix") + ": " + letters(a.name));
      now.disabled = st.state === "fetching" || !a.enabled;
      now.setAttribute("aria-label",
        st.state === "fetching" ? t("card.fetching") : t("card.fetch.of", { name: a.name }));
      now.title = t(a.enabled ? "card.fetch" : "card.fetch.paused");
      trash.setAttribute("aria-label", t("card.delete.of", { name: a.name }));
      trash.title = t("card.delete.of", { name: a.name });
      more.setAttribute("aria-label", t("card.more.of", { name: a.name }));
      more.title = t("card.more.of", { name: a.name });
    },
  };
}

export async function page() {
  await live.load();
  return mount();
}

/** mount builds the page, and shows the accounts as they change. What is known and shown is in one object (ui), which
 * every function below is given. */
function mount() {
  const ui = build();
  for (const a of live.accounts()) ui.visits.set(a.id, visited(a));
  const stop = live.follow((kind, a) => followed(ui, kind, a));
  all(ui);
  measure(ui);
  const el = h("div", { class: "page" },
    h("header", { class: "page-head" },
      h("div", null, h("h1", { tabindex: "-1" }, t("list.title")), h("p", { class: "lead" }, t("list.lead"))),
      h("div", { class: "page-side" }, h("div", { class: "used-line" }, ui.dots, ui.used), ui.add)),
    ui.full, ui.list, ui.empty, ui.space);
  const fresh = flash();
  if (fresh?.id) ui.cards.get(fresh.id)?.el.classList.add("fresh");
  return { el, title: t("list.title"), leave: stop };
}

function build() {
  const add = () => h("a", { class: "button primary", href: "/accounts/new", onclick: startAnew },
    icon("add"), t("list.add"));
  return {
    cards: new Map(), states: new Map(), visits: new Map(), // By account: its card, its state, its last visit.
    asked: 0, // How often the quota was asked for: the latest answer counts.
    used: h("p", { class: "used" }),
    dots: h("span", { class: "places", "aria-hidden": "true" }),
    add: add(),
    full: h("p", { class: "hint" }),
    list: h("ul", { class: "cards", "aria-label": t("list.label") }),
    empty: h("section", { class: "empty" },
      emptyPicture(), h("h2", null, t("list.empty.title")), h("p", null, t("list.empty.text")), add()),
    space: h("section", {
      class: "panel", id: "space", tabindex: "-1", "aria-label": t("quota.title"), hidden: true,
    }),
  };
}

/** visited distinguishes one visit of an account from the next. */
const visited = (a) => a.status.last_attempt_at + " " + a.status.totals.messages;

function followed(ui, kind, a) {
  if (kind === "progress") { ui.cards.get(a.id)?.update(a); return; }
  // A quick visit may have ended before its start was reported.
  const busy = kind === "account" && a.status.state !== "fetching" && visited(a) !== ui.visits.get(a.id);
  if (kind === "account") ui.visits.set(a.id, visited(a));
  if (kind === "account" && ui.cards.has(a.id)) one(ui, a);
  else if (["list", "account", "removed"].includes(kind)) all(ui);
  if (busy || kind === "removed") measure(ui);
}

/** all shows all accounts, and how many there may be. */
function all(ui) {
  const { cards, dots } = ui, accounts = live.accounts(), n = accounts.length, limit = live.allowed();
  say(ui.used, t("list.used", { n, limit }));
  if (dots.childElementCount !== limit && limit <= 12) {
    dots.replaceChildren(...Array.from({ length: limit }, () => h("i")));
  }
  [...dots.children].forEach((d, i) => d.classList.toggle("on", i < n));
  show(ui.add, n < limit && n > 0);
  show(ui.full, n >= limit);
  say(ui.full, t("list.full", { limit }));
  show(ui.empty, n === 0);
  show(ui.list, n > 0);
  for (const [id, c] of cards) if (!live.account(id)) { c.el.remove(); cards.delete(id); ui.states.delete(id); }
  for (const a of accounts) one(ui, a);
}

/** one shows one account. */
function one({ cards, list, states }, a) {
  let c = cards.get(a.id);
  if (!c) {
    c = card(a);
    cards.set(a.id, c);
    list.append(c.el);
  }
  c.update(a);
  tally(a, c);
  const before = states.get(a.id), { state } = a.status;
  states.set(a.id, state);
  if (before && before !== state && state !== "pending") {
    announce(t("said.state", { name: a.name, state: t("state." + state) }));
  }
}

/** tally asks how many messages are skipped, once after each visit. */
async function tally(a, c) {
  const mine = visited(a);
  if (c.tallied === mine || a.status.state === "fetching") return;
  c.tallied = mine;
  try {
    const { total } = await get("/v1/accounts/" + a.id + "/skipped?limit=1");
    if (c.tallied === mine) c.skips(total);
  } catch { /* The last count stays; signing in again is asked for elsewhere. */ }
}

/** measure shows how full the mailbox is. */
async function measure(ui) {
  const mine = ++ui.asked, { space } = ui;
  try {
    const q = await get("/v1/quota");
    if (mine !== ui.asked) return;
    space.replaceChildren(h("h2", null, t("quota.title")), quotaBar(q));
    show(space, live.accounts().length > 0 || q.limit_bytes !== null || q.limit_messages !== null);
    if (mine === 1 && location.hash === "#space") { space.scrollIntoView(); space.focus(); }
  } catch (e) {
    if (mine !== ui.asked) return;
    const away = e.code === "local_mailbox_unavailable"; // Said here, where there would be a gap.
    if (away) put(space, h("h2", null, t("quota.title")), h("p", { class: "quota-state" }, explain(e, true)));
    show(space, away);
  }
}

function emptyPicture() {
  return s("svg", { class: "picture", viewBox: "0 0 160 96", "aria-hidden": "true" },
    s("path", { class: "p1", d: "M10 70c25-14 45 14 70 0s45-14 70 0M10 84c25-14 45 14 70 0s45-14 70 0" }),
    s("rect", { class: "p2", x: "48", y: "12", width: "64", height: "44", rx: "6" }),
    s("path", { class: "p3", d: "M50 16l30 22 30-22" }));
}
