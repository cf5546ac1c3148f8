// What was typed while a mailbox is named, to be added as an account or copied, and the settings that were looked up
// for it. It is kept while the page is open, and (without the password) in this tab's storage, in case the user has to
// sign in again or reloads the page.

import { get, query } from "./api.js";
import { h, icon, notice } from "./dom.js";
import { isAddress } from "./form.js";
import { t } from "./i18n.js";
import { startedAnew, user } from "./page.js";
import { arrived } from "./signin.js";

const fresh = () => ({
  step: 1, email: "", password: "", grant: null, confirmed: false, values: {}, touched: {}, domain: "",
  chosen: "", meant: "", opened: "",
});

/** state is what was typed for the present way; it belongs to state.user. */
export const state = fresh();

/** way is what the mailbox is named for: an account (wizardaccount.js), or a side of a copy (copysides.js). It has
 *
 * - kind, the name of what was typed for it; path and side, the page where it is asked for; head(step), what stands
 *   above;
 * - email, safe and locked, the keys of its address, and of what is said of passwords, and of a provider that accepts
 *   none; forwards, whether to tell then how mail is forwarded;
 * - protocols, those that may be chosen, and protocol, the key of what they are chosen for; finish and tested, the keys
 *   of the last button and of a test that went well; anyway, whether what failed its test may be saved; back, if there
 *   is a page before;
 * - optionally defaults(v, found), fields(ui), listen(ui), wrong(v) and body(v, b), which make, mind, check and send
 *   fields of its own;
 * - done(b, result, failed), which takes the settings b, as the API has those of an account, after the test. */
export let way = null;

const laid = new Map(); // By kind, what was typed for other ways.

/** take continues with what was typed for a way. */
export function take(next) {
  if (way && way.kind !== next.kind) {
    laid.set(way.kind, { ...state });
    replace(laid.get(next.kind) || fresh());
  }
  way = next;
}

const store = () => "mailbrook.wizard" + (way.kind === "account" ? "" : "." + way.kind);

function replace(values) {
  for (const name of Object.keys(state)) delete state[name];
  Object.assign(state, values);
}

/** save keeps the state for a reload of the page. */
export function save() {
  const rest = { ...state, user: user(), password: "" };
  try { sessionStorage.setItem(store(), JSON.stringify(rest)); } catch { /* There is none. */ }
}

/** restore takes up what this user typed before; someone who starts again starts with an empty form. */
export function restore() {
  if (startedAnew()) forget();
  if (state.user && state.user !== user()) replace(fresh());
  if (!state.email) {
    try {
      const kept = JSON.parse(sessionStorage.getItem(store()) || "null");
      if (kept && kept.user === user()) replace({ ...fresh(), ...kept, password: "", step: kept.step });
    } catch { /* There is none, or it is not ours. */ }
  }
  state.user = user();
}

/** forget drops all that was typed. */
export function forget() {
  replace(fresh());
  try { sessionStorage.removeItem(store()); } catch { /* There is none. */ }
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

/** comeBack continues where the user left for the provider's page, and says whether they come from there. */
export async function comeBack() {
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

/** stepper shows which of some steps is the present one; key is of its texts. */
export function stepper(key, steps, n) {
  return h("ol", { class: "stepper" }, steps.map((i) =>
    h("li", { class: i < n ? "past" : i === n ? "now" : "", "aria-current": i === n ? "step" : undefined },
      h("span", { class: "num", "aria-hidden": "true" }, i < n ? icon("check") : String(i)),
      h("span", { class: "unseen" }, t(key, { n: i }) + ": "), t(key + i))));
}
