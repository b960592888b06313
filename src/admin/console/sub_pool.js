// Coinbase text and payout address of a sub-pool: read and change. The daemon requests both from the sub-pool's
// jobmaker.

import { post } from "./api.js";
import { busy, byId, confirmed, count, el, showOutcome, shown } from "./dom.js";
import { enable } from "./user.js";

// The last sub-pool that was read.
let current = undefined;
let most = undefined;

export function setUpSubPool() {
  const section = byId("sub-pool");
  byId("sub-pool-read").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(section, readIt);
  });
  byId("sub-pool-update").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(section, change);
  });
  for (const id of ["sub-pool-coin", "sub-pool-name"]) byId(id).addEventListener("input", forget);
  byId("sub-pool-info").addEventListener("input", size);
}

// Shows whether the sub-pool API is on, and the limit of a coinbase text.
export function subPoolLimits(status) {
  most = status.coinbase_max_bytes ?? undefined;
  const off = byId("sub-pool-off");
  off.hidden = status.sub_pools || !status.api;
  for (const element of byId("sub-pool").querySelectorAll("input, button")) element.disabled = !status.sub_pools;
  enable(byId("sub-pool-change"), "payout", status.sub_pools);
}

function forget() {
  current = undefined;
  byId("sub-pool-update").hidden = true;
}

function size() {
  const bytes = new TextEncoder().encode(byId("sub-pool-info").value).length;
  const limit = most === undefined ? "" : ` of ${most}`;
  byId("sub-pool-size").textContent = `(${count(bytes)}${limit} bytes)`;
  byId("sub-pool-size").classList.toggle("over", most !== undefined && bytes > most);
}

const ask = ({ coin, name }) => post("subpool/get-coinbase", { coin, subpool_name: name });

function titleOf({ coin, name }) {
  return [shown(coin, "coin"), " / ", shown(name, "name")];
}

async function readIt() {
  const [sub_pool, output] = [{ coin: byId("sub-pool-coin").value, name: byId("sub-pool-name").value }, byId("sub-pool-outcome")];
  forget();
  output.replaceChildren();
  const { fate, text, answer } = await ask(sub_pool);
  // A jobmaker that refused the last request also reports its values.
  if (!answer?.old) {
    showOutcome(output, "not_now", ["Not read: ", ...titleOf(sub_pool)], shown(text));
    return;
  }
  if (fate !== "done") showOutcome(output, "info", "The jobmaker refused the last request", shown(answer.err_msg));
  show(sub_pool, answer.old);
}

// Shows the sub-pool, unless the form names another one by now.
function show(sub_pool, coinbase) {
  if (byId("sub-pool-coin").value !== sub_pool.coin || byId("sub-pool-name").value !== sub_pool.name) return;
  current = { ...sub_pool, coinbase };
  const item = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, shown(value, "mono")));
  byId("sub-pool-held").replaceChildren(
    item("coinbase text", coinbase.coinbase_info),
    item("payout address", coinbase.payout_addr),
  );
  byId("sub-pool-info").value = coinbase.coinbase_info;
  byId("sub-pool-addr").value = coinbase.payout_addr;
  size();
  byId("sub-pool-update").hidden = false;
}

async function change() {
  const { coin, name } = current;
  const sub_pool = { coin, name };
  const output = byId("sub-pool-outcome");
  const wanted = { coinbase_info: byId("sub-pool-info").value, payout_addr: byId("sub-pool-addr").value };
  output.replaceChildren();
  // Another client may have changed it since it was shown.
  const { text, answer: read } = await ask(sub_pool);
  if (!read?.old) {
    showOutcome(output, "not_now", "Not changed: the present values could not be read", shown(text), "Nothing was written.");
    return;
  }
  const pays_another = read.old.payout_addr !== wanted.payout_addr;
  const body = [
    comparison("Payout address", read.old.payout_addr, wanted.payout_addr),
    comparison("Coinbase text", read.old.coinbase_info, wanted.coinbase_info),
  ];
  if (pays_another) body.unshift(el("p", { class: "warning" }, "Blocks of this sub-pool will pay another address."));
  const title = ["Change sub-pool ", ...titleOf(sub_pool), "?"];
  if (!(await confirmed({ title, body, yes: "Change it", careful: true }))) {
    showOutcome(output, "info", "Nothing was changed: cancelled");
    return;
  }
  const reply = await post("subpool/update-coinbase", { coin, subpool_name: name, ...wanted });
  report(output, sub_pool, wanted, reply);
}

function report(output, sub_pool, wanted, { fate, text, answer }) {
  const title = titleOf(sub_pool);
  if (fate === "done") {
    const now = answer.new;
    const is_other = now.payout_addr !== wanted.payout_addr || now.coinbase_info !== wanted.coinbase_info;
    const note = is_other ? ["The jobmaker's values differ from the requested ones: see below."] : [];
    showOutcome(output, "done", ["Changed: ", ...title], ...note, ["Payout address ", shown(now.payout_addr, "mono"), ", coinbase text ", shown(now.coinbase_info, "mono")]);
    show(sub_pool, now);
  } else if (fate === "unknown") {
    showOutcome(output, "unknown", ["Outcome unknown: ", ...title], shown(text), "The change may or may not happen, even later. Read the sub-pool before you try again.");
  } else if (answer?.old) {
    showOutcome(output, "refused", ["Not changed, the jobmaker refuses it: ", ...title], shown(answer.err_msg));
  } else {
    showOutcome(output, "refused", ["Not changed: ", ...title], shown(text), "Nothing was written.");
  }
}

// Old and new value, with the difference marked.
function comparison(name, old, now) {
  const [was, is] = differing(old, now);
  const line = (label, parts) => [el("dt", {}, label), el("dd", { class: "mono" }, ...parts)];
  const same = old === now ? [" ", el("span", { class: "none" }, "unchanged")] : [];
  return el("section", { class: "comparison" }, el("h3", {}, name, ...same), el("dl", {}, ...line("old", was), ...line("new", is)));
}

function differing(old, now) {
  const [a, b] = [Array.from(old), Array.from(now)];
  let [head, tail] = [0, 0];
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  const room = Math.min(a.length, b.length) - head;
  while (tail < room && a.at(-1 - tail) === b.at(-1 - tail)) tail += 1;
  const parts = (text) => {
    const cut = (from, to) => shown(text.slice(from, to).join(""));
    const end = text.length - tail;
    const middle = end > head ? [el("mark", {}, cut(head, end))] : [];
    return text.length === 0 ? [el("span", { class: "none" }, "empty")] : [cut(0, head), ...middle, cut(end, text.length)];
  };
  return [parts(a), parts(b)];
}
