// What was typed while an account is added, and the settings that were looked up for it. It is kept while the page is
// open, and (without the password) in this tab's storage, in case the user has to sign in again or reloads the page.

import { get, query } from "./api.js";
import { h, icon } from "./dom.js";
import { t } from "./i18n.js";
import { startedAnew, user } from "./page.js";

const store = "mailbrook.wizard";
const fresh = () => ({
  step: 1, email: "", password: "", grant: null, confirmed: false, values: {}, touched: {}, domain: "",
  chosen: "", meant: "", opened: "",
});

/** state is what was typed; it belongs to state.user. */
export const state = fresh();

function replace(values) {
  for (const name of Object.keys(state)) delete state[name];
  Object.assign(state, values);
}

/** save keeps the state for a reload of the page. */
export function save() {
  const rest = { ...state, user: user(), password: "" };
  try { sessionStorage.setItem(store, JSON.stringify(rest)); } catch { /* There is none. */ }
}

/** restore takes up what this user typed before; someone who starts again starts with an empty form. */
export function restore() {
  if (startedAnew()) forget();
  if (state.user && state.user !== user()) replace(fresh());
  if (!state.email) {
    try {
      const kept = JSON.parse(sessionStorage.getItem(store) || "null");
      if (kept && kept.user === user()) replace({ ...fresh(), ...kept, password: "", step: kept.step });
    } catch { /* There is none, or it is not ours. */ }
  }
  state.user = user();
}

/** forget drops all that was typed. */
export function forget() {
  replace(fresh());
  try { sessionStorage.removeItem(store); } catch { /* There is none. */ }
}

/** unchoose forgets the provider that was chosen by name, and all that followed from it: a choice is for the address
 * at hand, and whoever comes back to the page chooses again. */
export function unchoose() {
  if (!state.chosen || state.step === 2) return;
  state.chosen = state.asked = state.opened = "";
  state.settings = null;
}

let providers = null;
let presets = ""; // The language in which they were loaded.

/** loadProviders gets the providers' texts in the page's language, unless they are here. */
export async function loadProviders() {
  const language = document.documentElement.lang;
  if (providers && presets === language) return;
  ({ providers } = await get("/v1/providers"));
  presets = language;
}

/** providerOf is the provider whose settings these are, if it is a known one. */
export const providerOf = (settings) => providers.find((p) => p.id === settings?.provider && p.id !== "other");

/** lookUp gets the settings for an address, unless they are known. */
export async function lookUp(address, signal) {
  if (state.settings && state.asked === address) return state.settings;
  const domain = address.split("@")[1].toLowerCase();
  if (domain !== state.domain) { state.values = { sender_name: state.values.sender_name }; state.touched = {}; }
  state.domain = domain;
  state.refused = false;
  state.settings = byName(await get("/v1/autoconfig" + query({ email: address }), signal), address);
  state.asked = address;
  return state.settings;
}

/** byName takes the settings of the provider that was chosen by name, where nothing is known of the address. */
function byName(found, address) {
  const p = providers.find((x) => x.id === state.chosen && x.id !== "other");
  if (!p || !["guess", "none"].includes(found.source)) return found;
  return { ...found, source: "chosen", provider: p.id, protocols: p.protocols, username: address };
}

/** fits says whether what the user allowed on a provider's page is for these settings. */
export const fits = (found) => Boolean(
  state.grant && providerOf(found) && state.grant.presets.includes(providerOf(found).id));

/** appOnly says that a provider takes an app password, and not the one of its own pages. */
export const appOnly = (p) => Boolean(p?.auth.includes("app_password") && !p.auth.includes("password"));

/** head is what stands above step n. */
export function head(n) {
  return h("header", { class: "wizard-head" },
    h("p", { class: "crumb" }, h("a", { href: "/" }, icon("back"), t("back.list"))),
    h("h1", { tabindex: "-1" }, t("wizard.title")),
    h("ol", { class: "stepper" }, [1, 2].map((i) =>
      h("li", { class: i < n ? "past" : i === n ? "now" : "", "aria-current": i === n ? "step" : undefined },
        h("span", { class: "num", "aria-hidden": "true" }, i < n ? icon("check") : String(i)),
        h("span", { class: "unseen" }, t("wizard.step", { n: i }) + ": "), t("wizard.step" + i)))),
    h("p", { class: "hint" }, t("wizard.into", { user: user() })));
}
