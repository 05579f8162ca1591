// What several views have in common: who may see it, lists of verdicts, overrides by hand.

import { Failure, call, get, link } from "./api.js";
import { ask, choice, field, h, link as anchor, replace, say, table } from "./dom.js";
import { action, code, time } from "./words.js";

/** What to do where something needs the token; null for who has it. */
export function locked(what) {
  if (link.rights) return null;
  return h("div", { class: "note locked" }, h("p", {}, `${what} shows people's mail, or changes something: this needs the token.`),
    h("button", { type: "button", "data-sign-in": true }, "Sign in"));
}

/** Why something is not shown. */
export function failed(failure) {
  if (failure.status === 401 || failure.status === 403) {
    return h("div", { class: "note locked" }, h("p", {}, failure.message), h("button", { type: "button", "data-sign-in": true }, "Sign in"));
  }
  return h("p", { class: "note bad" }, failure.message);
}

const latest = new WeakMap();

/**
 * Fill an element by a promise's nodes, or by why there are none. While the daemon is away the old ones stay; what comes late
 * does not take the place of what was asked for after it.
 */
export async function fill(element, made) {
  latest.set(element, made);
  let nodes;
  try {
    nodes = await made;
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    if (!failure.status && element.childNodes.length) return;
    nodes = failed(failure);
  }
  if (latest.get(element) === made) replace(element, nodes);
}

/** Do something to the daemon, and say what came of it. Whether it was done. */
export async function act(work, done) {
  try {
    const answer = await work();
    say(typeof done === "function" ? done(answer) : done);
    return true;
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    say(failure.message, true);
    return false;
  }
}

/** Where the evidence for a verdict is shown. */
export const toVerdict = (id) => `#/verdict/${encodeURIComponent(id)}`;
/** Where everything known of something is shown. */
export const toSearch = (text) => `#/search/${encodeURIComponent(text)}`;

export const VERDICT_COLUMNS = [["Time", "when"], ["Verdict", "outcome"], ["Client", "wide"], ["From → to", "wide"], ["Reason", "wider"], ["", "ref"]];

/** The cells of a verdict of the history or of the feed. */
export function verdictRow(each) {
  const sender = each.sender === null || each.sender === undefined ? h("span", { class: "muted" }, "not kept") : each.sender === "" ? "<>" : anchor(toSearch(each.sender), each.sender);
  const name = each.client_name && each.client_name !== "unknown" ? each.client_name : each.helo_name ? `HELO ${each.helo_name}` : "";
  return { kind: `verdict ${each.action}`, cells: [
    [time(each.at, true), each.host && h("small", {}, each.host)],
    action(each.action),
    [each.client_address ? anchor(toSearch(each.client_address), each.client_address) : "", name && h("small", {}, name)],
    [sender, h("small", {}, `→ ${each.recipient || "unknown"}`)],
    [each.reason || (each.action === "accept" ? "nothing against it" : ""), each.codes.length > 0 && h("small", {}, each.codes.map(code).join(" · "))],
    h("a", { href: toVerdict(each.id), "aria-label": `Evidence for ${each.id}` }, "Evidence"),
  ] };
}

/** A page of the history, with what goes on. */
export function history(given, empty) {
  const root = h("div", {});
  const rows = [];
  const more = async (after) => {
    const page = await get("/v1/verdicts", { ...given, limit: 25, after });
    rows.push(...page.items.map(verdictRow));
    return [
      page.partial && h("p", { class: "note" }, "Without those of other hosts: the store that they share is out of reach."),
      table("Verdicts", VERDICT_COLUMNS, rows, page.next ? "None among the latest; there are older ones to look through." : empty),
      page.next && h("button", { type: "button", id: "history-more", onclick: () => fill(root, more(page.next)) }, "Older"),
    ];
  };
  fill(root, more(""));
  return root;
}

const LASTING = [["1d", "1 day"], ["7d", "7 days"], ["30d", "30 days"], ["365d", "a year"], ["", "no end"]];
const SCOPES = [["all", "everything"], ["lists", "what lists say"], ["greylist", "greylisting"], ["spf", "SPF"]];

/** Ask for an override and set it. Whether it was set. */
export async function override({ kind = "allow", subject = "", to = "", lasting = "30d", reason = "", reference = "", fixed = false }) {
  const what = choice("action", [["allow", "allow"], ["deny", "deny (554)"], ["later", "deny for now (450)"]], kind);
  const fields = [
    !fixed && field("Action", what),
    !fixed && field("Client, network, domain or sender", h("input", { name: "subject", required: true, value: subject, autofocus: true, maxlength: 320, spellcheck: "false", autocapitalize: "none" })),
    field("For", choice("lasting", LASTING, lasting)),
    field("Scope", choice("scope", SCOPES, "all"), "An allowance may reach only a part; a denial is of everything."),
    field("Only to this recipient or domain", h("input", { name: "to", value: to, maxlength: 320, spellcheck: "false", autocapitalize: "none" }), "Empty: to everybody."),
    field("Reason", h("input", { name: "reason", value: reason, maxlength: 200 }), "For those who read the list later. It is never sent to anybody."),
  ].filter(Boolean);
  const title = fixed ? `${kind === "allow" ? "Allow" : "Deny"} ${subject}` : "Add an override";
  const warning = fixed && kind === "allow" && subject.includes("@")
    ? "Mail that says it is from this address is no longer refused, whoever sends it: a sender address can be forged."
    : "";
  const given = await ask(title, warning, fixed ? (kind === "allow" ? "Allow" : "Deny") : "Add", fields);
  if (given === null) return false;
  const chosen = fixed ? kind : given.action;
  const named = fixed ? subject : given.subject.trim();
  const wanted = {
    action: chosen === "later" ? "deny" : chosen,
    temporary: chosen === "later" ? true : null,
    subject: named,
    scope: chosen === "allow" ? given.scope : null,
    to: given.to.trim(),
    for: given.lasting,
    reason: given.reason,
    from_id: reference,
  };
  const set = async (force) => call("PUT", "/v1/overrides", { ...wanted, force: force || null });
  try {
    await set(false);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    if (!failure.message.includes("force=true")) return say(failure.message, true) ?? false;
    const sure = await ask("Very wide", failure.message.replace(/;[^;]*force.*$/, "."), "Do it all the same", [], true);
    if (sure === null || !(await act(() => set(true), "Done."))) return false;
  }
  say(`${named}: ${chosen === "allow" ? "allowed" : "denied"}${given.lasting ? ` for ${LASTING.find(([value]) => value === given.lasting)[1]}` : ""}.`);
  return true;
}
