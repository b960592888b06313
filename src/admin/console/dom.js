// Safe display of foreign texts: never as HTML, and with invisible characters marked. Also the dialog that asks before a
// write, and the outcomes.

export const byId = (id) => document.getElementById(id);

// Creates an element with attributes and children (nodes or texts).
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Invisible characters, as ranges of code points: the same list as `INVISIBLE` in actors/src/domain, which the log and
// the command line use.
const INVISIBLE = `
  0-1f 7f-a0 ad-ad 34f-34f 600-605 61c-61c 6dd-6dd 70f-70f 890-891 8e2-8e2 115f-1160 1680-1680 17b4-17b5
  180b-180f 2000-200f 2028-202f 205f-206f 2800-2800 3000-3000 3164-3164 e000-f8ff fdd0-fdef fe00-fe0f
  feff-feff ffa0-ffa0 fff0-fffc fffe-ffff 110bd-110bd 110cd-110cd 13430-1343f 1bca0-1bca3 1d159-1d159
  1d173-1d17a e0000-e0fff f0000-10ffff
`;

const ranges = INVISIBLE.trim().replace(/[0-9a-f]+/g, "\\u{$&}").replace(/\s+/g, "");

// Invisible characters, lone surrogates, unassigned characters, blanks at the ends, and several blanks.
const ODD = new RegExp(`[${ranges}\\p{Cs}\\p{Cn}]|^ +| +$| {2,}`, "gu");

// A foreign text in its own element, so that its direction does not affect its neighbours.
export function shown(text, className = "text") {
  const element = el("bdi", { class: className });
  let end = 0;
  for (const { 0: odd, index } of text.matchAll(ODD)) {
    const code = `U+${odd.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    const mark = odd[0] === " " ? "␣".repeat(odd.length) : `⟨${code}⟩`;
    element.append(text.slice(end, index), el("span", { class: "odd" }, mark));
    end = index + odd.length;
  }
  element.append(text.slice(end));
  return element;
}

// Data of a znode: a coin, nothing, or unknown.
export function coinCell(coin) {
  if (coin === undefined) return el("span", { class: "none" }, "not known");
  if (coin === null) return el("span", { class: "none" }, "none");
  return shown(coin, "coin");
}

// A time of the daemon's, as the clock shows it here.
export function timeOf(text) {
  return el("time", { datetime: text, title: text }, new Date(text).toLocaleTimeString("en-GB"));
}

// The same with its day.
export function dateOf(text) {
  return el("time", { datetime: text, title: text }, new Date(text).toLocaleString("en-GB"));
}

const MARKS = { done: "✓", info: "i", refused: "✕", not_now: "✕", unknown: "?" };

// Shows an outcome in a live region for screen readers. An unknown outcome has its own look.
export function showOutcome(output, kind, title, ...details) {
  const mark = el("span", { class: "mark", "aria-hidden": "true" }, MARKS[kind]);
  const text = el("div", {}, el("strong", {}, ...[title].flat()));
  for (const detail of details) text.append(el("p", {}, ...[detail].flat()));
  const box = el("div", { class: `message ${kind}` }, mark, text);
  output.replaceChildren(box);
}

// The last question; the next one waits for its answer, so that each yes belongs to one question.
let asked = Promise.resolve();

// Asks; resolves to true for yes. With `careful`, No has the focus. Without `can`, yes is disabled at first.
export function confirmed(question) {
  const answer = asked.then(() => ask(question));
  asked = answer.catch(() => undefined);
  return answer;
}

async function ask({ title, body, yes, careful = false, can = true }) {
  const dialog = byId("confirm");
  byId("confirm-title").replaceChildren(...[title].flat());
  byId("confirm-body").replaceChildren(...body);
  byId("confirm-yes").textContent = yes;
  byId("confirm-yes").disabled = !can;
  dialog.returnValue = "";
  dialog.showModal();
  byId(careful || !can ? "confirm-no" : "confirm-yes").focus();
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  return dialog.returnValue === "yes";
}

// Keeps a form from being sent twice, and shows that it is busy.
export async function busy(section, work) {
  if (section.getAttribute("aria-busy") === "true") return;
  section.setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    section.removeAttribute("aria-busy");
  }
}

export const count = (number) => number.toLocaleString("en");

export function duration(seconds) {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}
