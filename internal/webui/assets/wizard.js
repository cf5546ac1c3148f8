// Adding an account, in two steps: the address and how to sign in, then names, folder and server.

import { h, notice } from "./dom.js";
import * as live from "./events.js";
import { isAddress } from "./form.js";
import { t } from "./i18n.js";
import { arrived } from "./signin.js";
import { mount as first } from "./wizardaddress.js";
import { mount as second } from "./wizardsettings.js";
import { loadProviders, lookUp, restore, save, state, unchoose } from "./wizardstate.js";

let translated = false; // The page is shown in another language, not opened again.

export async function page() {
  restore();
  await Promise.all([loadProviders(), live.allowed() ? null : live.load()]);
  if (!await comeBack() && !translated) unchoose();
  translated = false;
  const el = h("div", { class: "page narrow" });
  const n = live.accounts().length, limit = live.allowed();
  if (n >= limit && !state.email) {
    el.append(h("h1", { tabindex: "-1" }, t("wizard.limit.title")),
      notice("info", null, h("p", null, t("wizard.limit.text", { n, limit }))),
      h("p", null, h("a", { class: "button primary", href: "/" }, t("back.list"))));
    return { el, title: t("wizard.title") };
  }
  let shown;
  const turnTo = (step, then) => {
    state.step = step;
    save();
    shown?.leave?.();
    shown = step === 1 ? first(turnTo) : second(turnTo);
    el.replaceChildren(shown.el);
    scrollTo(0, 0);
    if (then) then(shown); else shown.begin();
  };
  state.step = state.step === 2 && state.settings && state.email ? 2 : 1;
  shown = state.step === 1 ? first(turnTo) : second(turnTo);
  el.append(shown.el);
  return {
    el, title: t("wizard.title"),
    ready: () => { if (state.step === 1 || state.grant) shown.begin(); },
    leave: () => shown.leave?.(),
    keep: () => { shown.keep(); translated = true; },
  };
}

/** comeBack continues where the user left for the provider's page, and says whether they come from there. */
async function comeBack() {
  const asked = new URLSearchParams(location.search).get("email");
  if (asked && (!state.email || state.email === asked)) {
    state.email = state.opened = asked;
    history.replaceState(null, "", location.pathname + location.hash);
  }
  const grant = await arrived();
  if (!grant) return false;
  if (grant.gone) {
    state.step = 1;
    state.opened = state.email;
    state.grant = null;
    state.trouble = () => notice("warn", null, h("p", null, t("signin.gone")));
    return true;
  }
  state.email ||= grant.email || "";
  Object.assign(state, { grant, confirmed: false, password: "" });
  if (!isAddress(state.email)) return true;
  await lookUp(state.email);
  state.opened = state.email;
  state.step = 2;
  save();
  return true;
}
