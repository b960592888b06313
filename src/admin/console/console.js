// Starts the parts of the page, and polls the daemon's status every two seconds while the page is visible.

import { at, get } from "./api.js";
import { batchCoins, setUpBatch } from "./batch.js";
import { followChanges } from "./changes.js";
import { drawRates, setUpCharts } from "./charts.js";
import { byId, duration, el } from "./dom.js";
import { historyState, setUpHistory } from "./history.js";
import { showLists } from "./lists.js";
import { setUpSubPool, subPoolLimits } from "./sub_pool.js";
import { setUpSwitch } from "./switch.js";
import { enable, forgetUser, setUpUser, showUser } from "./user.js";

const PACE_MS = 2000;

let lastAnswer = undefined;
let timer = undefined;
let isLooking = false;

async function look() {
  if (isLooking) return;
  isLooking = true;
  clearTimeout(timer);
  try {
    const status = await get("status");
    lastAnswer = new Date();
    await showUser();
    showStates(status);
    showLimits(status);
    drawRates(status);
    await showLists(status);
  } catch (error) {
    if (error.isSignedOut) showSignedOut();
    else showSilence(error);
  }
  isLooking = false;
  if (!document.hidden) timer = setTimeout(look, PACE_MS);
}

const MARKS = { good: "●", bad: "▲", off: "○" };

function states(...all) {
  const items = all.map(([kind, text]) =>
    el("li", { class: kind }, el("span", { "aria-hidden": "true" }, MARKS[kind]), ` ${text}`));
  byId("states").replaceChildren(...items);
}

function showStates(status) {
  const { session, draining, missing, polls, api, uptime_seconds: uptime } = status;
  states(
    session ? ["good", "ZooKeeper session"] : ["bad", "no ZooKeeper session"],
    missing.length === 0 ? ["good", "ready"] : ["bad", draining ? "draining" : "not ready"],
    polling(polls),
    api ? ["good", "API on"] : ["off", "API off"],
  );
  byId("version").textContent = `${status.version} (${status.commit}), up ${duration(uptime)}`;
  const advice = session || draining ? "" : ". Switches wait for it, and fail if it stays away.";
  notice(missing.length === 0 ? "" : `${missing.join("; ")}${advice}`);
}

function polling(polls) {
  if (!polls) return ["off", "polling off"];
  const { last_outcome: outcome, last_complete_seconds_ago: ago, interval_seconds: interval } = polls;
  if (outcome === "standby") return ["good", "another daemon polls"];
  if (outcome === null) return ["bad", `no poll yet, every ${duration(interval)}`];
  if (outcome === "complete") return ["good", `polled ${duration(ago)} ago, every ${duration(interval)}`];
  const last = ago === null ? "none was complete" : `complete ${duration(ago)} ago`;
  return ["bad", `last poll ${outcome.replaceAll("_", " ")}, ${last}`];
}

function notice(...parts) {
  const text = el("p", {}, ...parts).textContent;
  // Only a new text is set: a screen reader reads it each time.
  if (byId("notice").textContent !== text) byId("notice").replaceChildren(...parts);
  byId("notice").hidden = text === "";
}

function showSignedOut() {
  forgetUser();
  states(["bad", "signed out"]);
  notice("You are signed out, or your session has ended. ", el("a", { href: at("login") }, "Sign in"), ".");
}

function showSilence(error) {
  const since = lastAnswer ? `, last heard at ${lastAnswer.toLocaleTimeString("en-GB")}` : "";
  states(["bad", "daemon does not answer"]);
  notice(`The daemon does not answer${since}. The page may be out of date. (${error.message})`);
}

function showLimits(status) {
  const select = byId("switch-coin");
  const known = [...select.options].map(({ value }) => value).filter(Boolean);
  if (known.join("\n") !== status.coins.join("\n")) {
    const chosen = select.value;
    select.replaceChildren(...status.coins.map((coin) => el("option", { value: coin }, coin)));
    // A new list of coins must not change the chosen coin.
    if (chosen && !status.coins.includes(chosen)) select.prepend(el("option", { value: "" }, "choose…"));
    select.value = status.coins.includes(chosen) || !chosen ? chosen || status.coins[0] : "";
    byId("coin-names").replaceChildren(...status.coins.map((coin) => el("option", { value: coin })));
  }
  batchCoins(status.coins);
  subPoolLimits(status);
  historyState(status);
  enable(byId("switch-go"), "switcher", status.api);
  byId("batch-preview").disabled = !status.api;
  for (const hint of document.querySelectorAll(".api-off")) hint.hidden = status.api;
}

byId("host").textContent = location.host;
document.title = `${location.host} – switcher`;
setUpUser();
setUpCharts();
setUpSwitch();
setUpBatch();
setUpSubPool();
setUpHistory();
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()));
look();
followChanges();
