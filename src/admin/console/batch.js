// A batch of sub-accounts: read, previewed by a dry run, applied in chunks. An invalid entry refuses its whole chunk; the
// answer to a chunk has a result for each entry.

import { batchOf, post, resultsOf } from "./api.js";
import { asCsv, lastOfEach, readBatch } from "./batch_file.js";
import { busy, byId, coinCell, confirmed, count, el, showOutcome, shown, timeOf } from "./dom.js";
import { enable } from "./user.js";

const CHUNK = 1000;
const ROWS = 10;
const FAILED_ROWS = 200;

// Content of the file; without a file, the form's text counts.
let file = undefined;
// The previewed batch, as long as the form is unchanged.
let good = undefined;
let stopped = false;
let isApplying = false;
let coins = [];

export function setUpBatch() {
  const section = byId("batch");
  // The form is locked while a batch is sent, so that the previewed batch is applied.
  const locked = (work) =>
    busy(section, async () => {
      const focused = document.activeElement;
      byId("batch-input").disabled = true;
      try {
        await work();
      } finally {
        byId("batch-input").disabled = false;
        if (document.activeElement === document.body) focused?.focus();
      }
    });
  section.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    locked(preview);
  });
  byId("batch-text").addEventListener("input", () => {
    file = undefined;
    byId("batch-file").value = "";
    forget();
  });
  byId("batch-file").addEventListener("change", () => locked(readFile));
  byId("batch-apply").addEventListener("click", () => locked(apply));
  byId("batch-stop").addEventListener("click", () => {
    stopped = true;
    byId("batch-stop").disabled = true;
  });
  addEventListener("beforeunload", (event) => {
    if (isApplying) event.preventDefault();
  });
}

// Coins of the configuration.
export const batchCoins = (names) => {
  coins = names;
};

function forget() {
  good = undefined;
  byId("batch-apply").disabled = true;
  byId("batch-outcome").replaceChildren();
  byId("batch-detail").replaceChildren();
}

async function readFile() {
  forget();
  const chosen = byId("batch-file").files[0];
  if (!chosen) {
    file = undefined;
    return;
  }
  try {
    file = await chosen.text();
  } catch (error) {
    showOutcome(byId("batch-outcome"), "refused", "The file cannot be read", error.message);
    return;
  }
  byId("batch-text").value = "";
  await preview();
}

// Sends entries in chunks until all are sent, the user stops, or `each` returns false. Resolves to the number sent.
async function inChunks(entries, what, query, each) {
  const [bar, label, stop] = [byId("batch-bar"), byId("batch-bar-label"), byId("batch-stop")];
  [stopped, stop.disabled, stop.hidden] = [false, false, false];
  [bar.max, bar.value] = [entries.length, 0];
  byId("batch-progress").hidden = false;
  let sent = 0;
  try {
    while (sent < entries.length && !stopped) {
      label.textContent = `${what}: ${count(sent)} of ${count(entries.length)}`;
      const chunk = entries.slice(sent, sent + CHUNK);
      const reply = await post(`switch/multi-user?${query}`, batchOf(chunk));
      sent += chunk.length;
      bar.value = sent;
      if (!each(chunk, reply)) break;
    }
    label.textContent = `${what}: ${count(sent)} of ${count(entries.length)}`;
  } finally {
    stop.hidden = true;
  }
  return sent;
}

async function preview() {
  forget();
  byId("batch-progress").hidden = true;
  const output = byId("batch-outcome");
  const { entries, faults } = readBatch(file ?? byId("batch-text").value, coins);
  if (faults.length > 0) {
    showOutcome(output, "refused", `${count(faults.length)} refused of ${count(entries.length)}: nothing was sent`, "Fix these first:");
    const items = faults.slice(0, 20).map(({ place, name, fault }) =>
      el("li", {}, place ? `${place}: ` : "", ...(name ? [shown(name, "name"), " "] : []), shown(fault)));
    if (faults.length > items.length) items.push(el("li", {}, `and ${count(faults.length - items.length)} more`));
    byId("batch-detail").replaceChildren(el("ul", { class: "faults" }, ...items));
    return;
  }
  const { kept, named_again } = lastOfEach(entries);
  const counts = { would_change: 0, would_create: 0, would_be_held: 0, unchanged: 0, superseded: named_again };
  const rows = [];
  let trouble = undefined;
  const sent = await inChunks(kept, "Previewed", "dry_run=true", (chunk, { fate, text, answer }) => {
    if (fate !== "done") {
      trouble = { fate, text: answer?.results?.find(({ cause }) => cause)?.cause ?? text };
      return false;
    }
    for (const result of answer.results) {
      counts[result.outcome] += 1;
      if (rows.length < ROWS && result.outcome !== "superseded") rows.push(result);
    }
    return true;
  });
  byId("batch-progress").hidden = true;
  if (trouble) {
    const title = trouble.fate === "refused" ? "The daemon refuses the batch" : "The preview could not be read";
    showOutcome(output, "not_now", title, shown(trouble.text), "A preview writes nothing.");
    return;
  }
  if (sent < kept.length) {
    showOutcome(output, "info", "The preview was stopped", "A preview writes nothing.");
    return;
  }
  showOutcome(output, "info", `Preview of ${count(kept.length)} sub-accounts; nothing is written yet`);
  byId("batch-detail").replaceChildren(countsList(counts), table(rows, kept.length, wouldBe));
  good = { entries: kept, counts };
  enable(byId("batch-apply"), "switcher");
}

const WOULD = { would_change: "would change", would_create: "would be created", would_be_held: "would be held", unchanged: "unchanged" };

const wouldBe = ({ outcome, due }) => el("span", {}, WOULD[outcome], ...(due ? [" until ", timeOf(due)] : []));

function countsList({ would_change, would_create, would_be_held, unchanged, superseded }) {
  const item = (name, number) => el("div", {}, el("dt", {}, name), el("dd", {}, count(number)));
  const items = [item("would change", would_change), item("would be created", would_create), item("unchanged", unchanged)];
  if (would_be_held > 0) items.push(item("would be held", would_be_held));
  if (superseded > 0) items.push(item("named again later", superseded));
  return el("dl", { class: "figures", id: "batch-counts" }, ...items);
}

function table(rows, all, last) {
  const cells = (row) => [
    el("td", { class: "what" }, shown(row.puname, "name")),
    el("td", { class: "values" }, coinCell(row.old), " → ", coinCell(row.new)),
    el("td", { class: "result" }, last(row)),
  ];
  const lines = rows.map((row) => el("tr", { class: row.outcome }, ...cells(row)));
  const more = all > rows.length ? [el("p", { class: "hint" }, `and ${count(all - rows.length)} more`)] : [];
  return el("div", {}, el("table", {}, el("tbody", {}, ...lines)), ...more);
}

async function apply() {
  const { entries, counts } = good;
  const output = byId("batch-outcome");
  const body = [el("p", {}, `${count(entries.length)} sub-accounts are written, in chunks of ${count(CHUNK)}.`), countsList(counts)];
  if (!(await confirmed({ title: "Apply this batch?", body, yes: "Apply" }))) return;
  good = undefined;
  byId("batch-apply").disabled = true;
  output.replaceChildren();
  byId("batch-detail").replaceChildren();
  const failed = [];
  let [applied, held] = [0, 0];
  isApplying = true;
  const sent = await inChunks(entries, "Sent", "results=true", (chunk, reply) => {
    const before = applied + held;
    const results = resultsOf(chunk, reply);
    chunk.forEach(({ name, coin }, index) => {
      const result = results[index];
      // Two names may be equal in lower case.
      if (["applied", "superseded"].includes(result.outcome)) applied += 1;
      else if (result.outcome === "held") held += 1;
      else failed.push({ ...result, name, coin });
    });
    // The next chunk would fail, too.
    return applied + held > before;
  }).finally(() => {
    isApplying = false;
  });
  report(entries, sent, { applied, held }, failed);
}

function report(entries, sent, { applied, held }, failed) {
  const unknown = failed.filter(({ outcome }) => outcome !== "not_applied").length;
  const rest = entries.slice(sent);
  const kind = unknown > 0 ? "unknown" : failed.length + rest.length > 0 ? "refused" : "done";
  const parts = [`${count(applied)} of ${count(entries.length)} switched`];
  if (held > 0) parts.push(`${count(held)} held until the servers know them`);
  if (failed.length > unknown) parts.push(`${count(failed.length - unknown)} not switched`);
  if (unknown > 0) parts.push(`${count(unknown)} of unknown outcome`);
  if (rest.length > 0) parts.push(`${count(rest.length)} not sent`);
  const advice = unknown > 0 ? ["Entries with an unknown outcome may have been written or not; sending them again is harmless."] : [];
  showOutcome(byId("batch-outcome"), kind, parts.join(", "), ...advice);
  if (kind === "done") return;
  const again = el("button", { type: "button", id: "batch-again" }, "Put the rest into the form");
  again.addEventListener("click", () => {
    forget();
    byId("batch-progress").hidden = true;
    byId("batch-file").value = "";
    file = undefined;
    byId("batch-text").value = asCsv(failed.concat(rest));
    byId("batch-text").focus();
  });
  const list = [];
  if (failed.length > 0) list.push(table(failed.slice(0, FAILED_ROWS), failed.length, outcomeOf));
  byId("batch-detail").replaceChildren(el("p", { class: "buttons" }, again), ...list);
}

function outcomeOf({ outcome, cause }) {
  const text = outcome === "not_applied" ? "✕ not switched" : "? outcome unknown";
  return el("span", {}, text, el("span", { class: "cause" }, shown(cause ?? "")));
}
