// Copying a mailbox, in four steps: the old mailbox, the new one, the plan, the start.

import { get } from "./api.js";
import { h, notice } from "./dom.js";
import { full, t } from "./i18n.js";
import { draft, forget, intoOther, restore, save, signsIn } from "./copydraft.js";
import { forgetSide, settled, sideOf } from "./copysides.js";
import { mount as into } from "./copytarget.js";
import { mount as plan } from "./copyplan.js";
import { mount as start } from "./copystart.js";
import { explain } from "./page.js";
import { mount as first } from "./wizardaddress.js";
import { mount as second } from "./wizardsettings.js";
import { comeBack, loadProviders, restore as restoreSide, save as saveSide, state, take } from "./wizardstate.js";

let translated = false; // The page is shown in another language, not opened again.

/** page is the wizard. What is shown of it is in one object (ui), which every function below is given. */
export async function page() {
  const from = new URLSearchParams(location.search).get("side");
  const ui = { el: h("div", { class: "page narrow" }), shown: null, ways: {} };
  ui.ways.source = sideOf("source", () => turn(ui, 2), null);
  ui.ways.target = sideOf("target", () => turn(ui, 3), () => { draft.asking = false; turn(ui, 2); });
  if (restore(translated)) for (const side of ["source", "target"]) { take(ui.ways[side]); forgetSide(); }
  translated = false;
  await Promise.all([loadProviders(), get("/v1/copies?limit=1")]); // The second says whether copies are switched off.
  if (from === "source" || from === "target") {
    Object.assign(draft, { step: from === "source" ? 1 : 2, asking: from === "target" });
    if (from === "target") draft.into = "other";
  }
  const side = asked();
  if (side) {
    open(ui, side);
    await comeBack();
  }
  settle();
  show(ui);
  return {
    el: ui.el, title: t("copies.new"), ready: () => ui.shown.begin?.(),
    leave: () => ui.shown.leave?.(), keep: () => { ui.shown.keep?.(); translated = true; },
  };
}

/** asked is the side that the present step asks for, or null. */
const asked = () => (draft.step === 1 ? "source" : draft.step === 2 && draft.asking ? "target" : null);

/** open takes up what was typed of a side. */
function open(ui, side) {
  take(ui.ways[side]);
  restoreSide();
}

/** settle goes back to where a password is needed that is not known any more. */
function settle() {
  if (draft.started) return;
  if (draft.step > 1 && !signsIn(draft.sides.source)) draft.step = 1;
  if (draft.step > 2 && draft.into === "other" && !signsIn(draft.sides.target)) {
    draft.step = 2;
    draft.asking = true;
  }
  if (draft.into === "other" && !intoOther()) draft.into = "";
}

/** show builds the present step. */
function show(ui, then) {
  ui.shown?.leave?.();
  const side = asked(), go = (step, after) => turn(ui, step, after);
  if (side) { part(ui, side, then); return; }
  ui.shown = { 2: into, 3: plan, 4: start }[draft.step](go, (e) => failed(ui, e));
  put(ui, then);
}

/** part shows the address of a side, or its settings. */
function part(ui, side, then) {
  open(ui, side);
  const lost = draft.sides[side] && !signsIn(draft.sides[side]);
  if (lost && state.email && !state.grant) Object.assign(state, { step: 1, lost: true, opened: state.email });
  state.step = state.step === 2 && state.settings && state.email ? 2 : 1;
  const to = (step, after) => {
    state.step = step;
    saveSide();
    ui.shown?.leave?.();
    ui.shown = step === 1 ? first(to) : second(to);
    put(ui, after || (step === 2 && settled() ? (s) => s.submit() : null));
  };
  ui.shown = state.step === 1 ? first(to) : second(to);
  put(ui, then);
}

function put(ui, then) {
  ui.el.replaceChildren(ui.shown.el);
  if (!ui.el.isConnected) return;
  scrollTo(0, 0);
  if (then) then(ui.shown); else (ui.shown.begin || (() => ui.el.querySelector("h1").focus()))();
}

/** turn leads to a step; then is given what it shows. */
function turn(ui, step, then) {
  draft.step = step;
  if (step === 4 && draft.started) forgetAll(ui); else save();
  show(ui, then);
}

/** forgetAll drops what was typed, but for what is shown of the copy that was started. */
function forgetAll(ui) {
  const { started } = draft;
  forget();
  Object.assign(draft, { started, step: 4 });
  for (const side of ["source", "target"]) { take(ui.ways[side]); forgetSide(); }
}

/** failed leads to where it can be mended that a plan or a copy was refused: to a side, else it returns what to show
 * where we are. */
function failed(ui, e) {
  if (e.status === 401) return null;
  const wrong = (e.body?.errors || []).map((x) => x.field.match(/^(source|target)\./)?.[1]).filter(Boolean);
  const side = e.code === "connection_test_failed" || wrong.length ? e.body.side || wrong[0] : null;
  if (!side) return refusal(e);
  if (side === "target" && draft.into === "own") {
    const d = e.body.diagnosis;
    return d ? notice("bad", d.title, h("p", null, d.advice)) : refusal(e);
  }
  draft.asking = side === "target";
  if (wrong.length) e.body.errors = e.body.errors.map((x) => ({ ...x, field: ofAccount(x.field) }));
  take(ui.ways[side]);
  state.step = 2;
  turn(ui, side === "source" ? 1 : 2, (s) => (s.problem ? s.problem(e) : s.begin()));
  return null;
}

/** ofAccount is a field of a side by the name that it has in an account. */
const ofAccount = (name) => name.replace(/^(source|target)\./, "").replace(/^grant$/, "oauth_grant");

/** refusal says why a copy cannot be planned or started, where no field is to be mended. */
export function refusal(e) {
  const { copy: there, errors } = e.body || {};
  return notice("bad", t("error.title"), h("p", null, explain(e, true)),
    errors?.length > 0 && h("ul", null, errors.map((x) => h("li", null, h("span", { class: "mono" }, x.field), ": ",
      x.detail))),
    there && h("p", null,
      t("copies.exists.since", { when: full(there.since), state: t("copies.short." + there.state) })),
    there && h("p", null, h("a", { href: "/copies/" + there.id }, t("copies.exists.open"))));
}
