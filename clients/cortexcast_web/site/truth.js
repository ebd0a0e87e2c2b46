/** The estimate of one MEG channel against what a file recorded, and how they agree. */

import { choice, context, font, panel, picture, setOptions, themed, write } from "./dom.js";
import { display, short } from "./units.js";

/**
 * @typedef {import("./live.js").Live} Live
 * @typedef {import("./ring.js").Ring} Ring
 */

const SHOWN_S = 5;
const WINDOW_SHARE = 0.92;
/** Of the rows above and below. */
const HEADROOM = 1.15;

export class Truth {
  #picture = picture("Estimate against recorded MEG");
  /** @type {Live | null} */
  #live = null;
  #row = 0;
  #isTruth = false;
  #painted = -1;

  constructor() {
    const channels = choice("Estimate and record: channel", [], (value) => {
      this.#row = Number(value);
      this.#painted = -1;
    });
    this.#channels = channels;
    const { element, note } = panel("truth", "Estimate and record", [channels], this.#picture.frame);
    this.element = element;
    this.#note = note;
  }

  #channels;
  #note;

  /** @param {Live} live */
  begin(live) {
    this.#live = live;
    const channels = live.products.get("meg")?.channels ?? [];
    setOptions(
      this.#channels,
      channels.map(({ name }, row) => [String(row), name]),
    );
    this.#row = Number(this.#channels.value);
    const recorded = live.products.get("meg_recorded");
    this.element.hidden = !recorded;
    // What a real helmet recorded is not the truth: it has noise, and a pose of its own.
    this.#isTruth = recorded?.simulated ?? false;
    this.#painted = -1;
  }

  repaint() {
    this.#painted = -1;
  }

  paint() {
    const estimate = this.#live?.rings.get("meg");
    const truth = this.#live?.rings.get("meg_recorded");
    const anew = this.#picture.fit();
    if (!estimate || !truth || (!anew && truth.end === this.#painted)) return;
    this.#painted = truth.end;
    this.#draw(estimate, truth);
    this.#tell();
  }

  /**
   * @param {Ring} estimate
   * @param {Ring} truth
   */
  #draw(estimate, truth) {
    const live = /** @type {Live} */ (this.#live);
    const channel = live.products.get("meg")?.channels[this.#row];
    if (!channel) return;
    const { canvas } = this.#picture;
    const drawing = context(canvas);
    drawing.clearRect(0, 0, canvas.width, canvas.height);
    const until = Math.min(estimate.end, truth.end);
    const first = Math.max(estimate.begin, truth.begin, until - Math.round(SHOWN_S * truth.rate));
    const std = live.latest.get("meg")?.std?.[this.#row] ?? 0;
    let high = 0;
    for (const ring of [estimate, truth]) {
      for (let index = first; index < until; index++) high = Math.max(high, Math.abs(ring.at(this.#row, index)) || 0);
    }
    high = HEADROOM * Math.max(high, std, 1e-18);
    const step = (WINDOW_SHARE * canvas.width) / (SHOWN_S * truth.rate);
    /** @param {number} value */
    const y = (value) => (canvas.height / 2) * (1 - value / high);
    this.#band(drawing, estimate, first, until, step, y, std);
    this.#line(drawing, truth, first, until, step, y, "--truth");
    this.#line(drawing, estimate, first, until, step, y, `--${channel.type}`);
    this.#legend(drawing, channel.type, high, std > 0);
  }

  /**
   * The estimate's standard deviation about it.
   *
   * @param {CanvasRenderingContext2D} drawing
   * @param {Ring} ring
   * @param {number} first
   * @param {number} until
   * @param {number} step
   * @param {(value: number) => number} y
   * @param {number} std
   */
  #band(drawing, ring, first, until, step, y, std) {
    if (!std) return;
    drawing.fillStyle = themed("--band");
    let begin = first;
    for (let index = first; index <= until; index++) {
      if (index < until && !Number.isNaN(ring.at(this.#row, index))) continue;
      // A stretch without holes is one shape: there along its upper edge, and back along its lower one.
      drawing.beginPath();
      for (let at = begin; at < index; at++) drawing.lineTo((at - first) * step, y(ring.at(this.#row, at) + std));
      for (let at = index - 1; at >= begin; at--) drawing.lineTo((at - first) * step, y(ring.at(this.#row, at) - std));
      drawing.fill();
      begin = index + 1;
    }
  }

  /**
   * @param {CanvasRenderingContext2D} drawing
   * @param {Ring} ring
   * @param {number} first
   * @param {number} until
   * @param {number} step
   * @param {(value: number) => number} y
   * @param {string} colour
   */
  #line(drawing, ring, first, until, step, y, colour) {
    drawing.strokeStyle = themed(colour);
    drawing.lineWidth = 1.5 * (window.devicePixelRatio || 1);
    drawing.beginPath();
    let isDown = false;
    for (let index = first; index < until; index++) {
      const value = ring.at(this.#row, index);
      if (Number.isNaN(value)) isDown = false;
      else if (isDown) drawing.lineTo((index - first) * step, y(value));
      else drawing.moveTo((index - first) * step, y(value));
      isDown = !Number.isNaN(value);
    }
    drawing.stroke();
  }

  /**
   * @param {CanvasRenderingContext2D} drawing
   * @param {string} type
   * @param {number} high
   * @param {boolean} hasStd
   */
  #legend(drawing, type, high, hasStd) {
    const ratio = window.devicePixelRatio || 1;
    const { unit, factor } = display(type);
    drawing.font = font(11 * ratio);
    drawing.textBaseline = "top";
    /** @type {[string, string][]} */
    const words = [
      [`±${short(high * factor)} ${unit}, ${SHOWN_S} s`, "--muted"],
      [hasStd ? "estimate ± SD" : "estimate", `--${type}`],
      [this.#isTruth ? "truth" : "recorded", "--truth"],
    ];
    words.forEach(([text, colour], at) => {
      drawing.fillStyle = themed(colour);
      drawing.fillText(text, 4 * ratio, (3 + 13 * at) * ratio);
    });
  }

  #tell() {
    const agreement = this.#live?.status?.agreement;
    if (!agreement) {
      write(this.#note, "how they agree is told when 2 s could be compared");
      return;
    }
    const kinds = Object.keys(agreement.explained_variance).map((kind) => {
      const explained = agreement.explained_variance[kind].toFixed(2);
      return `${kind}: explained variance ${explained}, median r ${agreement.median_r[kind].toFixed(2)}`;
    });
    write(this.#note, `last ${agreement.seconds.toFixed(0)} s · ${kinds.join(" · ")}`);
    this.#picture.canvas.setAttribute("aria-label", `Estimate against recorded MEG: ${this.#note.textContent}`);
  }
}
