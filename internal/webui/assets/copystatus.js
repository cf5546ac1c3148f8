// How a copy is, for somebody who is not signed in: the address of the old mailbox, and the code of the start.

import { post } from "./api.js";
import { announce, h, notice, put, say, show, steady } from "./dom.js";
import { complain, field, isAddress, problemFields } from "./form.js";
import { count, full, t } from "./i18n.js";
import { labels } from "./letters.js";
import { explain } from "./page.js";
import { ended, stateView, untilLine } from "./copyparts.js";

/** pace is how often a copy is asked for that has not ended, in milliseconds. */
const pace = 20000;

let typed = { source: "", code: "" }; // While the page is open: it is shown again in another language.

/** page is the form, and what it found. What is shown is in one object (ui), which every function below is given. */
export async function page() {
  const ui = build();
  ui.form.addEventListener("submit", (e) => { e.preventDefault(); submit(ui); });
  const timer = setInterval(() => { if (ui.found && !ended(ui.found) && !document.hidden) ask(ui, true); }, pace);
  const el = h("div", { class: "page narrow" }, h("h1", { tabindex: "-1" }, t("copies.status")),
    h("p", { class: "lead" }, t("copies.status.lead")), ui.answer, ui.form);
  return {
    el, title: t("copies.status"),
    ready: () => { if (typed.code) submit(ui); else ui.source.input.focus(); },
    leave: () => { clearInterval(timer); ui.stop.abort(); }, keep: () => keep(ui),
  };
}

function build() {
  const asked = new URLSearchParams(location.search).get("source");
  const ui = {
    found: null, stop: new AbortController(), answer: h("div", { class: "stack" }),
    trouble: h("div", { class: "trouble-box" }),
    source: field({
      name: "source", label: t("copies.source.email"), type: "email", value: typed.source || asked || "",
      autocomplete: "off", maxlength: "254", required: true,
    }),
    code: field({
      name: "code", label: t("copies.code"), hint: t("copies.status.code.hint"), value: typed.code, autocomplete: "off",
      maxlength: "64", required: true, spellcheck: "false", autocapitalize: "characters",
    }),
    go: steady(h("button", { type: "submit", class: "primary" }, t("copies.status.show"))),
  };
  ui.form = h("form", { novalidate: true, class: "panel" }, ui.trouble, ui.source.el, ui.code.el,
    h("p", { class: "hint" }, t("copies.status.lost")), h("div", { class: "actions" }, ui.go));
  return ui;
}

function keep(ui) {
  typed = { source: ui.source.input.value.trim(), code: ui.code.input.value.trim() };
}

function submit(ui) {
  keep(ui);
  put(ui.trouble);
  const wrong = [];
  if (!isAddress(typed.source)) wrong.push(["source", t(typed.source ? "field.email" : "field.required")]);
  if (!typed.code) wrong.push(["code", t("field.required")]);
  if (!complain(ui, wrong)) ask(ui, false);
}

/** ask looks how the copy is; quietly, nothing is said that has not changed. */
async function ask(ui, quietly) {
  ui.stop.abort();
  ui.stop = new AbortController();
  ui.go.disabled = !quietly;
  try {
    const now = await post("/copies/status", { source: labels(typed.source), code: typed.code }, ui.stop.signal);
    const other = !ui.found || ui.found.title !== now.title;
    ui.found = now;
    draw(ui);
    if (other) announce(now.title);
    if (!quietly) ui.answer.querySelector("h2").focus();
  } catch (e) {
    if (e.name === "AbortError" || quietly) return;
    ui.found = null;
    put(ui.answer);
    if (complain(ui, problemFields(e))) return;
    const text = e.status === 404 ? t("copies.status.none") : explain(e, true);
    put(ui.trouble, notice("bad", null, h("p", null, text)));
    announce(text, true);
    ui.code.input.focus();
  } finally { ui.go.disabled = false; }
}

function draw(ui) {
  const c = ui.found, state = stateView(), until = h("p", { class: "hint" }), n = c.messages_total;
  const bar = h("progress", { max: String(Math.max(1, n)), "aria-label": t("copies.status.progress") });
  bar.value = Math.min(c.messages_done, n);
  const fact = (key, at) => at && h("div", null, h("dt", null, t(key)), h("dd", null, full(at)));
  state.update(c);
  untilLine(until, { ...c, options: {} });
  const going = n > 0 && !ended(c);
  const words = h("p", { class: "progress-text" });
  say(words, t("copies.done", { done: count(c.messages_done), n }));
  show(bar, going);
  show(words, n > 0);
  put(ui.answer, h("section", { class: "panel", "aria-labelledby": "found" },
    h("h2", { id: "found", tabindex: "-1" }, t("copies.status.found", { email: typed.source })), state.el, until,
    h("div", { class: "progress" }, bar, words),
    c.grade && h("p", null, t("copies.grade"), " ", h("strong", null, t("copies.grade." + c.grade))),
    h("dl", { class: "evidence" }, fact("copies.made.at", c.created_at), fact("copies.begun.at", c.started_at),
      fact("copies.ended.at", c.ended_at)),
    !ended(c) && h("p", { class: "hint" }, t("copies.status.again"))));
}
