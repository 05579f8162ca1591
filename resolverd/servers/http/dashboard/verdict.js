// One verdict with its whole evidence.

import { get, link } from "./api.js";
import { badge, card, h, link as anchor, table } from "./dom.js";
import { act, fill, locked, override, toSearch } from "./parts.js";
import { release } from "./greylist.js";
import { action, code, duration, milliseconds, number, time } from "./words.js";

export const title = (id) => `Verdict ${id}`;

export function show(root, id) {
  if (!link.rights) {
    root.append(locked("A verdict"));
    return null;
  }
  fill(root, drawn(id));
  return null;
}

async function drawn(id) {
  const verdict = await get(`/v1/verdict/${encodeURIComponent(id)}`);
  const { attempt, findings, greylist, otherwise } = verdict;
  const counted = findings.filter((each) => each.consequence || each.score);
  const others = findings.filter((each) => !counted.includes(each));
  return [
    h("section", { class: "card verdict-head" },
      h("p", { class: "outcome" }, action(verdict.action), " ", h("strong", {}, verdict.reason || "nothing against it")),
      h("dl", { class: "facts" },
        fact("When", time(verdict.at, true)),
        verdict.host && fact("By", verdict.host),
        attempt && [
          fact("Client", attempt.client_address ? anchor(toSearch(attempt.client_address), attempt.client_address) : "unknown",
            h("small", {}, [attempt.client_name, attempt.reverse_client_name].filter((name, at, all) => name && name !== "unknown" && all.indexOf(name) === at).join(", ") || "no verified name")),
          fact("HELO", attempt.helo_name || "none"),
          fact("Sender", attempt.sender ? anchor(toSearch(attempt.sender), attempt.sender) : attempt.sender === "" ? "<> (null sender)" : "not given yet"),
          fact("Recipient", attempt.recipient ? anchor(toSearch(attempt.recipient), attempt.recipient) : "not given yet"),
        ],
        fact("Score", `${number(verdict.score)} points`),
        fact("Took", milliseconds(verdict.ms), verdict.partial && h("small", { class: "error" }, "not everything was known in time")),
        fact("Reference", h("code", {}, verdict.id)),
        long("SMTP reply", verdict.reply ? h("code", {}, verdict.reply) : "none: the mail goes on"),
        verdict.header && long("Header", h("code", {}, verdict.header))),
      actions(verdict)),
    card("What speaks for or against it", table("Findings that count", COLUMNS, counted.map(row), "No check had anything to say.")),
    greylist && card("Greylisting", h("p", {}, `${greylist.state}: ${greylist.reason}`, greylist.missing ? `; ${duration(greylist.missing)} were still missing` : "", greylist.delayed ? `; delayed ${duration(greylist.delayed)}` : "")),
    otherwise.length > 0 && card("What would have changed it", h("ul", {}, otherwise.map((each) => h("li", {}, each.text)))),
    card(`The other checks (${others.length})`, table("Other findings", COLUMNS, others.map(row), "No other check ran.")),
  ];
}

const fact = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
const long = (name, ...value) => h("div", { class: "long" }, h("dt", {}, name), h("dd", {}, value));

const COLUMNS = [["Check", ""], ["Finding", "wider"], ["Points", "figure"], ["Asked → answered", "wider code"], ["Took", "figure"]];
const CONSEQUENCES = { reject: ["bad", "rejects"], defer: ["warn", "defers"], greylist: ["wait", "greylists"], score: ["warn", "counts"], tag: ["off", "tags"], warn: ["off", "warns"], accept: ["good", "accepts"] };

function row(each) {
  const [kind, word] = CONSEQUENCES[each.consequence] ?? ["off", each.consequence];
  return [
    [h("strong", {}, each.check), h("small", { title: each.code }, code(each.code))],
    [each.consequence && h("div", {}, badge(kind, word)), each.link ? anchor(each.link, each.text) : each.text],
    number(each.score),
    each.evidence.map((one) => h("div", {}, one.asked, " → ", h("b", {}, one.answered), one.age !== null && h("small", {}, one.age ? `cached for ${duration(one.age)}` : "asked just then"))),
    milliseconds(each.ms),
  ];
}

function actions(verdict) {
  const { attempt } = verdict;
  if (!attempt) return null;
  const lasting = "30d";
  const allow = (subject, what, id) => h("button", { type: "button", id, class: "primary", onclick: () =>
    override({ kind: "allow", subject, lasting, reference: verdict.id, reason: `${verdict.action} ${verdict.id}`, fixed: true }) }, `Allow this ${what} for 30 days`);
  const deny = (subject, what, id) => h("button", { type: "button", id, onclick: () =>
    override({ kind: "deny", subject, lasting, reference: verdict.id, reason: `verdict ${verdict.id}`, fixed: true }) }, `Deny this ${what}`);
  const isGreylisted = verdict.action === "greylist" && attempt.client_address && attempt.sender !== null;
  return h("div", { class: "buttons" },
    isGreylisted && h("button", { type: "button", id: "release", class: "primary", onclick: () =>
      act(() => release(attempt.client_address, attempt.sender, attempt.recipient), "Released: it is let in at its next try.") }, "Release from greylisting"),
    attempt.sender && verdict.action !== "accept" && allow(attempt.sender, "sender", "allow-sender"),
    attempt.client_address && verdict.action !== "accept" && allow(attempt.client_address, "client", "allow-client"),
    attempt.sender && verdict.action === "accept" && deny(attempt.sender, "sender", "deny-sender"),
    attempt.client_address && verdict.action === "accept" && deny(attempt.client_address, "client", "deny-client"));
}
