// Takes a request back: a dry run first, then a question, then the undo.

import { post } from "./api.js";
import { changeCells } from "./changes.js";
import { byId, coinCell, confirmed, count, dateOf, el, showOutcome, shown } from "./dom.js";

const PREVIEWED = 20;
const SHOWN = 200;

const WORDS = {
  would_restore: "would be put back",
  would_delete: "would be deleted",
  restored: "put back",
  deleted: "deleted",
  left_alone: "left alone",
  not_applied: "not put back",
  unknown: "of unknown outcome",
};
const MARKS = { not_applied: "✕ ", unknown: "? ", left_alone: "– " };
const CREATED = "created by that request";
const NO_COINBASE = { coinbase_info: "", payout_addr: "" };

// Asks and undoes, for a row of the history. Resolves to whether the undo was sent.
export async function undoRequest(row, output, detail) {
  const { request } = row;
  const preview = (deletes) => post("undo", { request, dry_run: true, delete_created: deletes });
  const reply = await preview(false);
  if (!reply.answer?.results) {
    showOutcome(output, "not_now", ["The undo of ", shown(request, "mono"), " cannot be previewed"], shown(reply.text), "A preview writes nothing.");
    return { isSent: false };
  }
  const question = questionOf(row, reply.answer.results, preview);
  const title = ["Undo request ", shown(request, "mono"), "?"];
  const can = countOf(reply.answer.results, "would_restore", "would_delete") > 0;
  if (!(await confirmed({ title, body: question.body, yes: "Undo", careful: true, can }))) {
    showOutcome(output, "info", "Nothing was undone: cancelled");
    return { isSent: false };
  }
  const comment = question.comment.value.trim();
  const body = { request, dry_run: false, delete_created: question.deletes.checked, ...(comment && { comment }) };
  report(request, await post("undo", body), output, detail);
  return { isSent: true };
}

const countOf = (results, ...outcomes) => results.filter(({ outcome }) => outcomes.includes(outcome)).length;

// The dialog's content: the preview, an option that makes another preview, and a comment.
function questionOf(row, results, preview) {
  const part = el("div", { class: "undo-preview" });
  const deletes = el("input", { type: "checkbox", id: "undo-deletes" });
  const option = el("label", { class: "check" }, deletes, " delete the znodes that it created");
  option.hidden = !results.some(({ cause }) => cause === CREATED);
  const comment = el("input", { id: "undo-comment", maxlength: "200", autocomplete: "off" });
  const draw = (results) => part.replaceChildren(figures(results), table(results, PREVIEWED));
  draw(results);
  deletes.addEventListener("change", async () => {
    const yes = byId("confirm-yes");
    yes.disabled = deletes.disabled = true;
    const { answer, text } = await preview(deletes.checked);
    deletes.disabled = false;
    if (answer?.results) draw(answer.results);
    else part.replaceChildren(el("p", { class: "warning" }, "It cannot be previewed: ", shown(text)));
    yes.disabled = countOf(answer?.results ?? [], "would_restore", "would_delete") === 0;
  });
  const body = [
    originOf(row),
    el("p", {}, "Only values that have not changed since are put back."),
    part,
    option,
    el("label", { for: "undo-comment" }, "Comment, for the history"),
    comment,
  ];
  return { body, deletes, comment };
}

// The user and the time of the request that is undone.
function originOf({ time, source, actor, on_behalf_of: person, comment }) {
  const parts = ["Sent by ", actor ? shown(actor, "name") : source];
  if (person) parts.push(" for ", shown(person, "name"));
  parts.push(", ", dateOf(time));
  if (comment) parts.push(": “", shown(comment), "”");
  return el("p", { class: "hint" }, ...parts);
}

function figures(results) {
  const items = Object.entries(WORDS).map(([outcome, word]) => [word, countOf(results, outcome)]);
  const some = items.filter(([, number]) => number > 0);
  return el("dl", { class: "figures" }, ...some.map(([word, number]) => el("div", {}, el("dt", {}, word), el("dd", {}, count(number)))));
}

function table(results, most) {
  const rows = results.slice(0, most).map(resultRow);
  const more = results.length > most ? [el("p", { class: "hint" }, `and ${count(results.length - most)} more`)] : [];
  return el("div", { class: "preview" }, el("table", {}, el("tbody", {}, ...rows)), ...more);
}

function resultRow({ outcome, cause, by, at, now, back_to: old, ...name }) {
  const kind = name.sub_pool === undefined ? "switch" : "update";
  const isKnown = now !== undefined && old !== undefined;
  const [what, both] = changeCells({ ...name, kind, old: now, new: kind === "update" && !isKnown ? NO_COINBASE : old });
  // An entry that is left alone has no new value.
  const values = isKnown ? both : kind === "switch" ? [coinCell(now)] : [];
  const cell = el("td", { class: "result" }, `${MARKS[outcome] ?? ""}${WORDS[outcome] ?? outcome}`);
  if (cause) cell.append(el("span", { class: "cause" }, shown(cause), by ? " by " : "", by ? shown(by, "mono") : "", at ? " at " : "", at ? dateOf(at) : ""));
  return el("tr", { class: outcome }, el("td", { class: "what" }, ...what),
    el("td", { class: "values" }, ...values), cell);
}

function report(request, { fate, text, answer }, output, detail) {
  const name = shown(request, "mono");
  if (!answer?.results) {
    if (fate === "unknown") {
      showOutcome(output, "unknown", ["Outcome unknown: undo of ", name], shown(text), "Parts may have been put back. Search again: if the undo was recorded, the row of the request shows it.");
    } else {
      showOutcome(output, "refused", ["Not undone: ", name], shown(text), "Nothing was written.");
    }
    return;
  }
  const { results } = answer;
  const done = countOf(results, "restored", "deleted");
  const isWhole = fate === "done" && countOf(results, "not_applied") === 0;
  const kind = countOf(results, "unknown") > 0 ? "unknown" : !isWhole ? "refused" : done > 0 ? "done" : "info";
  const parts = Object.entries(WORDS).map(([outcome, word]) => [countOf(results, outcome), word]);
  const counts = parts.filter(([number]) => number > 0).map(([number, word]) => `${count(number)} ${word}`);
  const details = answer.request ? [["The undo is request ", shown(answer.request, "mono"), "."]] : [];
  if (answer.err_msg) details.push(shown(text));
  showOutcome(output, kind, ["Undo of ", name, ": ", counts.join(", ") || "nothing to put back"], ...details);
  const rest = results.filter(({ outcome }) => !["restored", "deleted"].includes(outcome));
  if (rest.length > 0) detail.replaceChildren(table(rest, SHOWN));
}
