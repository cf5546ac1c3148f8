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
  const input = h("input", { type: "text", id, inputmode: "decimal", size: "8", maxlength: "24", autocomplete: "off", "aria-label": label, "aria-describedby": id + "-bad", value: typeof now === "number" ? written(now, unit) : "" });
  const choices = [...units.map((u) => [u, t("unit." + u)]), ["none", t("limit.none")]];
  if (fallback !== undefined) choices.push(["default", fallback]);
  const select = h("select", { "aria-label": t("limit.unit.or"), "aria-describedby": id + "-bad" }, choices.map(([v, text]) => h("option", { value: v, selected: v === unit }, text)));
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
    put(el, h("button", { type: "button", class: "link", "aria-label": t("quotas.set", { user: q.user }) + ": " + limitWords(q.limit_bytes), onclick: edit }, limitWords(q.limit_bytes), icon("edit", "small")),
      source(q) && h("small", null, source(q)));
  }
  function back() {
    words();
    el.querySelector("button").focus();
  }
  function edit() {
    const f = field(t("quotas.set.label", { user: q.user }), own(q), t("limit.default"));
    const ok = h("button", { type: "submit", class: "icon-button", "aria-label": t("save") }, icon("check"));
    const no = h("button", { type: "button", class: "icon-button quiet", "aria-label": t("cancel"), onclick: back }, icon("cross"));
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
  return { el, update(next) { q = next; if (!el.querySelector("form")) words(); } };
}

/** bulk asks for a limit for all users that a filter chooses, says how many they
 * are before, and what came of it after. filter() is what the list shows. */
export function bulk(filter, done) {
  return h("button", { type: "button", onclick: () => ask(filter(), done) }, icon("edit"), t("bulk.open"));
}

function ask(filter, done) {
  const f = field(t("bulk.limit"), undefined, t("limit.default"));
  f.select.value = "gigabyte";
  f.input.removeAttribute("aria-label");
  const words = h("p", { role: "status" }, t("loading")), bar = h("progress", { "aria-label": t("bulk.progress"), hidden: true });
  const ok = h("button", { type: "button", class: "primary", disabled: true }, t("bulk.apply")), no = h("button", { type: "button" }, t("cancel"));
  const whom = [filter.query && t("bulk.query", { query: filter.query }), filter.domain && t("bulk.domain", { domain: filter.domain }), filter.state && t("quotas.state." + filter.state)].filter(Boolean);
  const stop = new AbortController();
  let all = 0, running = false, halted = false, matching = 0, changed = 0;
  const d = dialog({
    title: t("bulk.title"),
    body: [h("p", null, whom.length ? t("bulk.filter", { filter: whom.join(", ") }) : t("bulk.everybody")), words, h("div", { class: "field" }, h("label", { for: f.input.id }, t("bulk.limit")), f.el), h("p", { class: "hint" }, t("bulk.messages")), bar],
    actions: [no, ok],
    onclose: () => { stop.abort(); if (matching) done(); },
  });
  f.input.focus();
  f.input.addEventListener("keydown", (e) => { if (e.key === "Enter") { e.preventDefault(); ok.click(); } });
  // A step that was sent is waited for: what came of it must be told.
  no.addEventListener("click", () => { if (running) halted = no.disabled = true; else d.close(); });
  d.addEventListener("cancel", (e) => { if (running) e.preventDefault(); });
  const path = "/v1/admin/quota-changes";
  post(path, { action: "count", filter }, stop.signal).then((got) => {
    all = got.matching;
    say(words, t("bulk.count", { n: all }));
    say(ok, t("bulk.apply.to", { n: all }));
    ok.disabled = !all;
  }).catch((e) => { if (e.name !== "AbortError") { explain(e); d.close(); } });
  ok.addEventListener("click", async () => {
    const wanted = f.value();
    if (wanted === false) return;
    running = ok.disabled = f.input.disabled = f.select.disabled = true;
    d.dataset.busy = "1";
    say(no, t("quotas.stop"));
    show(bar, true);
    bar.max = all;
    const what = wanted === undefined ? { action: "inherit" } : wanted === null ? { action: "set", unlimited: ["bytes"] } : { action: "set", limit_bytes: wanted };
    let failed = null, cursor = null;
    do {
      try {
        const at = cursor;
        const step = await patient(() => post(path, { ...what, filter, ...(at && { cursor: at }) }), stop.signal);
        matching += step.matching;
        changed += step.changed;
        cursor = step.next_cursor;
        bar.value = Math.min(matching, all);
        say(words, t("bulk.going", { n: matching, all }));
      } catch (e) { failed = e; }
    } while (cursor && !failed && !halted && d.isConnected);
    running = no.disabled = false;
    delete d.dataset.busy;
    ok.remove();
    say(no, t("close"));
    no.focus();
    const result = [t("bulk.changed", { n: changed }), matching > changed && t("bulk.same", { n: matching - changed }), (cursor || failed) && t("bulk.stopped", { n: Math.max(0, all - matching) }), failed && t(failed.status ? "bulk.failed" : "bulk.unsure")].filter(Boolean).join(" ");
    put(words, result);
    announce(result);
    if (failed) explain(failed);
  });
}

/** defaults are the default limits of domains and of the installation, to be
 * looked at and changed. */
export function defaults(changed) {
  const body = h("tbody"), none = h("p", { class: "hint", hidden: true }, t("defaults.none"));
  const path = (domain) => "/v1/admin/default-limits/" + encodeURIComponent(domain);
  const name = (domain) => (domain === "*" ? t("defaults.everybody") : domain);
  async function save(domain, wanted, messages) {
    await call("PUT", path(domain), { limit_bytes: wanted, limit_messages: messages });
    await draw();
    toast(t("defaults.done", { domain: name(domain), limit: limitWords(wanted) }), "good");
    changed();
  }
  function line(x) {
    const cell = h("div", { class: "limit" });
    const words = () => put(cell, h("button", { type: "button", class: "link", "aria-label": t("defaults.set", { domain: name(x.domain) }) + ": " + limitWords(x.limit_bytes), onclick: edit }, limitWords(x.limit_bytes), icon("edit", "small")));
    const back = () => { words(); cell.querySelector("button").focus(); };
    function edit() {
      const f = field(t("defaults.set", { domain: name(x.domain) }), x.limit_bytes);
      const form = h("form", { class: "inline", novalidate: true }, f.el, h("span", { class: "pair" },
        h("button", { type: "submit", class: "icon-button", "aria-label": t("save") }, icon("check")),
        h("button", { type: "button", class: "icon-button quiet", "aria-label": t("cancel"), onclick: back }, icon("cross"))));
      form.addEventListener("keydown", (e) => { if (e.key === "Escape") back(); });
      form.addEventListener("submit", async (e) => {
        e.preventDefault();
        const wanted = f.value();
        if (wanted === false) return;
        if (wanted === x.limit_bytes) { back(); return; }
        try { await save(x.domain, wanted, x.limit_messages); } catch (e2) { explain(e2); }
      });
      put(cell, form);
      f.input.focus();
      f.input.select();
    }
    words();
    const drop = h("button", { type: "button", class: "icon-button quiet bad", "aria-label": t("defaults.drop", { domain: name(x.domain) }), onclick: async () => {
      drop.disabled = true;
      try {
        await call("DELETE", path(x.domain));
        await draw();
        toast(t("defaults.dropped", { domain: name(x.domain) }), "good");
        changed();
        domain.focus();
      } catch (e) { drop.disabled = false; explain(e); }
    } }, icon("trash"));
    return row([t("defaults.domain"), x.domain === "*" ? name(x.domain) : h("a", { href: "/admin/quotas" + query({ domain: x.domain }) }, x.domain)], [t("quotas.limit"), cell, "num limit"],
      [t("quotas.messages"), x.limit_messages === null ? t("unlimited") : count(x.limit_messages), "num"], [t("health.actions"), drop]);
  }
  const place = h("div", { class: "panel-table" });
  async function draw(signal) {
    const list = [];
    for (let cursor = ""; cursor !== null && list.length < 1000;) {
      const answer = await get("/v1/admin/default-limits" + query({ limit: 500, cursor }), signal);
      list.push(...answer.defaults);
      cursor = answer.next_cursor;
    }
    body.replaceChildren(...list.map(line));
    show(none, !list.length);
    show(place, list.length);
  }
  const domain = h("input", { type: "text", id: uid("q"), maxlength: "253", autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const limit = field(t("quotas.limit"), null);
  limit.select.value = "gigabyte";
  limit.input.removeAttribute("aria-label");
  const form = h("form", { class: "filters", novalidate: true, onsubmit: async (e) => {
    e.preventDefault();
    const wanted = limit.value();
    if (wanted === false) return;
    try {
      await save(labels(domain.value.trim().replace(/^@/, "")) || "*", wanted, null);
      domain.value = limit.input.value = "";
    } catch (e2) { if (e2.status === 404) { domain.setAttribute("aria-invalid", "true"); toast(t("defaults.invalid")); domain.focus(); } else explain(e2); }
  } },
  h("div", { class: "field" }, h("label", { for: domain.id }, t("defaults.domain"), h("small", null, " " + t("defaults.domain.hint"))), domain),
  h("div", { class: "field" }, h("label", { for: limit.input.id }, t("quotas.limit")), limit.el),
  h("div", { class: "export" }, h("button", { type: "submit" }, icon("add"), t("defaults.add"))));
  domain.addEventListener("input", () => domain.removeAttribute("aria-invalid"));
  place.append(table(t("defaults.title"), [th(t("defaults.domain")), th(t("quotas.limit"), "num"), th(t("quotas.messages"), "num"), th(t("health.actions"))], body));
  return { el: [h("p", { class: "hint" }, t("defaults.lead")), none, place, form], draw };
}
