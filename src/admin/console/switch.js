// One sub-account: look up its coin, switch it. A switch is a batch of one, whose answer distinguishes "not written" from
// "unknown".

import { batchOf, get, post, resultsOf } from "./api.js";
import { busy, byId, coinCell, confirmed, dateOf, el, showOutcome, shown, timeOf } from "./dom.js";

export function setUpSwitch() {
  const section = byId("switch");
  section.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(section, switchOne);
  });
  byId("switch-look").addEventListener("click", () => busy(section, lookUp));
}

async function read(name) {
  const { sub_account: account, ...rest } = await get(`sub-account?puname=${encodeURIComponent(name)}`);
  return { account, ...rest };
}

const heldSwitch = ({ coin, due }) => ["A switch to ", coinCell(coin), " is held until ", timeOf(due)];

// What is known of a sub-account besides its coin.
function details({ account, held, lists, index_entry: index, faults = [] }) {
  const all = held ? [[...heldSwitch(held), "."]] : [];
  for (const { coin, since, puids } of lists ?? []) {
    const numbers = puids.flatMap(({ puid, name }) => [", puid ", String(puid), ...(name === account ? [] : [" as ", shown(name, "name")])]);
    all.push(["In the list of ", coinCell(coin), ...numbers, ", since ", dateOf(since), "."]);
  }
  if (lists?.length === 0) all.push("It is in no list.");
  if (index) all.push(index.name === null ? "It has no index entry." : ["Index entry: ", shown(index.name, "name"), "."]);
  return all.concat(faults.map((fault) => ["Not read: ", shown(fault)]));
}

async function lookUp() {
  const [name, output] = [byId("switch-name").value, byId("switch-outcome")];
  output.replaceChildren();
  try {
    const found = await read(name);
    const { account, coin } = found;
    const mines = coin === null ? " has no znode: it was never switched" : [" mines ", coinCell(coin)];
    showOutcome(output, "info", [shown(account, "name"), ...[mines].flat()], ...details(found));
  } catch (error) {
    showOutcome(output, "not_now", ["Could not look up ", shown(name, "name")], shown(error.message));
  }
}

async function switchOne() {
  const [name, coin, output] = [byId("switch-name").value, byId("switch-coin").value, byId("switch-outcome")];
  output.replaceChildren();
  const body = [];
  let [account, old, held] = [name, undefined, null];
  try {
    ({ account, coin: old, held } = await read(name));
  } catch (error) {
    body.push(el("p", { class: "warning" }, "Its present coin could not be read: ", shown(error.message)));
  }
  body.unshift(el("p", { class: "change" }, shown(account, "name"), ": ", coinCell(old), " → ", coinCell(coin)));
  if (held) body.push(el("p", { class: "warning" }, ...heldSwitch(held), "; this switch replaces it."));
  if (old === coin) body.push(el("p", {}, "It mines this coin already. The write notifies the stratum servers again."));
  if (old === null) body.push(el("p", {}, "It has no znode yet; the switch creates one. Is the name right?"));
  if (!(await confirmed({ title: "Switch this sub-account?", body, yes: "Switch" }))) {
    showOutcome(output, "info", "Nothing was switched: cancelled");
    return;
  }
  const entries = [{ name, coin }];
  const [result] = resultsOf(entries, await post("switch/multi-user?results=true", batchOf(entries)));
  report(output, result);
}

function report(output, { puname, new: coin, outcome, due, replaced_by: newer, cause }) {
  const what = [shown(puname, "name"), " → ", coinCell(coin)];
  const why = cause ? [shown(cause)] : [];
  if (outcome === "applied") {
    const then = newer ? ["Another request's ", coinCell(newer), " replaced it at the same moment."] : [];
    showOutcome(output, "done", ["Switched: ", ...what], ...(newer ? [then] : []));
  } else if (outcome === "held") {
    const why = "The list of the new coin lacks this sub-account, or has it only since a moment ago.";
    showOutcome(output, "done", ["Accepted, held until ", timeOf(due), ": ", ...what], why);
  } else if (outcome === "not_applied") {
    showOutcome(output, "refused", ["Not switched: ", ...what], ...why, "Nothing was written.");
  } else {
    const advice = "It may have been written or not. Look it up, or switch again: that is harmless.";
    showOutcome(output, "unknown", ["Outcome unknown: ", ...what], ...why, advice);
  }
}
