// Our own addresses: whether anybody lists them.

import { every, get } from "./api.js";
import { badge, h, link as anchor, table } from "./dom.js";
import { fill, toSearch } from "./parts.js";

export const title = () => "Own addresses";

export function show(root) {
  const body = h("div", {});
  root.append(h("p", { class: "lead" }, "Looked up in all lists in use, again and again. A listing raises an alert."), body);
  return every(30, () => fill(body, draw()));
}

async function draw() {
  const [{ own_addresses: own }, { lists }] = await Promise.all([get("/v1/status"), get("/v1/lists")]);
  const known = Object.fromEntries(lists.map((list) => [list.id, list]));
  const rows = Object.entries(own).map(([address, by]) => ({ kind: by.length ? "troubled" : "", cells: [
    anchor(toSearch(address), address),
    by.length ? badge("bad", `listed by ${by.length}`) : badge("good", "not listed"),
    by.map((id) => h("div", {}, known[id]?.link ? anchor(known[id].link, known[id].shown) : id)),
  ] }));
  const empty = h("div", { class: "none" }, "No address is watched. In config.toml:",
    h("pre", {}, '[watch]\naddresses = ["192.0.2.25", "2001:db8::25"]'));
  return h("section", { class: "card" }, rows.length ? table("Own addresses", [["Address", ""], ["State", ""], ["By", "wider"]], rows) : empty);
}
