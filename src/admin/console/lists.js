// The state of user lists, held switches and registrations.

import { get } from "./api.js";
import { byId, coinCell, count, duration, el, shown, timeOf } from "./dom.js";

const SHOWN_HELD = 8;

// Shows a status; reads the held switches if there are any.
export async function showLists(status) {
  const { lists, registrations, switches_held: held } = status;
  byId("lists").hidden = !lists && !registrations && held === 0;
  byId("list-table").hidden = !lists;
  byId("list-rows").replaceChildren(...(lists ?? []).map(listRow));
  showRegistrations(registrations);
  await showHeld(held);
}

function listRow(list) {
  const { sub_accounts: size, largest_puid: puid, skipped, last_skipped: last, next_in_seconds: next } = list;
  const refused = el("td", { class: "number", "data-label": "refused entries" }, count(skipped));
  if (last) refused.append(el("span", { class: "cause" }, "last: ", shown(last.name, "name"), ", ", shown(last.cause)));
  const due = next === null ? "–" : next === 0 ? "now" : `in ${duration(next)}`;
  return el("tr", {}, el("th", { scope: "row" }, shown(list.coin, "coin")), el("td", { class: "number", "data-label": "sub-accounts" }, count(size)),
    el("td", { class: "number", "data-label": "largest puid" }, size === 0 ? "–" : String(puid)), lastPull(list),
    el("td", { class: "time", "data-label": "next pull" }, due), refused);
}

const PULLS = { complete: ["done", "✓"], incomplete: ["unknown", "?"], failed: ["refused", "✕"] };

function lastPull({ last_outcome: outcome, last_cause: cause, last_seconds_ago: ago, last_complete_seconds_ago: complete, is_served: served }) {
  if (outcome === null) return el("td", { class: "none", "data-label": "last pull" }, "none yet; the list is not served");
  const [kind, mark] = PULLS[outcome];
  const cell = el("td", { class: `result ${kind}`, "data-label": "last pull" }, el("span", { class: "mark", "aria-hidden": "true" }, `${mark} `), `${outcome} ${duration(ago)} ago`);
  if (cause) cell.append(el("span", { class: "cause" }, shown(cause)));
  if (outcome !== "complete" && complete !== null) cell.append(el("span", { class: "cause" }, `complete ${duration(complete)} ago`));
  if (!served) cell.append(el("span", { class: "cause" }, "The list is not served before its first complete pull."));
  return cell;
}

async function showHeld(held) {
  byId("held-part").hidden = held === 0;
  if (held === 0) return;
  let answer;
  try {
    answer = await get("held-switches");
  } catch (error) {
    byId("held-state").textContent = `${count(held)}; not listed: ${error.message}`;
    return;
  }
  const { known, is_carrier: isCarrier, switches } = answer;
  const carrier = isCarrier ? "this daemon writes them when they are due" : "another daemon writes them, or none";
  byId("held-state").textContent = `${count(known)} in all; ${carrier}`;
  byId("held-rows").replaceChildren(...switches.slice(0, SHOWN_HELD).map(heldRow));
  const more = known - Math.min(switches.length, SHOWN_HELD);
  byId("held-more").textContent = more > 0 ? `and ${count(more)} more` : "";
}

function heldRow({ sub_account: name, coin, due, overdue_seconds: overdue }) {
  const time = el("td", {}, due ? timeOf(due) : "not read yet");
  if (overdue > 5) time.append(el("span", { class: "overdue" }, ` ▲ overdue by ${duration(overdue)}`));
  return el("tr", {}, el("th", { scope: "row" }, shown(name, "name")), el("td", {}, coinCell(coin)), time);
}

function showRegistrations(registrations) {
  byId("registrations").hidden = !registrations;
  if (!registrations) return;
  const { under_way: waiting, waiting: oldest, last, ended } = registrations;
  const { registered, ...others } = ended;
  const failed = Object.values(others).reduce((sum, number) => sum + number, 0);
  byId("registrations-state").textContent = `${count(waiting)} waiting; since the start ${count(registered)} registered, ${count(failed)} not`;
  byId("registration-rows").replaceChildren(...oldest.map(waitingRow), ...last.map(endedRow));
  byId("registration-table").hidden = oldest.length + last.length === 0;
}

function waitingRow({ sub_account: name, seconds }) {
  return el("tr", {}, el("td", { class: "time" }, "waiting"), el("th", { scope: "row" }, shown(name, "name")), el("td", {}, `for ${duration(seconds)}`));
}

function endedRow({ time, sub_account: name, outcome, cause, seconds }) {
  const isGood = outcome === "registered" && !cause;
  const cell = el("td", { class: `result ${isGood ? "done" : "refused"}` },
    el("span", { class: "mark", "aria-hidden": "true" }, isGood ? "✓ " : "✕ "), `${outcome.replaceAll("_", " ")} after ${seconds.toFixed(1)} s`);
  if (cause) cell.append(el("span", { class: "cause" }, shown(cause)));
  return el("tr", {}, el("td", { class: "time" }, timeOf(time)), el("th", { scope: "row" }, shown(name, "name")), cell);
}
