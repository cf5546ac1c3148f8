// Limits: a field with a unit, exact to the byte; what becomes of one user's
// limit, of those of many, and of the defaults.

import { call, get, patient, post, query } from "./api.js";
import { h, put, say, show, icon, announce, dialog, uid } from "./dom.js";
import { isUnit, read, suited, typed, units, written } from "./bytes.js";
import { count, size, t } from "./i18n.js";
import { labels } from "./letters.js";
import { row, table, th } from "./adminparts.js";
import { explain, toast } from "./page.js";

/** field is a limit to be edited. now is a number of bytes, null for none, or
 * undefined for the default; fallback is what is said of the default, absent where
 * there is none to go back to. value() returns a limit like now, or shows what is
 * wrong and returns false. */
export function field(label, now, fallback) {
  const id = uid("limit"), unit = typeof now === "number" ? suited(now) : now === null ? "none" : "default";
  const input = h("input", {
    type: "text", id, inputmode: "decimal", size: "8", maxlength: "24", autocomplete: "off", "aria-label": label,
    "aria-describedby": id + "-bad", value: typeof now === "number" ? written(now, unit) : "",
  });
  const choices = [...units.map((u) => [u, t("unit." + u)]), ["none", t("limit.none")]];
  if (fallback !== undefined) choices.push(["default", fallback]);
  const select = h("select", { "aria-label": t("limit.unit.or"), "aria-describedby": id + "-bad" },
    choices.map(([v, text]) => h("option", { value: v, selected: v === unit }, text)));
  const bad = h("span", { class: "error", id: id + "-bad", role: "alert" });
  const fine = () => { for (const x of [input, select]) x.removeAttribute("aria-invalid"); say(bad, ""); };
  let before = null; // What was chosen before a number was typed.
  input.addEventListener("input", () => {
    fine();
    const named = typed(input.value).unit, empty = !input.value.trim();
    if (!empty && !isUnit(select.value)) { before = select.value; select.value = "gigabyte"; }
    if (units.includes(named)) select.value = named;
    if (empty && before) { select.value = before; before = null; }
  });
  select.addEventListener("change", () => {
    fine();
    before = null;
    input.value = isUnit(select.value) ? typed(input.value).number : "";
  });
  return {
    el: h("span", { class: "limit-field" }, input, select, bad), input, select,
    value() {
      if (select.value === "none") return null;
      if (select.value === "default") return undefined;
      const got = read(input.value, select.value);
      if (!got.bad) return got.bytes;
      input.setAttribute("aria-invalid", "true");
      say(bad, t(got.bad));
      input.focus();
      return false;
    },
  };
}

export const limitWords = (bytes) => (bytes === null ? t("unlimited") : size(bytes));

/** own is what was set for a user, as field has it. */
const own = (q) => (q.set.source === "mailbrook" ? q.set.limit_bytes : undefined);

/** source says whose a user's limit is, where it is not the user's own. */
const source = (q) => (q.limit_source && q.limit_source !== "mailbrook" ? t("limit.by." + q.limit_source) : "");

/** userLimit is the limit of one user, and the way to change it. changed is
 * called with the quota as it is then. */
export function userLimit(q, changed) {
  const el = h("div", { class: "limit" });
  function words() {
    put(el,
      h("button", {
        type: "button", class: "link",
        "aria-label": t("quotas.set", { user: q.user }) + ": " + limitWords(q.limit_bytes), onclick: edit,
      }, limitWords(q.limit_bytes), icon("edit", "small")),
      source(q) && h("small", null, source(q)));
  }
  function back() {
    words();
    el.querySelector("button").focus();
  }
  function edit() {
    const f = field(t("quotas.set.label", { user: q.user }), own(q), t("limit.default"));
    const ok = h("button", { type: "submit", class: "icon-button", "aria-label": t("save") }, icon("check"));
    const no = h("button", { type: "button", class: "icon-button quiet", "aria-label": t("cancel"), onclick: back },
      icon("cross"));
    const form = h("form", { class: "inline", novalidate: true }, f.el, h("span", { class: "pair" }, ok, no));
    form.addEventListener("keydown", (e) => { if (e.key === "Escape") back(); });
    form.addEventListener("submit", async (e) => {
      e.preventDefault();
      const wanted = f.value();
      if (wanted === false) return;
      if (wanted === own(q)) { back(); return; } // As it was: nothing is sent.
      ok.disabled = true;
      const path = "/v1/admin/quotas/" + encodeURIComponent(q.user);
      try {
        q = wanted === undefined ? await call("DELETE", path)
          : await call("PUT", path, { limit_bytes: wanted, limit_messages: q.set.limit_messages });
        changed(q);
        back();
        toast(t("quotas.set.done", { user: q.user, limit: limitWords(q.limit_bytes) }), "good");
      } catch (e2) { ok.disabled = false; explain(e2); }
    });
    put(el, form);
    f.input.focus();
    f.input.select();
  }
  words();
  return {
    el,
    /** update shows a limit that has changed; what is as it was keeps the focus. */
    update(next) {
      const other = next.limit_bytes !== q.limit_bytes || source(next) !== source(q);
      q = next;
      if (!other || el.querySelector("form")) return;
      const focused = el.contains(document.activeElement);
      words();
      if (focused) el.querySelector("button").focus();
    },
  };
}

/** bulk asks for a limit for all users that a filter chooses, says how many they
 * are before, and what came of it after. filter() is what the list shows. */
export function bulk(filter, done) {
  return h("button", { type: "button", onclick: () => ask(filter(), done) }, icon("edit"), t("bulk.open"));
}

/** ask mounts the dialog. What it shows and how far it got is in one object (ui), which every function below is
 * given. */
function ask(filter, done) {
  const f = field(t("bulk.limit"), undefined, t("limit.default"));
  f.select.value = "gigabyte";
  f.input.removeAttribute("aria-label");
  const ui = {
    filter, f, stop: new AbortController(),
    all: 0, matching: 0, changed: 0, running: false, halted: false,
    words: h("p", { role: "status" }, t("loading")),
    bar: h("progress", { "aria-label": t("bulk.progress"), hidden: true }),
    ok: h("button", { type: "button", class: "primary", disabled: true }, t("bulk.apply")),
    no: h("button", { type: "button" }, t("cancel")),
  };
  const whom = filterWords(filter);
  ui.d = dialog({
    title: t("bulk.title"),
    body: [
      h("p", null, whom ? t("bulk.filter", { filter: whom }) : t("bulk.everybody")), ui.words,
      h("div", { class: "field" }, h("label", { for: f.input.id }, t("bulk.limit")), f.el),
      h("p", { class: "hint" }, t("bulk.messages")), ui.bar,
    ],
    actions: [ui.no, ui.ok],
    onclose: () => { ui.stop.abort(); if (ui.matching) done(); },
  });
  f.input.focus();
  f.input.addEventListener("keydown", (e) => { if (e.key === "Enter") { e.preventDefault(); ui.ok.click(); } });
  // A step that was sent is waited for: its result must be shown.
  ui.no.addEventListener("click", () => { if (ui.running) ui.halted = ui.no.disabled = true; else ui.d.close(); });
  ui.d.addEventListener("cancel", (e) => { if (ui.running) e.preventDefault(); });
  ui.ok.addEventListener("click", () => apply(ui));
  countUsers(ui);
}

const changes = "/v1/admin/quota-changes";

const filterWords = ({ query: text, domain, state }) => [
  text && t("bulk.query", { query: text }), domain && t("bulk.domain", { domain }), state && t("quotas.state." + state),
].filter(Boolean).join(", ");

/** countUsers says how many users the filter chooses. */
async function countUsers(ui) {
  try {
    const got = await post(changes, { action: "count", filter: ui.filter }, ui.stop.signal);
    ui.all = got.matching;
    say(ui.words, t("bulk.count", { n: ui.all }));
    say(ui.ok, t("bulk.apply.to", { n: ui.all }));
    ui.ok.disabled = !ui.all;
  } catch (e) { if (e.name !== "AbortError") { explain(e); ui.d.close(); } }
}

/** apply changes the limits step by step, until all are changed, one step fails, or the user stops it. */
async function apply(ui) {
  const { d, f, no, ok, bar } = ui, wanted = f.value();
  if (wanted === false) return;
  ui.running = ok.disabled = f.input.disabled = f.select.disabled = true;
  d.dataset.busy = "1";
  say(no, t("quotas.stop"));
  show(bar, true);
  bar.max = ui.all;
  const what = wanted === undefined
    ? { action: "inherit" }
    : wanted === null ? { action: "set", unlimited: ["bytes"] } : { action: "set", limit_bytes: wanted };
  let failed = null, cursor = null;
  do {
    try { cursor = await step(ui, what, cursor); } catch (e) { failed = e; }
  } while (cursor && !failed && !ui.halted && d.isConnected);
  ui.running = no.disabled = false;
  delete d.dataset.busy;
  ok.remove();
  say(no, t("close"));
  no.focus();
  const text = resultWords(ui, cursor, failed);
  put(ui.words, text);
  announce(text);
  if (failed) explain(failed);
}

/** step changes the limits of the next users, and returns where the one after continues. */
async function step(ui, what, cursor) {
  const body = { ...what, filter: ui.filter, ...(cursor && { cursor }) };
  const got = await patient(() => post(changes, body), ui.stop.signal);
  ui.matching += got.matching;
  ui.changed += got.changed;
  ui.bar.value = Math.min(ui.matching, ui.all);
  say(ui.words, t("bulk.going", { n: ui.matching, all: ui.all }));
  return got.next_cursor;
}

const resultWords = ({ all, changed, matching }, cursor, failed) => [
  t("bulk.changed", { n: changed }), matching > changed && t("bulk.same", { n: matching - changed }),
  (cursor || failed) && t("bulk.stopped", { n: Math.max(0, all - matching) }),
  failed && t(failed.status ? "bulk.failed" : "bulk.unsure"),
].filter(Boolean).join(" ");

/** defaults are the default limits of domains and of the installation, to be looked at and changed. changed is called
 * after a change. */
export function defaults(changed) {
  const ui = {
    changed, body: h("tbody"), none: h("p", { class: "hint", hidden: true }, t("defaults.none")),
    place: h("div", { class: "panel-table" }),
    domain: h("input", {
      type: "text", id: uid("q"), maxlength: "253", autocomplete: "off", spellcheck: "false", autocapitalize: "off",
    }),
    limit: field(t("quotas.limit"), null),
  };
  ui.limit.select.value = "gigabyte";
  ui.limit.input.removeAttribute("aria-label");
  ui.bad = h("span", { class: "error", id: ui.domain.id + "-bad", role: "alert" });
  ui.domain.setAttribute("aria-describedby", ui.bad.id);
  ui.domain.addEventListener("input", () => { ui.domain.removeAttribute("aria-invalid"); say(ui.bad, ""); });
  const columns = [
    th(t("defaults.domain")), th(t("quotas.limit"), "num"), th(t("quotas.messages"), "num"), th(t("health.actions")),
  ];
  ui.place.append(table(t("defaults.title"), columns, ui.body));
  return {
    el: [h("p", { class: "hint" }, t("defaults.lead")), ui.none, ui.place, addDefault(ui)],
    draw: (signal) => drawDefaults(ui, signal),
  };
}

const defaultPath = (domain) => "/v1/admin/default-limits/" + encodeURIComponent(domain);
const domainName = (domain) => (domain === "*" ? t("defaults.everybody") : domain);

async function drawDefaults(ui, signal) {
  const list = [];
  for (let cursor = ""; cursor !== null && list.length < 1000;) {
    const answer = await get("/v1/admin/default-limits" + query({ limit: 500, cursor }), signal);
    list.push(...answer.defaults);
    cursor = answer.next_cursor;
  }
  ui.body.replaceChildren(...list.map((x) => defaultRow(ui, x)));
  show(ui.none, !list.length);
  show(ui.place, list.length);
}

async function saveDefault(ui, domain, wanted, messages) {
  await call("PUT", defaultPath(domain), { limit_bytes: wanted, limit_messages: messages });
  await drawDefaults(ui);
  toast(t("defaults.done", { domain: domainName(domain), limit: limitWords(wanted) }), "good");
  ui.changed();
}

/** addDefault is the form for the limit of one more domain. */
function addDefault(ui) {
  const { domain, limit } = ui;
  const label = h("label", { for: domain.id }, t("defaults.domain"), h("small", null, " " + t("defaults.domain.hint")));
  const onsubmit = async (e) => {
    e.preventDefault();
    const wanted = limit.value();
    if (wanted === false) return;
    try {
      await saveDefault(ui, labels(domain.value.trim().replace(/^@/, "")) || "*", wanted, null);
      domain.value = limit.input.value = "";
    } catch (e2) {
      if (e2.status !== 404) { explain(e2); return; }
      domain.setAttribute("aria-invalid", "true");
      say(ui.bad, t("defaults.invalid"));
      domain.focus();
    }
  };
  return h("form", { class: "filters", novalidate: true, onsubmit },
    h("div", { class: "field" }, label, domain, ui.bad),
    h("div", { class: "field" }, h("label", { for: limit.input.id }, t("quotas.limit")), limit.el),
    h("div", { class: "export" }, h("button", { type: "submit" }, icon("add"), t("defaults.add"))));
}

/** defaultRow is the default limit of one domain. */
function defaultRow(ui, x) {
  const cell = h("div", { class: "limit" });
  showDefault(ui, x, cell);
  const drop = h("button", {
    type: "button", class: "icon-button quiet bad", "aria-label": t("defaults.drop", { domain: domainName(x.domain) }),
    onclick: () => askDrop(ui, x, drop),
  }, icon("trash"));
  const link = () => h("a", { href: "/admin/quotas" + query({ domain: x.domain }) }, x.domain);
  return row([t("defaults.domain"), x.domain === "*" ? domainName(x.domain) : link()],
    [t("quotas.limit"), cell, "num limit"],
    [t("quotas.messages"), x.limit_messages === null ? t("unlimited") : count(x.limit_messages), "num"],
    [t("health.actions"), drop]);
}

/** askDrop asks before a default is taken back: it counts for many. */
function askDrop(ui, x, drop) {
  const domain = domainName(x.domain);
  const ok = h("button", { type: "button", class: "danger" }, t("defaults.drop.do"));
  const no = h("button", { type: "button" }, t("cancel"));
  const d = dialog({
    title: t("defaults.drop", { domain }),
    body: h("p", null, t("defaults.drop.text", { limit: limitWords(x.limit_bytes) })),
    actions: [no, ok],
  });
  no.addEventListener("click", () => d.close());
  ok.addEventListener("click", () => { d.close(); dropDefault(ui, x, drop); });
}

async function dropDefault(ui, x, drop) {
  drop.disabled = true;
  try {
    await call("DELETE", defaultPath(x.domain));
    await drawDefaults(ui);
    toast(t("defaults.dropped", { domain: domainName(x.domain) }), "good");
    ui.changed();
    ui.domain.focus();
  } catch (e) { drop.disabled = false; explain(e); }
}

function showDefault(ui, x, cell) {
  const words = limitWords(x.limit_bytes), label = t("defaults.set", { domain: domainName(x.domain) });
  put(cell, h("button", {
    type: "button", class: "link", "aria-label": label + ": " + words, onclick: () => editDefault(ui, x, cell),
  }, words, icon("edit", "small")));
}

function editDefault(ui, x, cell) {
  const f = field(t("defaults.set", { domain: domainName(x.domain) }), x.limit_bytes);
  const back = () => { showDefault(ui, x, cell); cell.querySelector("button").focus(); };
  const form = h("form", { class: "inline", novalidate: true }, f.el, h("span", { class: "pair" },
    h("button", { type: "submit", class: "icon-button", "aria-label": t("save") }, icon("check")),
    h("button", { type: "button", class: "icon-button quiet", "aria-label": t("cancel"), onclick: back },
      icon("cross"))));
  form.addEventListener("keydown", (e) => { if (e.key === "Escape") back(); });
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const wanted = f.value();
    if (wanted === false) return;
    if (wanted === x.limit_bytes) { back(); return; }
    try { await saveDefault(ui, x.domain, wanted, x.limit_messages); } catch (e2) { explain(e2); }
  });
  put(cell, form);
  f.input.focus();
  f.input.select();
}
