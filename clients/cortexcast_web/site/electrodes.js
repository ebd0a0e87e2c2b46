/** How good the EEG is, electrode by electrode, on a head. */

import { css, level, unsigned } from "./colours.js";
import { context, el, font, panel, picture, themed, write } from "./dom.js";
import { project, reachOf } from "./head.js";
import { drawHead, place } from "./headshape.js";
import { display, short } from "./units.js";

/**
 * @typedef {import("./live.js").Live} Live
 * @typedef {import("./head.js").Point} Point
 * @typedef {"good" | "weak" | "strong" | "interpolated" | "no signal"} Verdict
 */

const JUDGED_S = 2;
const EVERY_MS = 500;

/** Against the median electrode: beyond these a spread is told. */
const WEAK = 0.25;
const STRONG = 4;

export class Electrodes {
  #picture = picture("Quality of the EEG, electrode by electrode");
  #list = el("ul", { class: "told", "aria-label": "What is not good" });
  /** @type {Live | null} */
  #live = null;
  /** @type {Point[]} */
  #points = [];
  #painted = 0;

  constructor() {
    const { element, note } = panel("electrodes", "EEG quality", [], this.#picture.frame, this.#list);
    this.element = element;
    this.#note = note;
  }

  #note;

  /** @param {Live} live */
  begin(live) {
    this.#live = live;
    const channels = live.products.get("eeg")?.channels ?? [];
    this.element.hidden = !channels.length;
    this.#points = project(channels.map((channel) => channel.location));
    this.#painted = 0;
  }

  repaint() {
    this.#painted = 0;
  }

  paint() {
    const ring = this.#live?.rings.get("eeg");
    const now = performance.now();
    if (!ring || (!this.#picture.fit() && now - this.#painted < EVERY_MS)) return;
    this.#painted = now;
    const live = /** @type {Live} */ (this.#live);
    const channels = /** @type {import("./client.js").Product} */ (live.products.get("eeg")).channels;
    // Of a headset that is gone nothing is known.
    const microvolts = ring
      .spread(JUDGED_S)
      .map((volts) => (live.isCurrent ? volts * display("eeg").factor : Number.NaN));
    const names = channels.map((channel) => channel.name);
    const interpolated = new Set(live.status?.interpolated);
    const verdicts = judge(
      microvolts,
      names.map((name) => interpolated.has(name)),
    );
    this.#draw(names, microvolts, verdicts);
    this.#tell(names, microvolts, verdicts);
  }

  /**
   * @param {string[]} names
   * @param {Float32Array} microvolts
   * @param {Verdict[]} verdicts
   */
  #draw(names, microvolts, verdicts) {
    const { canvas } = this.#picture;
    const drawing = context(canvas);
    drawing.clearRect(0, 0, canvas.width, canvas.height);
    const head = place(canvas, reachOf(this.#points));
    drawHead(drawing, head);
    const high = Math.max(...microvolts.filter(Number.isFinite), 1e-3);
    const radius = Math.max(4, head.radius * 0.055);
    drawing.textAlign = "center";
    drawing.textBaseline = "middle";
    drawing.font = font(radius * 0.9);
    this.#points.forEach(([px, py], row) => {
      const [x, y] = [head.x + px * head.radius, head.y - py * head.radius];
      drawing.beginPath();
      drawing.arc(x, y, radius, 0, 2 * Math.PI);
      drawing.fillStyle = Number.isFinite(microvolts[row])
        ? css(unsigned, level(microvolts[row], 0, high))
        : themed("--panel");
      drawing.fill();
      const good = verdicts[row] === "good";
      drawing.lineWidth = good ? 1 : radius * 0.3;
      drawing.strokeStyle = good ? themed("--muted") : themed("--bad");
      drawing.setLineDash(verdicts[row] === "interpolated" ? [radius * 0.4, radius * 0.3] : []);
      drawing.stroke();
      drawing.setLineDash([]);
      if (radius > 11) {
        drawing.fillStyle = level(microvolts[row], 0, high) > 150 ? "#111" : "#fff";
        drawing.fillText(names[row], x, y);
      }
    });
    drawing.textAlign = "left";
  }

  /**
   * @param {string[]} names
   * @param {Float32Array} microvolts
   * @param {Verdict[]} verdicts
   */
  #tell(names, microvolts, verdicts) {
    const told = names
      .map((name, row) => ({ name, verdict: verdicts[row], spread: microvolts[row] }))
      .filter(({ verdict }) => verdict !== "good")
      .map(({ name, verdict, spread }) => `${name}: ${verdict}, ${short(spread)} µV`);
    const { notes = [], bad_channels: left = [] } = this.#live?.status ?? {};
    const lines = [...notes, ...left.map((name) => `${name}: left out, flat or not finite`), ...told];
    if (lines.join() !== [...this.#list.children].map((item) => item.textContent).join()) {
      this.#list.replaceChildren(...lines.map((line) => el("li", { textContent: line })));
    }
    const ordered = microvolts.filter(Number.isFinite).sort();
    const middle = ordered.length ? short(ordered[Math.floor(ordered.length / 2)]) : "–";
    const good = verdicts.filter((verdict) => verdict === "good").length;
    write(
      this.#note,
      `${good} of ${names.length} good · median spread ${middle} µV, brightest ${brightest(ordered)} µV`,
    );
    this.#picture.canvas.setAttribute("aria-label", `EEG quality: ${this.#note.textContent}`);
  }
}

/** @param {Float32Array} ordered */
function brightest(ordered) {
  return ordered.length ? short(ordered[ordered.length - 1]) : "–";
}

/**
 * What is said of each electrode, by its standard deviation.
 *
 * @param {Float32Array} spread
 * @param {boolean[]} interpolated
 * @returns {Verdict[]}
 */
export function judge(spread, interpolated) {
  const ordered = spread.filter((value, row) => Number.isFinite(value) && !interpolated[row]).sort();
  const middle = ordered[Math.floor(ordered.length / 2)];
  return Array.from(spread, (value, row) => {
    if (interpolated[row]) return "interpolated";
    if (!Number.isFinite(value) || value === 0) return "no signal";
    if (value < WEAK * middle) return "weak";
    return value > STRONG * middle ? "strong" : "good";
  });
}
