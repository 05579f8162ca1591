// Everything that is known of an address, a network, a domain, a mail address; or a verdict by its reference.

import { get, link, part } from "./api.js";
import { badge, card, h, link as anchor, table } from "./dom.js";
import { fill, history, locked, override, toSearch, toVerdict } from "./parts.js";
import { remembered } from "./greylist.js";
import { overridesTable } from "./overrides.js";
import { duration, milliseconds, number, plural } from "./words.js";

export const title = (query) => `Search: ${query}`;

const REFERENCE = /^(?:ref\s+)?([A-Z2-9]{8,16})$/i;

/** The view for what was typed. */
export function address(query) {
  const found = REFERENCE.exec(query);
  return found ? toVerdict(found[1].toUpperCase()) : toSearch(query);
}

function kindOf(query) {
  if (query.includes("@")) return "mail";
  if (/^[0-9a-f:.]+\/\d+$/i.test(query)) return "network";
  if (/^\d+(\.\d+){3}$/.test(query) || (query.includes(":") && /^[0-9a-f:.%]+$/i.test(query))) return "address";
  return "domain";
}

export function show(root, query) {
  document.getElementById("query").value = query;
  const kind = kindOf(query);
  const said = h("div", { "aria-live": "polite" });
  const more = h("div", {});
  root.append(h("p", { class: "lead" }, { mail: "A mail address.", network: "A network.", address: "An IP address.", domain: "A domain." }[kind]), said, more);
  if (kind === "address" || kind === "domain") look(said, query, false);
  if (kind === "mail") {
    const domain = query.slice(query.lastIndexOf("@") + 1);
    if (domain) said.append(h("p", {}, "What lists say of its domain: ", anchor(toSearch(domain), domain)));
  }
  if (!link.rights) {
    more.append(locked(`The history of ${query}`));
    return null;
  }
  const overrides = h("div", {});
  const draw = () => fill(overrides, overridesOf(query, draw));
  draw();
  more.append(h("section", { class: "card" },
    h("div", { class: "heading" }, h("h2", {}, "Overrides"), h("div", { class: "buttons" },
      h("button", { type: "button", id: "allow-this", onclick: async () => { if (await override({ kind: "allow", subject: query, fixed: true })) draw(); } }, "Allow"),
      h("button", { type: "button", id: "deny-this", onclick: async () => { if (await override({ kind: "deny", subject: query, fixed: true })) draw(); } }, "Deny"))),
    overrides));
  if (kind === "address" || kind === "mail") {
    const records = h("div", {});
    const redraw = () => fill(records, remembered(kind === "mail" ? { sender: query } : { client_address: query }, redraw));
    redraw();
    more.append(card("Greylist", records));
  }
  const nothing = "No verdict in the last 7 days.";
  if (kind === "address" || kind === "network") more.append(card("Verdicts on this client", history({ client: query }, nothing)));
  else {
    more.append(card("Verdicts on mail from here", history({ sender: query }, nothing)));
    more.append(card("Verdicts on mail to here", history({ recipient: query }, nothing)));
  }
  return null;
}

async function overridesOf(query, again) {
  const { overrides } = await get(`/v1/overrides/${part(query)}`);
  return overridesTable(overrides, again, "None for exactly this.");
}

// -- what lists say -----------------------------------------------------------------------------------------------------------

function look(root, query, all) {
  const busy = h("p", { class: "note", id: "asking" }, all ? "Every list is asked that may be asked…" : "The lists in use are asked…");
  root.textContent = "";
  root.append(busy);
  return fill(root, (async () => {
    const answer = await get(`/v1/lookup/${part(query)}`, all ? { all: "true" } : {}, 90);
    return [
      said(answer, "What lists say", all ? null : h("button", { type: "button", id: "ask-all", onclick: () => look(root, query, true) }, "Ask every list of the catalogue")),
      answer.mail_servers.flatMap((server) => server.addresses.map((each) =>
        said(each, `Its mail server ${server.name}${server.preference === null ? "" : ` (MX ${server.preference})`}, ${each.subject}`, null))),
      answer.mail && h("p", { class: "note" }, `${answer.mail[0].toUpperCase()}${answer.mail.slice(1)}.`),
    ];
  })());
}

const RESULTS = { listed: ["bad", "listed"], clear: ["good", "not listed"], unknown: ["warn", "unknown"], skipped: ["off", "not asked"] };
const ORDER = Object.keys(RESULTS);

function said(answer, heading, button) {
  const lists = answer.lists.toSorted((one, other) => ORDER.indexOf(one.result) - ORDER.indexOf(other.result));
  const clear = lists.filter((each) => each.result === "clear" && each.purpose === "block").length;
  const summary = [
    answer.listed > 0 && badge("bad", `listed by ${answer.listed}`),
    clear > 0 && badge(answer.listed ? "off" : "good", `not listed by ${clear}`),
    answer.allowed > 0 && badge("good", `on ${plural(answer.allowed, "allow list")}`),
    answer.unknown > 0 && badge("warn", `${answer.unknown} gave no answer`),
  ];
  return h("section", { class: "card" }, h("div", { class: "heading" }, h("h2", {}, heading), button), h("p", { class: "summary" }, summary),
    table(heading, [["List", ""], ["Says", ""], ["Why", "wider"], ["Weight", "figure"], ["Took", "figure"]], lists.map(row), "No list that is in use lists such things."));
}

function row(each) {
  const isGood = each.result === "listed" && each.purpose === "allow";
  const [kind, word] = RESULTS[each.result] ?? ["off", each.result];
  const why = each.reason ?? [each.why, each.detail].filter(Boolean).join(": ");
  const from = each.age ? `cached for ${duration(each.age)}` : milliseconds(each.ms);
  return [
    [each.list, h("small", {}, each.purpose === "allow" ? "allow list" : "block list")],
    badge(isGood ? "good" : kind, word),
    [each.link ? anchor(each.link, why || each.link) : why, each.addresses?.length > 0 && h("small", {}, each.addresses.join(", "))],
    each.result === "listed" ? number(each.weight) : "",
    each.result === "skipped" || each.result === "unknown" ? "" : from,
  ];
}
