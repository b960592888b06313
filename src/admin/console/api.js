// Requests to the daemon, and the fate that an answer proves: `done`; `refused` and `not_now`, which wrote nothing;
// `unknown` for everything else. The command line's client has the same rules (src/client/answer.rs).

// Relative to the page, without credentials of the page's address: fetch refuses them.
export const at = (path) => new URL(path, location.origin + location.pathname);

const NOT_WRITTEN = ["read data node failed", "write data node failed"];

export function fate({ success, err_no: number, err_msg: text, old }) {
  if (success) return number === 0 ? "done" : "unknown";
  if ((number >= 101 && number <= 104) || number === 108 || (number >= 400 && number <= 499)) return "refused";
  if (number === 105 || number === 503) return "not_now";
  // A jobmaker that refuses also reports its values.
  if (old) return "refused";
  const says = text.includes("nothing was written") || NOT_WRITTEN.includes(text);
  return (number === 500 || number === 504) && says ? "not_now" : "unknown";
}

// Error of a request without valid credentials. With a sign-in page, the daemon sends no challenge.
function refusal(response) {
  const isSignedOut = !response.headers.has("WWW-Authenticate");
  const text = isSignedOut ? "you are signed out" : "the daemon refuses the credentials; load the page again";
  return Object.assign(new Error(text), { isSignedOut });
}

// Sends a request that may change something. Resolves to its fate, a text, and the answer if there is one.
export async function post(path, body) {
  let status, text, refused;
  try {
    const headers = { "Content-Type": "application/json" };
    const signal = AbortSignal.timeout(300_000);
    const response = await fetch(at(path), { method: "POST", headers, body: JSON.stringify(body), signal });
    status = response.status;
    refused = status === 401 ? refusal(response) : undefined;
    text = await response.text();
  } catch (error) {
    return { fate: "unknown", text: `there was no answer (${error.message})` };
  }
  if (refused) return { fate: "refused", text: refused.message };
  const answer = parsed(text);
  if (typeof answer?.err_no === "number" && typeof answer.err_msg === "string") {
    return { fate: fate(answer), text: `${answer.err_msg} (${answer.err_no})`, answer };
  }
  // A gateway's answer may look alike, except for the statuses.
  if (typeof answer?.error === "string" && [403, 404, 405].includes(status)) {
    return { fate: "refused", text: answer.error };
  }
  return { fate: "unknown", text: `the answer is not the daemon's (status ${status})` };
}

// Sends a request that changes nothing. Throws an error with the cause.
export async function get(path) {
  const response = await fetch(at(path), { cache: "no-store", signal: AbortSignal.timeout(60_000) });
  const text = await response.text();
  if (response.status === 401) throw refusal(response);
  const answer = parsed(text);
  if (!response.ok || !answer) throw new Error(answer?.error ?? answer?.err_msg ?? `status ${response.status}`);
  return answer;
}

// Results of the entries that were sent. A success without a result for each entry counts as unknown.
export function resultsOf(entries, { fate, text, answer }) {
  const results = answer?.results?.length === entries.length ? answer.results : [];
  const outcome = { unknown: "unknown", done: "unknown" }[fate] ?? "not_applied";
  const cause = fate === "done" ? "the answer has no result for each sub-account" : text;
  return entries.map(({ name, coin }, index) => results[index] ?? { puname: name, new: coin, outcome, cause });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// Body of a batch: runs of entries with the same coin, in order.
export function batchOf(entries) {
  const usercoins = [];
  for (const { name, coin } of entries) {
    if (usercoins.at(-1)?.coin !== coin) usercoins.push({ coin, punames: [] });
    usercoins.at(-1).punames.push(name);
  }
  return { usercoins };
}
