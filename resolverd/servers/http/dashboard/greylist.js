// The greylist: who waits, who has passed, by organisation or network.

import { call, every, get, link, part } from "./api.js";
import { ask, badge, choice, field, h, link as anchor, table } from "./dom.js";
import { act, fill, locked, toSearch } from "./parts.js";
import { number, plural, time } from "./words.js";

export const title = () => "Greylist";

const PAGE = 500;
const SHOWN = 100;
const KINDS = { waiting: ["wait", "waiting"], passed: ["good", "passed"], counting: ["off", "counting"], allowed: ["pass", "lets through"] };

export function show(root) {
  const figures = h("div", {});
  root.append(figures);
  const end = every(15, () => fill(figures, census()));
  if (!link.rights) {
    root.append(locked("The greylist"));
    return end;
  }
  const wanted = { state: "waiting", client_address: "", sender: "", recipient: "" };
  const body = h("div", {});
  const draw = () => fill(body, records(wanted, draw));
  const text = (name, label, hint) => field(label, h("input", { name, id: `greylist-${name}`, placeholder: hint, maxlength: 320, spellcheck: "false", autocapitalize: "none" }));
  const form = h("form", { class: "filters", "aria-label": "Filters of the greylist", onsubmit: (event) => {
    event.preventDefault();
    Object.assign(wanted, Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()])));
    draw();
  } },
  field("State", choice("state", [["waiting", "waiting"], ["passed", "passed"], ["learnt", "learnt: clients, senders"], ["", "all"]], "waiting", { id: "greylist-state", onchange: () => form.requestSubmit() })),
  text("client_address", "Client", "its address"), text("sender", "Sender", "its address"), text("recipient", "Recipient", "its address"),
  h("div", { class: "buttons" }, h("button", { type: "submit" }, "Show")));
  root.append(h("section", { class: "card" }, form, body));
  draw();
  return end;
}

async function census() {
  const { greylist } = await get("/v1/status");
  if (!greylist) return h("p", { class: "note bad" }, "The store cannot be read: nobody is greylisted meanwhile.");
  const atLeast = greylist.complete ? "" : "≥ ";
  const tile = (name, value, more) => h("div", { class: "tile" }, h("h2", {}, name), h("p", { class: "value" }, value), h("p", { class: "more" }, more));
  return h("div", { class: "tiles" },
    tile("Waiting", atLeast + number(greylist.waiting), "told to come again, and not back yet"),
    tile("Passed", atLeast + number(greylist.passed), "came again, as mail servers do"),
    tile("Greylisting", greylist.enabled ? "on" : "off", "greylist.enabled in the configuration"));
}

/** The records of some pages, those of one mail in one: it is remembered under its organisation and its network. */
async function mails({ client_address: client, sender, recipient }) {
  const records = [];
  let start = "";
  let [cut, partial] = [false, false];
  do {
    const page = await get("/v1/greylist", { client_address: client, sender, recipient, limit: PAGE, start });
    records.push(...page.records);
    start = page.next;
    partial ||= page.partial;
    cut = Boolean(start) && records.length >= 4 * PAGE;
  } while (start && !cut);
  const found = new Map();
  for (const each of records) {
    const key = each.kind === "triplet" && each.sender !== null ? `${each.sender}\n${each.recipient}` : `${each.kind}\n${each.origin}\n${each.sender}`;
    const known = found.get(key) ?? [];
    const same = each.kind === "triplet" ? known.find((mail) => mail.first === each.first && mail.state === each.state) : undefined;
    if (same) same.origins.push(each.origin);
    else found.set(key, [...known, { ...each, origins: [each.origin] }]);
  }
  return { mails: [...found.values()].flat(), cut, partial };
}

const isAddress = (text) => /^[0-9.]+$/.test(text) || text.includes(":");
/** Whose it is: the organisation where it is known, else the network. */
const owner = (mail) => mail.origins.find((each) => !isAddress(each)) ?? mail.origins[0];

/** What is remembered of a client or a sender, for other views. */
export async function remembered(wanted, again) {
  return records({ state: "", client_address: "", sender: "", recipient: "", ...wanted }, again);
}

async function records(wanted, again) {
  const { mails: all, cut, partial } = await mails(wanted);
  const note = partial && h("p", { class: "note" }, "Only what this host has met: the store that hosts share is out of reach.");
  const meant = all.filter((each) => {
    if (wanted.state === "learnt") return each.kind !== "triplet";
    return !wanted.state || each.state === wanted.state;
  }).sort((one, other) => other.last - one.last);
  const organisations = new Map();
  for (const mail of meant.slice(0, SHOWN)) organisations.set(owner(mail), [...(organisations.get(owner(mail)) ?? []), mail]);
  if (!meant.length) return [note, h("p", { class: "none" }, { waiting: "Nobody waits.", passed: "Nobody has passed yet." }[wanted.state] ?? "Nothing is remembered.")];
  return [
    note,
    [...organisations].map(([name, some]) => h("section", { class: "group" },
      h("h2", {}, anchor(toSearch(name), name), h("span", { class: "muted" }, ` ${isAddress(name) ? "and its network" : "organisation"} · ${plural(some.length, "record")}`)),
      table(`Greylist of ${name}`, COLUMNS, some.map((mail) => row(mail, again))))),
    (meant.length > SHOWN || cut) && h("p", { class: "muted" }, `The latest ${SHOWN} are shown${cut ? ", of the first some thousand" : ` of ${number(meant.length)}`}: narrow it down by client, sender or recipient.`),
  ];
}

const COLUMNS = [["State", ""], ["From → to", "wider"], ["First try", "when"], ["Last", "when"], ["Kept until", "when"], ["", "actions"]];

function row(mail, again) {
  const [kind, word] = KINDS[mail.state];
  const about = mail.kind === "client" ? "any mail of this client" : mail.kind === "sender" ? `mail of ${mail.sender}` : mail.sender === null ? "an address too long to be kept" : [mail.sender || "<>", h("small", {}, `→ ${mail.recipient}`)];
  return [badge(kind, mail.passes === null ? word : `${word}, ${mail.passes} passed`), about, time(mail.first), time(mail.last), time(mail.expires), buttons(mail, again)];
}

function buttons(mail, again) {
  const address = mail.origins.find(isAddress);
  const given = mail.kind === "triplet" ? { sender: mail.sender || "<>", recipient: mail.recipient } : {};
  const named = `${owner(mail)}-${mail.sender ?? ""}-${mail.recipient ?? ""}`.replace(/\s/g, "");
  const mailKnown = mail.kind === "triplet" && mail.sender !== null;
  return h("div", { class: "buttons" },
    mail.state === "waiting" && mailKnown && h("button", { type: "button", id: `release-${named}`, onclick: async () => {
      if (await act(() => Promise.all(mail.origins.map((origin) => call("PUT", "/v1/greylist", { origin, sender: mail.sender || "<>", recipient: mail.recipient }))), "Released: it is let in at its next try.")) again();
    } }, "Release"),
    (mailKnown || (mail.kind === "client" && address)) && h("button", { type: "button", id: `forget-${named}`, onclick: async () => {
      const what = mailKnown ? `mail from ${mail.sender || "<>"} to ${mail.recipient}` : `${mail.origin} and all mail of its network`;
      if ((await ask("Forget?", `resolverd will not remember ${what}: the next try waits anew.`, "Forget", [], true)) === null) return;
      const path = mailKnown ? "/v1/greylist" : `/v1/greylist/${part(address)}`;
      if (await act(() => forget(path, given), (answer) => `${plural(answer.forgotten, "record")} forgotten.`)) again();
    } }, "Forget"));
}

/** Forget what is meant: of many records some are forgotten at a time. */
async function forget(path, given) {
  let [forgotten, start] = [0, ""];
  while (start !== null) {
    const answer = await call("DELETE", path, start ? { ...given, start } : given);
    forgotten += answer.forgotten;
    start = answer.next;
  }
  return { forgotten };
}

/** Let one mail of a client in at its next try. */
export const release = (address, sender, recipient) =>
  call("PUT", `/v1/greylist/${part(address)}?${new URLSearchParams({ sender: sender || "<>", recipient })}`);
