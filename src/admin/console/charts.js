// Charts of rates: the growth of the daemon's counters between two statuses. Each coin has its own row, so colour is
// never the only distinction.

import { byId, count, el, shown } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const SHOWN_MS = 5 * 60 * 1000;
const WIDTH = 600;

// Rate of one counter over time.
class Rate {
  points = [];
  last = undefined;

  add(time, value) {
    if (this.last && time > this.last.time) {
      // A restarted daemon counts from 0.
      const grown = value >= this.last.value ? value - this.last.value : value;
      this.points.push({ time, rate: (grown * 1000) / (time - this.last.time) });
    }
    this.last = { time, value };
    while (this.points.length > 0 && this.points[0].time < time - SHOWN_MS) this.points.shift();
  }

  get now() {
    return this.points.at(-1)?.rate;
  }

  get most() {
    return this.points.reduce((most, { rate }) => Math.max(most, rate), 0);
  }

  // Path of the curve below `top`, or of the area under it.
  path(now, top, height, area = false) {
    const at = ({ time, rate }) => {
      const x = WIDTH - ((now - time) / SHOWN_MS) * WIDTH;
      const y = height - 2 - (Math.min(rate, top) / top) * (height - 6);
      return `${x.toFixed(1)} ${y.toFixed(1)}`;
    };
    if (this.points.length === 0) return "";
    const line = `M${this.points.map(at).join("L")}`;
    if (!area) return line;
    const first = at(this.points[0]).split(" ")[0];
    return `${line}V${height}H${first}Z`;
  }
}

// The least of 1, 2, 5, 10, 20, … that is not below the value.
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function perSecond(rate) {
  if (rate === undefined) return "–";
  return rate >= 100 || rate === 0 ? count(Math.round(rate)) : rate.toFixed(1);
}

function path(className) {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("class", className);
  return element;
}

const applied = new Rate();
const failed = new Rate();
const coins = new Map();
const drawn = { area: path("area"), line: path("line"), failed: path("line failed") };

export function setUpCharts() {
  byId("rate-chart").append(drawn.area, drawn.line, drawn.failed);
}

// Adds a status, and draws.
export function drawRates(status) {
  const now = performance.now();
  // The sum includes coins that a reload has removed.
  let [all, bad] = [0, 0];
  for (const [coin, sources] of Object.entries(status.switches)) {
    const sum = (result) => Object.values(sources).reduce((sum, of) => sum + (of[result] ?? 0), 0);
    all += sum("applied");
    bad += sum("not_applied") + sum("unknown");
    if (!status.coins.includes(coin)) continue;
    const row = coins.get(coin) ?? addCoin(coin);
    row.total = sum("applied");
    row.rate.add(now, row.total);
  }
  for (const [coin, { element }] of coins) {
    if (status.coins.includes(coin)) continue;
    element.remove();
    coins.delete(coin);
  }
  applied.add(now, all);
  failed.add(now, bad);
  const top = ceiling(Math.max(applied.most, failed.most));
  drawn.area.setAttribute("d", applied.path(now, top, 120, true));
  drawn.line.setAttribute("d", applied.path(now, top, 120));
  drawn.failed.setAttribute("d", failed.path(now, top, 120));
  byId("rate-top").textContent = `${count(top)}/s`;
  byId("rate-applied").textContent = perSecond(applied.now);
  byId("rate-failed").textContent = perSecond(failed.now);
  byId("waiting").textContent = count(status.switches_waiting);
  byId("held").textContent = count(status.switches_held);
  const label = `applied ${perSecond(applied.now)}, failed or unknown ${perSecond(failed.now)}`;
  byId("rate-chart").setAttribute("aria-label", `Switches per second: ${label}`);
  const most = ceiling(Math.max(...[...coins.values()].map(({ rate }) => rate.most)));
  for (const row of coins.values()) {
    row.area.setAttribute("d", row.rate.path(now, most, 24, true));
    row.line.setAttribute("d", row.rate.path(now, most, 24));
    row.now.textContent = perSecond(row.rate.now);
    row.all.textContent = count(row.total);
  }
}

function addCoin(coin) {
  const spark = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${WIDTH} 24`, preserveAspectRatio: "none", class: "spark" })) {
    spark.setAttribute(name, value);
  }
  spark.setAttribute("aria-hidden", "true");
  const row = { rate: new Rate(), area: path("area"), line: path("line"), total: 0 };
  spark.append(row.area, row.line);
  row.now = el("td", { class: "number" });
  row.all = el("td", { class: "number" });
  const name = el("th", { scope: "row" }, shown(coin, "coin"));
  row.element = el("tr", {}, name, el("td", {}, spark), row.now, row.all);
  byId("coins").tBodies[0].append(row.element);
  coins.set(coin, row);
  return row;
}
