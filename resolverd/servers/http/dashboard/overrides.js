// Overrides: who is allowed and denied by hand.

import { call, every, get, link, part } from "./api.js";
import { ask, badge, h, link as anchor, table } from "./dom.js";
import { act, fill, locked, override, toSearch, toVerdict } from "./parts.js";
import { number, plural, time } from "./words.js";

export const title = () => "Overrides";

const COLUMNS = [["What", ""], ["Whom", "wide"], ["Reaches", ""], ["Until", "when"], ["Hits", "figure"], ["Why", "wide"], ["Set", "when"], ["", "actions"]];
const SCOPES = { all: "everything", lists: "lists", greylist: "greylisting", spf: "SPF" };

export function show(root) {
  if (!link.rights) {
    root.append(locked("Overrides"));
    return null;
  }
  const body = h("div", {});
  const draw = () => fill(body, drawAll(draw));
  root.append(
    h("div", { class: "heading" }, h("p", { class: "lead" }, "Your own word, before any list's. The most specific one counts."),
      h("button", { type: "button", class: "primary", id: "override-add", onclick: async () => { if (await override({})) draw(); } }, "Add an override")),
    h("section", { class: "card" }, body));
  return every(20, draw);
}

async function drawAll(again) {
  const { overrides } = await get("/v1/overrides");
  return overridesTable(overrides.toSorted((one, other) => other.since - one.since), again);
}

/** Overrides as a table. */
export function overridesTable(overrides, again, empty = "Nobody is allowed or denied by hand.") {
  return table("Overrides", COLUMNS, overrides.map((each) => row(each, again)), empty);
}

function row(each, again) {
  const word = each.action === "allow" ? "allowed" : each.temporary ? "denied for now" : "denied";
  const key = `forget-${each.action}-${each.subject}-${each.scope}-${each.to ?? ""}`;
  return { kind: each.overruled ? "off" : "", cells: [
    [badge(each.action === "allow" ? "good" : "bad", word), each.overruled && h("small", {}, "overruled by another one")],
    [anchor(toSearch(each.subject), each.subject), h("small", {}, each.kind)],
    [SCOPES[each.scope], h("small", {}, each.to ? `to ${each.to}` : "to everybody")],
    each.until === null ? "no end" : time(each.until),
    [number(each.hits), each.last !== null && h("small", {}, "last ", time(each.last))],
    [each.reason ?? "", each.from_id && h("small", {}, "from ", anchor(toVerdict(each.from_id), each.from_id))],
    [time(each.since), h("small", {}, `by ${each.owner}`)],
    h("div", { class: "buttons" }, h("button", { type: "button", id: key, onclick: async () => {
      if ((await ask("Take it back?", `${each.subject} is then judged as everybody is.`, "Take it back", [], true)) === null) return;
      const given = { action: each.action, scope: each.scope, to: each.to ?? "" };
      if (await act(() => forget(each.subject, given), (answer) => `${plural(answer.forgotten, "override")} taken back.`)) again();
    } }, "Take back")),
  ] };
}

function forget(subject, { action, scope, to }) {
  return call("DELETE", `/v1/overrides/${part(subject)}?${new URLSearchParams({ action, scope, to })}`);
}
