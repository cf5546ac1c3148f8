// Copying a mailbox, step 2: where to. Another server is named as an account's is.

import { get, query } from "./api.js";
import { h, notice, put, show, steady } from "./dom.js";
import { complain, field, radios } from "./form.js";
import { t } from "./i18n.js";
import { draft, intoOther, intoOwn, save, unplan } from "./copydraft.js";
import { ended } from "./copyparts.js";
import { head } from "./copysides.js";
import { user } from "./page.js";

export function mount(turnTo) {
  const ways = [
    intoOwn() && ["own", t("copies.into.own", { user: user() })], intoOther() && ["other", t("copies.into.other")],
  ].filter(Boolean);
  if (!ways.some(([k]) => k === draft.into)) draft.into = ways[0][0];
  const ui = {
    turnTo, stop: new AbortController(), before: h("div", { class: "trouble-box", role: "status" }),
    into: radios("into", t("copies.into"), ways, draft.into),
    where: radios("where", t("copies.where"), [
      ["same", t("copies.where.same"), t("copies.where.same.hint")], ["below", t("copies.where.below"),
        t("copies.where.below.hint")],
    ], draft.below ? "below" : "same"),
    below: field({
      name: "prefix", label: t("copies.below"), value: draft.below || t("copies.below.usual"), autocomplete: "off",
      maxlength: "200", required: true,
    }),
    next: steady(h("button", { type: "submit", class: "primary" }, t("wizard.next"))),
  };
  const back = h("button", { type: "button", onclick: () => { keep(ui); turnTo(1); } }, t("back"));
  const { source } = draft.sides;
  const form = h("form", { novalidate: true, class: "panel" },
    h("p", null, t("copies.into.lead", { email: source.email })), ui.before,
    source.protocol === "pop3" && notice("info", null, h("p", null, t("copies.pop3"))),
    ways.length > 1 ? ui.into.el : h("p", { class: "strong" }, ways[0][1]),
    ui.where.el, ui.below.el, h("div", { class: "actions" }, back, ui.next));
  const look = () => show(ui.below.el, ui.where.value === "below");
  ui.where.onchange(look);
  look();
  form.addEventListener("submit", (e) => { e.preventDefault(); submit(ui); });
  earlier(ui, source.email);
  return {
    el: h("div", null, head(2), form), keep: () => keep(ui), begin: () => begin(ui),
    leave: () => { keep(ui); ui.stop.abort(); },
  };
}

/** earlier shows a copy of this mailbox that there is: who starts another one has its messages twice. */
async function earlier(ui, source) {
  try {
    const { copies: [c] } = await get("/v1/copies" + query({ source, limit: 1 }), ui.stop.signal);
    if (!c) return;
    put(ui.before, notice("info", t(ended(c) ? "copies.before" : "copies.before.open"),
      ended(c) && h("p", null, t("copies.before.text")),
      h("p", null, h("a", { href: "/copies/" + c.id }, t("copies.exists.open")))));
  } catch { /* It is advice: the start says what cannot be. */ }
}

function keep(ui) {
  const below = ui.where.value === "below" ? ui.below.input.value.trim() : "";
  const into = ui.into.value || draft.into;
  if (below !== draft.below || into !== draft.into) unplan();
  Object.assign(draft, { below, into });
  save();
}

const begin = (ui) => (ui.into.el.isConnected ? ui.into : ui.where).input.focus();

function submit(ui) {
  keep(ui);
  const missing = ui.where.value === "below" && !draft.below;
  if (complain({ prefix: ui.below }, missing ? [["prefix", t("field.required")]] : [])) return;
  draft.asking = draft.into === "other";
  ui.turnTo(draft.asking ? 2 : 3);
}
