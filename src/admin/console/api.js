// Requests to the daemon, and what an answer lets us claim: `done`; `refused` and `not_now`, which wrote nothing;
// and `unknown`. What is not known to be harmless is unknown. The client of the command line has the same rules
// (src/client/answer.rs).

// Beside the page, without credentials that its own address may have: with them nothing can be fetched.
export const at = (path) => new URL(path, location.origin + location.pathname);

const NOT_WRITTEN = ["read data node failed", "write data node failed"];

export function fate({ success, err_no: number, err_msg: text, old }) {
  if (success) return number === 0 ? "done" : "unknown";
  if ((number >= 101 && number <= 104) || number === 108 || (number >= 400 && number <= 499)) return "refused";
  if (number === 105 || number === 503) return "not_now";
  // A jobmaker that refuses says what it holds.
  if (old) return "refused";
  const says = text.includes("nothing was written") || NOT_WRITTEN.includes(text);
  return (number === 500 || number === 504) && says ? "not_now" : "unknown";
}

const LOGGED_OUT = "the daemon refuses the credentials; load the page again";

// Sends a request that may change something. Resolves to its fate, a text about it, and the answer if there is one.
export async function post(path, body) {
  let status, text;
  try {
    const headers = { "Content-Type": "application/json" };
    const signal = AbortSignal.timeout(300_000);
    const response = await fetch(at(path), { method: "POST", headers, body: JSON.stringify(body), signal });
    status = response.status;
    text = await response.text();
  } catch (error) {
    return { fate: "unknown", text: `there was no answer (${error.message})` };
  }
  if (status === 401) return { fate: "refused", text: LOGGED_OUT };
  const answer = parsed(text);
  if (typeof answer?.err_no === "number" && typeof answer.err_msg === "string") {
    return { fate: fate(answer), text: `${answer.err_msg} (${answer.err_no})`, answer };
  }
  // A gateway's may look alike, but for the statuses.
  if (typeof answer?.error === "string" && [403, 404, 405].includes(status)) {
    return { fate: "refused", text: answer.error };
  }
  return { fate: "unknown", text: `the answer is not the daemon's (status ${status})` };
}

// Asks for something, which changes nothing. Throws an error whose text says why there is none.
export async function get(path) {
  const response = await fetch(at(path), { cache: "no-store", signal: AbortSignal.timeout(60_000) });
  const text = await response.text();
  if (response.status === 401) throw new Error(LOGGED_OUT);
  const answer = parsed(text);
  if (!response.ok || !answer) throw new Error(answer?.error ?? `status ${response.status}`);
  return answer;
}

// What an answer tells of each of the entries sent. A success that does not tell of all is none that we know of.
export function resultsOf(entries, { fate, text, answer }) {
  const told = answer?.results?.length === entries.length ? answer.results : [];
  const outcome = { unknown: "unknown", done: "unknown" }[fate] ?? "not_applied";
  const cause = fate === "done" ? "the answer does not tell of each sub-account" : text;
  return entries.map(({ name, coin }, index) => told[index] ?? { puname: name, new: coin, outcome, cause });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// The body of a batch: runs of entries with the same coin, in the entries' order.
export function batchOf(entries) {
  const usercoins = [];
  for (const { name, coin } of entries) {
    if (usercoins.at(-1)?.coin !== coin) usercoins.push({ coin, punames: [] });
    usercoins.at(-1).punames.push(name);
  }
  return { usercoins };
}
