// Searches in the history: a row for each request, with its changes on demand and its undo.

import { get } from "./api.js";
import { changeCells, kindOf, line, outcomeCell, whoCell } from "./changes.js";
import { busy, byId, coinCell, count, dateOf, el, showOutcome, shown } from "./dom.js";
import { undoRequest } from "./undo.js";
import { enable } from "./user.js";

const REQUESTS = 50;
const ENTRIES = 100;

const FILTERS = {
  sub_account: "history-name",
  coin: "history-coin",
  request: "history-request",
  actor: "history-actor",
  client: "history-client",
  source: "history-source",
  outcome: "history-outcome-is",
};

// The last search, for its next page.
let searched = undefined;

export function setUpHistory() {
  const section = byId("history");
  byId("history-form").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(section, async () => {
      clear();
      searched = { query: query() };
      await search();
    });
  });
  byId("history-older").addEventListener("click", () => busy(section, search));
}

// Shows the form, or a hint without a history.
export function historyState({ history }) {
  byId("history-off").hidden = Boolean(history);
  byId("history-form").hidden = !history;
}

function clear() {
  byId("history-outcome").replaceChildren();
  byId("history-detail").replaceChildren();
}

function query() {
  const parameters = new URLSearchParams({ limit: REQUESTS });
  for (const [name, id] of Object.entries(FILTERS)) {
    const value = name === "sub_account" ? byId(id).value : byId(id).value.trim();
    if (value !== "") parameters.set(name, value);
  }
  if (parameters.has("sub_account") && byId("history-prefix").checked) parameters.set("prefix", "true");
  for (const name of ["from", "to"]) {
    const { value } = byId(`history-${name}`);
    if (value !== "") parameters.set(name, new Date(value).toISOString());
  }
  return parameters;
}

// Shows the first requests of a search, or the next ones.
async function search() {
  const { query, next } = searched;
  const parameters = new URLSearchParams(query);
  if (next) parameters.set("cursor", next);
  let page;
  try {
    page = await get(`history/requests?${parameters}`);
  } catch (error) {
    showOutcome(byId("history-outcome"), "not_now", "Not searched", shown(error.message));
    return;
  }
  searched = { query, next: page.next };
  const rows = page.requests.flatMap(requestRows);
  if (next) byId("history-rows").append(...rows);
  else byId("history-rows").replaceChildren(...rows);
  byId("history-table").hidden = byId("history-rows").childElementCount === 0;
  byId("history-older").hidden = page.next === null;
  if (rows.length === 0 && !next && !byId("history-outcome").hasChildNodes()) {
    showOutcome(byId("history-outcome"), "info", "Nothing was found");
  }
}

// The row of a request, and the one below with its changes.
function requestRows(request) {
  const { time, request: id, kind, unknown, not_applied: failed, undone_by: undone } = request;
  const place = el("td", { colspan: "6" });
  const below = el("tr", { class: "entries", hidden: "" }, place);
  const show = el("button", { type: "button", "aria-expanded": "false" }, "Show");
  show.addEventListener("click", () => busy(byId("history"), () => toggle(show, below, place, id)));
  const actions = el("td", { class: "actions" }, show);
  if (["switch", "update"].includes(kind) && !undone) {
    const undo = el("button", { type: "button", class: "undo" }, "Undo…");
    undo.addEventListener("click", () => busy(byId("history"), () => takeBack(request)));
    enable(undo, kind === "update" ? "payout" : "switcher");
    actions.append(undo);
  }
  const state = unknown > 0 ? "unknown" : failed > 0 ? "refused" : "done";
  const row = el("tr", { class: state }, el("td", { class: "time" }, dateOf(time)), whoCell(request),
    el("td", { class: "mono" }, id), whatCell(request), countsCell(request), actions);
  return [row, below];
}

function whatCell({ kind, entries, created, new: coins, comment, undo_of: undid, undone_by: undone }) {
  const cell = el("td", { class: "what" });
  if (kind === "switch") {
    cell.append(`${count(entries)} ${entries === 1 ? "switch" : "switches"}`);
    const all = Object.entries(coins);
    if (all.length > 0) cell.append(" to ");
    all.forEach(([coin, number], index) => cell.append(index > 0 ? ", " : "", coinCell(coin), all.length > 1 ? ` ${count(number)}` : ""));
    if (created > 0) cell.append(line(`${count(created)} created`));
  } else {
    cell.append(kind === "update" ? "coinbase update" : kind);
  }
  if (comment) cell.append(line("“", shown(comment), "”"));
  if (undid) cell.append(line("undo of ", shown(undid, "mono")));
  if (undone) cell.append(line("undone by ", shown(undone, "mono")));
  return cell;
}

function countsCell({ applied, held = 0, not_applied: failed, unknown }) {
  const parts = [["✓", applied, "applied"], ["✓", held, "held"], ["✕", failed, "not applied"], ["?", unknown, "unknown"]];
  const shownParts = parts.filter(([, number]) => number > 0);
  return el("td", { class: "result" }, ...shownParts.map(([mark, number, word]) =>
    el("span", { class: "count" }, `${mark} ${count(number)} ${word}`)));
}

async function toggle(show, below, place, id) {
  if (!below.hidden) {
    below.hidden = true;
    show.textContent = "Show";
    show.setAttribute("aria-expanded", "false");
    return;
  }
  const rows = el("tbody");
  const more = el("button", { type: "button" }, "More");
  more.addEventListener("click", () => busy(byId("history"), () => addChanges(id, rows, more)));
  place.replaceChildren(el("table", { class: "part" }, rows), more);
  await addChanges(id, rows, more);
  below.hidden = false;
  show.textContent = "Hide";
  show.setAttribute("aria-expanded", "true");
}

// Adds the next changes of a request to its table.
async function addChanges(id, rows, more) {
  const parameters = new URLSearchParams({ request: id, order: "oldest", limit: ENTRIES });
  if (more.cursor) parameters.set("cursor", more.cursor);
  try {
    const { changes, next } = await get(`history?${parameters}`);
    rows.append(...changes.map(changeRow));
    more.cursor = next;
    more.hidden = next === null;
  } catch (error) {
    more.hidden = false;
    rows.append(el("tr", { class: "refused" }, el("td", { colspan: "3" }, "Not read: ", shown(error.message))));
  }
}

function changeRow(change) {
  const [what, values] = changeCells(change);
  return el("tr", { class: kindOf(change.outcome) }, el("td", { class: "what" }, ...what),
    el("td", { class: "values" }, ...values), outcomeCell(change));
}

async function takeBack(request) {
  clear();
  const { isSent } = await undoRequest(request, byId("history-outcome"), byId("history-detail"));
  if (!isSent) return;
  searched = { query: searched.query };
  await search();
}
