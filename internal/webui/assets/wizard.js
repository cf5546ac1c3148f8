// Adding an account, in two steps: the address and how to sign in, then names, folder and server.

import { h, notice } from "./dom.js";
import * as live from "./events.js";
import { t } from "./i18n.js";
import { go } from "./page.js";
import { back } from "./signin.js";
import { account } from "./wizardaccount.js";
import { mount as first } from "./wizardaddress.js";
import { mount as second } from "./wizardsettings.js";
import { comeBack, loadProviders, restore, save, state, take, unchoose } from "./wizardstate.js";

let translated = false; // The page is shown in another language, not opened again.

export async function page() {
  const to = back();
  if (to) { // The provider's page leads here, whichever page it was left for.
    go(to, null, true);
    return { el: h("div"), title: t("loading") };
  }
  take(account);
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
