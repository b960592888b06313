// The last changes, live from the stream. Whenever the stream opens, the page reads the list again: it then has the
// changes that came meanwhile, and starts a new list after a restart of the daemon.

import { at, get } from "./api.js";
import { byId, coinCell, count, el, shown, timeOf } from "./dom.js";

const KEPT = 200;
const RETRY_MS = 3000;

let changes = [];
// Events since the stream opened, until the list has been read; then undefined.
let early = undefined;
let stream = undefined;
let retry = undefined;
let isDue = false;

// Follows the changes while the page is visible: a browser has six connections for all its pages of one daemon.
export function followChanges() {
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  if (!document.hidden) open();
}

function state(text, kind) {
  byId("stream-state").textContent = text;
  byId("stream-state").className = `aside ${kind}`;
}

function close() {
  clearTimeout(retry);
  stream?.close();
  stream = undefined;
}

function open() {
  close();
  state("connecting…", "waiting");
  const mine = new EventSource(at("recent/stream"));
  stream = mine;
  mine.addEventListener("open", () => {
    early = [];
    readList(mine);
  });
  mine.addEventListener("error", () => {
    state("not connected: what follows may be old; trying again", "lost");
    close();
    retry = setTimeout(open, RETRY_MS);
  });
  mine.addEventListener("change", ({ data }) => add(JSON.parse(data)));
  mine.addEventListener("missed", ({ data }) => add(JSON.parse(data)));
}

async function readList(mine) {
  try {
    const { changes: read } = await get(`recent?limit=${KEPT}`);
    if (stream !== mine) return;
    const last = read.at(-1)?.number ?? 0;
    // Missed changes are older than the list.
    changes = read.concat(early.filter(({ number }) => number > last));
    early = undefined;
    state("live", "live");
    show();
  } catch (error) {
    if (stream !== mine) return;
    state(`the list cannot be read: ${error.message}; trying again`, "lost");
    close();
    retry = setTimeout(open, RETRY_MS);
  }
}

function add(change) {
  (early ?? changes).push(change);
  if (!early) show();
}

// Draws once per frame, since many changes may come at once.
function show() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    changes = changes.slice(-KEPT);
    const rows = byId("changes-rows");
    const old = new Map([...rows.children].map((row) => [row.change, row]));
    rows.replaceChildren(...changes.toReversed().map((change) => old.get(change) ?? rowOf(change)));
    byId("changes-none").hidden = changes.length > 0;
  });
}

function rowOf(change) {
  const row = change.missed === undefined ? changeRow(change) : missedRow(change);
  row.change = change;
  return row;
}

function missedRow({ missed }) {
  const text = `${count(missed)} changes came faster than this page could read them; the log has them`;
  return el("tr", { class: "missed" }, el("td", { colspan: "5" }, text));
}

function changeRow(change) {
  const time = timeOf(change.time);
  const [what, values] = changeCells(change);
  if (change.comment) what.push(line("“", shown(change.comment), "”"));
  return el(
    "tr",
    { class: kindOf(change.outcome) },
    el("td", { class: "time" }, time),
    whoCell(change),
    el("td", { class: "what" }, ...what),
    el("td", { class: "values" }, ...values),
    outcomeCell(change),
  );
}

// A line below another one, in a cell.
export const line = (...parts) => el("span", { class: "cause" }, ...parts);

// The user, the person for whom it acts, and where the request came from.
export function whoCell({ source, client, actor, on_behalf_of: person }) {
  const cell = el("td", { class: "who" });
  if (actor) cell.append(shown(actor, "name"));
  if (person) cell.append(line("for ", shown(person, "name")));
  cell.append(line(client ? `${source} ${client}` : source));
  return cell;
}

function switchCells({ sub_account: name, old, new: coin }) {
  return [[shown(name, "name")], [coinCell(old), arrow(), coinCell(coin)]];
}

function updateCells({ coin, sub_pool: name, old, new: now }) {
  const pair = (label, key) => {
    const before = old ? shown(old[key], "mono") : coinCell(undefined);
    const values = old?.[key] === now[key] ? [] : [before, arrow()];
    return el("div", { class: "pair" }, el("span", { class: "label" }, label), el("span", {}, ...values, shown(now[key], "mono")));
  };
  const what = [el("span", { class: "label" }, "sub-pool "), shown(coin, "coin"), " / ", shown(name, "name")];
  return [what, [pair("text", "coinbase_info"), pair("address", "payout_addr")]];
}

function registrationCells({ sub_account: name, puid, first_coin: coin }) {
  const number = puid === undefined ? [] : [el("span", { class: "label" }, "puid "), shown(String(puid), "mono")];
  const first = coin === undefined ? [] : [arrow(), coinCell(coin)];
  return [[el("span", { class: "label" }, "registration "), shown(name, "name")], [...number, ...first]];
}

function reloadCells({ keys }) {
  return [[el("span", { class: "label" }, "reload")], [shown(keys.join(", "))]];
}

const CELLS = { switch: switchCells, update: updateCells, registration: registrationCells, reload: reloadCells };

// The nodes of a change, and those of its values.
export const changeCells = (change) => CELLS[change.kind]?.(change) ?? [[change.kind], []];

const arrow = () => el("span", { class: "arrow", "aria-label": " to " }, " → ");

export function kindOf(outcome) {
  if (outcome.includes("unknown")) return "unknown";
  return ["applied", "carried out", "held", "read", "registered"].includes(outcome) ? "done" : "refused";
}

const MARKS = { done: "✓ ", unknown: "? ", refused: "✕ " };

export function outcomeCell({ outcome, cause, due, seconds, superseded_by: newer }) {
  const mark = el("span", { class: "mark", "aria-hidden": "true" }, MARKS[kindOf(outcome)]);
  const cell = el("td", { class: "result" }, mark, outcome.replaceAll("_", " "));
  if (due) cell.append(outcome === "held" ? " until " : ", due ", timeOf(due));
  if (seconds !== undefined) cell.append(` after ${seconds.toFixed(1)} s`);
  if (newer) cell.append(", then ", shown(newer, "coin"));
  if (cause) cell.append(el("span", { class: "cause" }, shown(cause)));
  return cell;
}
