// Parser of a batch: CSV, or the API's JSON if the first character is `{`. The command line's client has the same rules
// (src/client/batch_file.rs): two fields a line, quoted where necessary; blanks belong to the name; a first line
// `user,coin` is skipped. The daemon checks everything again.

const NAMES_OF_USER = ["user", "puname", "sub_account", "sub-account"];

// Entries with their positions in the text, and a list of faults.
export function readBatch(text, coins) {
  const content = text.replace(/^\uFEFF/, "");
  const { entries, faults } = content.trimStart().startsWith("{") ? readJson(content) : readCsv(content);
  for (const { name, coin, place } of entries) {
    const fault = faultOf(name, coin, coins);
    if (fault) faults.push({ place, name, fault });
  }
  if (entries.length === 0 && faults.length === 0) faults.push({ place: "", fault: "there is no entry in it" });
  return { entries, faults };
}

// Entries that count, and the number of others: of several entries for one sub-account the last one counts.
export function lastOfEach(entries) {
  const last = new Map(entries.map((entry, index) => [entry.name, index]));
  const kept = entries.filter(({ name }, index) => last.get(name) === index);
  return { kept, named_again: entries.length - kept.length };
}

function readJson(content) {
  const fault = (fault) => ({ entries: [], faults: [{ place: "", fault }] });
  let batch;
  try {
    batch = JSON.parse(content);
  } catch (error) {
    return fault(`it is not JSON: ${error.message}`);
  }
  const groups = field(batch, "usercoins") ?? [];
  if (!Array.isArray(groups)) return fault("usercoins is not a list");
  const entries = [];
  for (const group of groups) {
    const [coin, names] = [field(group, "coin") ?? "", field(group, "punames") ?? []];
    if (typeof coin !== "string" || !Array.isArray(names) || names.some((name) => typeof name !== "string")) {
      return fault("each of usercoins needs a text, coin, and a list of texts, punames");
    }
    for (const name of names) entries.push({ name, coin, place: `entry ${entries.length + 1}` });
  }
  return { entries, faults: [] };
}

// A field's name matches in any case; the last of several fields counts.
function field(object, name) {
  if (typeof object !== "object" || object === null) return undefined;
  return Object.entries(object).findLast(([key]) => key.toLowerCase() === name)?.[1];
}

function readCsv(content) {
  const [entries, faults] = [[], []];
  records(content).forEach(({ fields, line }, index) => {
    const [place, [name, coin]] = [`line ${line}`, fields];
    if (fields.length !== 2) {
      const hint = fields.length === 1 && /[;\t]/.test(name) ? "; fields are separated by commas" : "";
      const fault = `has ${fields.length} field${fields.length === 1 ? "" : "s"}, expected two: sub-account,coin${hint}`;
      faults.push({ place, fault });
    } else if (index > 0 || !isHeader(name, coin)) {
      entries.push({ name, coin, place });
    }
  });
  return { entries, faults };
}

function isHeader(name, coin) {
  return NAMES_OF_USER.includes(name.toLowerCase()) && coin.toLowerCase() === "coin";
}

// CSV records with the lines in which they begin, without empty lines.
function records(content) {
  const found = [];
  let [fields, line, at] = [[], 1, 0];
  while (at < content.length) {
    if (fields.length === 0 && /[\r\n]/.test(content[at])) {
      if (content[at] === "\n") line += 1;
      at += 1;
      continue;
    }
    const began = line;
    for (;;) {
      let field;
      [field, at] = content[at] === '"' ? quoted(content, at + 1) : plain(content, at);
      line += field.split("\n").length - 1;
      fields.push(field);
      if (content[at] !== ",") break;
      at += 1;
    }
    found.push({ fields, line: began });
    fields = [];
  }
  return found;
}

function plain(content, from) {
  let to = from;
  while (to < content.length && !",\r\n".includes(content[to])) to += 1;
  return [content.slice(from, to), to];
}

// Two quotes within quotes mean one; text after the last quote belongs to the field.
function quoted(content, from) {
  let [field, at] = ["", from];
  while (at < content.length) {
    const quote = content.indexOf('"', at);
    if (quote < 0) return [field + content.slice(at), content.length];
    field += content.slice(at, quote);
    if (content[quote + 1] !== '"') {
      const [rest, to] = plain(content, quote + 1);
      return [field + rest, to];
    }
    field += '"';
    at = quote + 2;
  }
  return [field, at];
}

// Cause why a name or a coin is invalid.
function faultOf(name, coin, coins) {
  if (name === "") return "the sub-account is empty";
  if (name === "." || name === "..") return "the sub-account is a relative path";
  if (name.includes("/")) return "the sub-account contains a slash";
  if (/[\0-\x1f\x7f-\x9f]/.test(name)) return "the sub-account contains a control character";
  if (/[\ud800-\uf8ff\ufff0-\uffff]/.test(name)) return "the sub-account contains a character that ZooKeeper refuses";
  if (new TextEncoder().encode(name).length > 200) return "the sub-account is longer than 200 bytes";
  if (coin === "") return "the coin is empty";
  return coins.includes(coin) ? undefined : `there is no coin ${coin}`;
}

// Entries as CSV, for another try.
export function asCsv(entries) {
  const text = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return entries.map(({ name, coin }) => `${text(name)},${text(coin)}\n`).join("");
}
