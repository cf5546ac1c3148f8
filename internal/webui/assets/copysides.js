// The two mailboxes of a copy, named as an account's is (wizardaddress.js, wizardsettings.js).

import { h, icon } from "./dom.js";
import { t } from "./i18n.js";
import { draft, save, unplan } from "./copydraft.js";
import { forget, state, stepper } from "./wizardstate.js";

/** head is what stands above step n of the wizard. */
export function head(n, lead) {
  return h("header", { class: "wizard-head" },
    h("p", { class: "crumb" }, h("a", { href: "/copies" }, icon("back"), t("copies.title"))),
    h("h1", { tabindex: "-1" }, t("copies.new")), stepper("copies.step", [1, 2, 3, 4], n),
    lead && h("p", { class: "hint" }, lead));
}

/** sideOf is the way of naming one side of a copy, see way in wizardstate.js; next continues, back leads to the page
 * before. */
export const sideOf = (side, next, back) => ({
  kind: "copy." + side, path: "/copies/new", side, email: "copies." + side + ".email", safe: "copies.safe." + side,
  locked: "copies.locked." + side, forwards: false, protocols: side === "source" ? ["imap", "pop3"] : ["imap"],
  protocol: "copies.protocol", finish: "copies.check", tested: "copies.tested", anyway: false, back,
  head: () => head(side === "source" ? 1 : 2, t("copies." + side + ".lead")),
  done(b, result) {
    result.close?.();
    draft.sides[side] = asSide(b);
    unplan();
    save();
    next();
  },
});

/** asSide is a mailbox as copies have it, of the same as accounts have it. */
function asSide({ email, provider, protocol, server, username, password, oauth_grant: grant, confirm_address: same }) {
  const side = { email, provider, protocol, server, username };
  return grant ? { ...side, grant, confirm_address: same } : { ...side, password };
}

/** settled says whether the settings are known, so that nobody has to look at them first. */
export const settled = () => Boolean(state.settings?.protocols?.imap)
  && !["guess", "none"].includes(state.settings.source) && !state.refused;

export { forget as forgetSide };
