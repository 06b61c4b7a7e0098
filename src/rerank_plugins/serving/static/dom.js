// The only way in which this page makes elements: texts become text nodes, never markup.

/** Return an element. Members of `attributes` that are functions listen to the event of that name. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((one) => one !== null && one !== undefined && one !== ""));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Return the text of `[start, end)` in code points, as the server counts; JavaScript counts UTF-16 units. */
export class Points {
  constructor(text) {
    this.text = text;
    this.points = /[\ud800-\udfff]/.test(text) ? Array.from(text) : null;
    this.length = this.points ? this.points.length : text.length;
  }

  slice(start, end = this.length) {
    return this.points ? this.points.slice(start, end).join("") : this.text.slice(start, end);
  }
}
