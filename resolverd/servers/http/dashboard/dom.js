// Elements. Whatever comes from outside (HELO names, senders, TXT records) becomes a text node or an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. Attributes named on… are listeners; false, null and undefined leave an attribute or a child out. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === false || child === null || child === undefined) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Give an element other children. What had the focus there has it again: by its id, else what stands at its place. */
export function replace(element, ...children) {
  const focused = document.activeElement !== element && element.contains(document.activeElement) ? document.activeElement : null;
  const places = focused && !focused.id ? placesOf(focused, element) : [];
  element.textContent = "";
  append(element, children);
  if (focused === null) return;
  const again = focused.id ? document.getElementById(focused.id) : places.reduce((found, place) => found?.children[place], element);
  if (again?.tagName === focused.tagName) again.focus({ preventScroll: true });
}

function placesOf(inner, outer) {
  const places = [];
  for (let at = inner; at !== outer; at = at.parentElement) places.unshift([...at.parentElement.children].indexOf(at));
  return places;
}

/** Only what http and https can reach is a link: an address that a list gives could be anything else. */
export function link(address, text = address) {
  const ours = /^(#|\/)/.test(address);
  if (!ours && !/^https?:\/\//i.test(address)) return String(text);
  return ours ? h("a", { href: address }, text) : h("a", { href: address, rel: "noreferrer", target: "_blank" }, text);
}

/** A table that becomes a card a row where the screen is narrow. `columns`: [title, class]; each row: cells, or {cells, id}. */
export function table(caption, columns, rows, empty = "Nothing.") {
  if (!rows.length) return h("p", { class: "none" }, empty);
  const head = columns.map(([title, kind]) =>
    h("th", { role: "columnheader", scope: "col", class: kind }, title || h("span", { class: "hidden" }, kind === "actions" ? "Actions" : "Evidence")));
  const body = rows.map((row) => tableRow(columns, row));
  return h("div", { class: "scroller" },
    h("table", { role: "table" },
      h("caption", { class: "hidden" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)),
      h("tbody", { role: "rowgroup" }, body)));
}

/** One row of such a table. */
export function tableRow(columns, row) {
  const { cells, kind } = Array.isArray(row) ? { cells: row } : row;
  return h("tr", { role: "row", class: kind }, cells.map((cell, number) =>
    h("td", { role: "cell", class: columns[number][1], "data-label": columns[number][0] }, h("div", { class: "cell" }, cell))));
}

/** A section with a heading. */
export function card(title, ...children) {
  return h("section", { class: "card" }, h("h2", {}, title), children);
}

const ICONS = {
  good: "M3 8.5 6.5 12 13 4.5",
  warn: "M8 2 1.6 13.4h12.8zM8 6.4v3.2M8 11.6v.1",
  bad: "M4 4l8 8M12 4l-8 8",
  wait: "M8 1.7a6.3 6.3 0 1 0 0 12.6A6.3 6.3 0 0 0 8 1.7M8 4.8V8l2.3 1.5",
  off: "M4 8h8",
  pass: "M3 8h9M9 4.5 12.5 8 9 11.5",
};

/** A word with an icon: what it says is said by shape, word and colour. `kind`: a key of ICONS. */
export function badge(kind, text) {
  const icon = svg("svg", { viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true" },
    svg("path", { d: ICONS[kind], fill: "none", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round", "stroke-linejoin": "round" }));
  return h("span", { class: `badge ${kind}` }, icon, text);
}

/** Say something in passing. */
export function say(text, failed = false) {
  const said = document.getElementById("said");
  said.classList.toggle("failed", failed);
  said.textContent = text;
  said.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { said.textContent = ""; }, failed ? 12000 : 6000);
}

/** Ask before something is done. Resolves to the form's values, or null. `fields`: elements to show in the form. */
export function ask(title, text, button, fields = [], dangerous = false) {
  return new Promise((resolve) => {
    const done = h("button", { type: "submit", value: "yes", id: "ask-yes", class: dangerous ? "danger" : "primary" }, button);
    const form = h("form", { method: "dialog" },
      h("h2", { id: "ask-title" }, title),
      text && h("p", {}, text),
      fields,
      h("div", { class: "buttons" }, h("button", { type: "button", id: "ask-no", onclick: () => dialog.close("") }, "Cancel"), done));
    const dialog = h("dialog", { "aria-labelledby": "ask-title" }, form);
    dialog.addEventListener("close", () => {
      const values = dialog.returnValue === "yes" ? Object.fromEntries(new FormData(form)) : null;
      dialog.remove();
      resolve(values);
    });
    document.body.append(dialog);
    dialog.showModal();
    (form.querySelector("[autofocus]") ?? done).focus();
  });
}

/** A field of a form with its label. */
export function field(label, control, hint = "") {
  const id = control.id || `field-${label.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  control.id = id;
  const told = hint ? h("small", { id: `${id}-hint` }, hint) : null;
  if (told) control.setAttribute("aria-describedby", told.id);
  return h("div", { class: "field" }, h("label", { for: id }, label), control, told);
}

/** What may be chosen for a text field, beside whatever else is typed. */
export function suggestions(id, values) {
  return h("datalist", { id }, values.map((value) => h("option", { value })));
}

/** A choice; `options`: [value, text]. */
export function choice(name, options, chosen = "", attributes = {}) {
  return h("select", { name, ...attributes }, options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
}
