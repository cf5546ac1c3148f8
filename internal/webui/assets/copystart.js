// Copying a mailbox, step 4: the start, and the code that shows how it is to whoever is not signed in.

import { post } from "./api.js";
import { announce, h, icon, notice, put, say, steady } from "./dom.js";
import { field } from "./form.js";
import { t } from "./i18n.js";
import { body, draft, save } from "./copydraft.js";
import { described } from "./copyplan.js";
import { head } from "./copysides.js";
import { user } from "./page.js";

/** mount builds the step; failed says where else an error leads, or what to show. */
export function mount(turnTo, failed) {
  if (draft.started) return { el: begun(draft.started), begin: focusHead };
  if (!draft.plan) { // It was forgotten when the page was loaded again.
    return { el: h("div", null, head(4)), begin: () => turnTo(3) };
  }
  const ui = { turnTo, failed, trouble: h("div", { class: "trouble-box" }), o: draft.options };
  ui.at = field({
    name: "start_at", label: t("copies.at"), hint: t("copies.at.hint"), type: "datetime-local",
    value: ui.o.start_at ? local(ui.o.start_at) : "",
  });
  ui.start = steady(h("button", { type: "submit", class: "primary" }, t("copies.start")));
  const back = h("button", { type: "button", onclick: () => { keep(ui); turnTo(3); } }, t("back"));
  const form = h("form", { novalidate: true, class: "panel" }, ui.trouble, summary(), ui.at.el,
    h("p", { class: "hint" }, t("copies.calm")), h("div", { class: "actions" }, back, ui.start));
  form.addEventListener("submit", (e) => { e.preventDefault(); submit(ui); });
  return {
    el: h("div", null, head(4), form), keep: () => keep(ui), leave: () => keep(ui), begin: () => ui.start.focus(),
  };
}

const focusHead = () => document.querySelector("main h1").focus();

/** local is a moment as a field for one has it. */
const local = (iso) => {
  const d = new Date(iso);
  return new Date(d - d.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
};

function summary() {
  const { sides, into, below } = draft, fact = (label, ...value) =>
    h("div", null, h("dt", null, label), h("dd", null, value));
  return h("dl", { class: "evidence" }, fact(t("copies.from"), sides.source.email),
    fact(t("copies.to"), into === "own" ? user() : sides.target.email),
    below && fact(t("copies.below"), h("span", { class: "folder-name" }, below)), fact(t("copies.what"), described()));
}

function keep(ui) {
  const { o } = ui, at = ui.at.input.value;
  delete o.start_at;
  if (at) o.start_at = new Date(at).toISOString();
  save();
}

async function submit(ui) {
  if (draft.started) return;
  keep(ui);
  put(ui.trouble);
  ui.start.disabled = true;
  try {
    // Both sides are tried once more: the plan may be old.
    draft.started = await post("/v1/copies", body());
  } catch (e) {
    ui.start.disabled = false;
    const box = ui.failed(e);
    if (!box) return;
    put(ui.trouble, box);
    announce(box.textContent, true);
    box.scrollIntoView({ block: "nearest" });
    return;
  }
  ui.turnTo(4);
  announce(t("copies.begun"));
}

/** begun says that a copy has begun, and the code, once. */
function begun(c) {
  const code = c.status_code, done = h("span", { class: "hint", role: "status" });
  const copy = h("button", { type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(code);
      say(done, t("copies.code.copied"));
    } catch { // A frame may not be allowed to.
      getSelection().selectAllChildren(document.getElementById("code"));
      say(done, t("copies.code.selected"));
    }
  } }, t("copies.code.copy"));
  return h("div", { class: "stack" },
    h("header", { class: "wizard-head" }, h("h1", { tabindex: "-1" }, t("copies.begun"))),
    h("section", { class: "panel", "aria-labelledby": "code-head" },
      notice("good", null, h("p", null, t("copies.begun.text", { from: c.source.email, to: c.target.email }))),
      h("h2", { id: "code-head" }, t("copies.code")),
      code ? [
        h("p", null, h("strong", { class: "code", id: "code", translate: "no" }, code)),
        h("p", { class: "actions start" }, copy, done),
        h("p", null, t("copies.code.text", { email: c.source.email })),
        h("p", { class: "hint" }, t("copies.code.secret")),
      ] : h("p", null, t("copies.code.lost")),
      h("p", null, h("a", { href: "/copies/status" }, t("copies.code.page"), icon("open", "small"))),
      h("div", { class: "actions" }, h("a", { class: "button primary", href: "/copies/" + c.id }, t("copies.watch")))));
}
