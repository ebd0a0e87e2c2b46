/**
 * Traces that sweep over the screen: each paint draws what is new, so that hundreds of channels cost little. Every sample
 * of a drawn channel is drawn.
 */

import { groups, select } from "./channels.js";
import { choice, context, el, font, panel, picture, setOptions, themed, write } from "./dom.js";
import { display } from "./units.js";
import { FLAGS } from "./wire.js";

/**
 * @typedef {import("./live.js").Live} Live
 * @typedef {import("./live.js").Mark} Mark
 * @typedef {import("./ring.js").Ring} Ring
 * @typedef {import("./client.js").Channel} Channel
 */

const FACTORS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20];
const WINDOWS_S = [2, 5, 10, 20];

/** Of a row's height, what a channel's spread is to take where nothing else was chosen. */
const TYPICAL_SHARE = 0.25;
const JUDGED_S = 2;
const JUDGED_EVERY_MS = 5000;

/** Between the newest and the oldest samples, in pixels of the page. */
const GAP = 12;
const NAMES_WIDTH = 62;
const LEAST_NAME_HEIGHT = 9;

/** @type {[number, string][]} what a frame says of itself, to be told beside its traces */
const SAID = [
  [FLAGS.NO_SIGNAL, "too few good electrodes for an estimate"],
  [FLAGS.RESET, "filters and model are settling"],
  [FLAGS.GAP, "samples are missing"],
  [FLAGS.OUT_OF_DISTRIBUTION, "this EEG is unlike the training data"],
  [FLAGS.INTERPOLATED, "some electrodes are interpolated"],
  [FLAGS.RESTAMPED, "time stamps were replaced"],
];

export class Traces {
  #name;
  #title;
  #pattern = "";
  #group = "";
  #seconds = 10;
  /** Of the typical amplitude, what one row is high: as chosen, */
  #chosen = /** @type {number | null} */ (null);
  /** and as the signal asks for. */
  #auto = /** @type {number | null} */ (null);
  #judged = 0;
  /** @type {Live | null} */
  #live = null;
  /** @type {Ring | null} as it was when it was paused */
  #kept = null;
  /** @type {number[]} */
  #rows = [];
  /** Index after the last sample that was drawn. */
  #drawn = 0;
  /** @type {Map<Mark, number>} indices of marks: once they are known, a later gap in time changes nothing */
  #marks = new Map();
  /** Where the last label of a mark ends. */
  #labelled = 0;
  #stale = true;

  /**
   * @param {string} name of a product
   * @param {string} title
   */
  constructor(name, title) {
    this.#name = name;
    this.#title = title;
    this.#picture = picture(title);
    this.#groups = choice(`${title}: which channels`, [], (value) => {
      this.#group = value;
      this.#choose();
    });
    const windows = WINDOWS_S.map((s) => /** @type {[string, string]} */ ([String(s), `${s} s`]));
    this.#windows = choice(`${title}: width of the window`, windows, (value) => {
      this.#seconds = Number(value);
      this.#stale = true;
    });
    this.#windows.value = String(this.#seconds);
    this.#scales = choice(`${title}: height of a row`, [["", "auto"]], (value) => {
      this.#chosen = value ? Number(value) : null;
      this.#stale = true;
    });
    const names = el("input", {
      type: "search",
      placeholder: "names: Cz, O*",
      "aria-label": `${title}: names of channels`,
      oninput: () => {
        this.#pattern = names.value;
        this.#choose();
      },
    });
    this.#pauseButton = el("button", {
      type: "button",
      textContent: "Pause",
      onclick: () => this.pause(!this.isPaused),
    });
    const controls = [this.#groups, names, this.#scales, this.#windows, this.#pauseButton];
    const { element, note } = panel(`traces-${name}`, title, controls, this.#picture.frame);
    this.element = element;
    this.#note = note;
  }

  #picture;
  #groups;
  #windows;
  #scales;
  #pauseButton;
  #note;

  /** @param {Live} live */
  begin(live) {
    this.#live = live;
    this.element.hidden = !live.products.has(this.#name);
    this.#marks.clear();
    this.#auto = null;
    // What was kept is of another session, with other channels.
    this.pause(false);
    setOptions(
      this.#groups,
      groups(this.#channels).map((name) => [name, name]),
    );
    this.#group = this.#groups.value;
    this.#choose();
  }

  get isPaused() {
    return this.#kept !== null;
  }

  /** @param {boolean} paused */
  pause(paused) {
    if (paused === this.isPaused) return;
    this.#kept = (paused && this.#ring?.copy()) || null;
    this.#stale = true;
    write(this.#pauseButton, this.isPaused ? "Go on" : "Pause");
  }

  /** @param {number} steps to larger rows, or to smaller ones if negative */
  zoom(steps) {
    const at = FACTORS.indexOf(this.#factor) + steps;
    this.#chosen = FACTORS[Math.max(0, Math.min(FACTORS.length - 1, at))];
    this.#scales.value = String(this.#chosen);
    this.#stale = true;
  }

  repaint() {
    this.#stale = true;
  }

  paint() {
    const ring = this.#kept ?? this.#ring;
    if (!ring || !this.#live) return;
    if (this.#picture.fit()) this.#stale = true;
    if (ring.end === ring.begin) return;
    this.#judgeScale(ring);
    const window = Math.min(ring.capacity, Math.round(this.#seconds * ring.rate));
    if (this.#drawn > ring.end || ring.end - this.#drawn >= window) this.#stale = true;
    const isWhole = this.#stale;
    if (isWhole) {
      this.#clear();
      this.#drawn = Math.max(ring.begin, ring.end - window + 1);
      this.#labelled = 0;
      this.#stale = false;
    }
    while (this.#drawn < ring.end) {
      // To the right end of the window, then from its left one on.
      const until = Math.min(ring.end, (Math.floor(this.#drawn / window) + 1) * window);
      this.#draw(ring, window, this.#drawn, until);
      this.#drawn = until;
    }
    this.#drawMarks(ring, window, isWhole);
    this.#tell();
  }

  get #ring() {
    return this.#live?.rings.get(this.#name);
  }

  /** @returns {Channel[]} */
  get #channels() {
    return this.#live?.products.get(this.#name)?.channels ?? [];
  }

  get #types() {
    return [...new Set(this.#rows.map((row) => this.#channels[row].type))];
  }

  get #factor() {
    return this.#chosen ?? this.#auto ?? 1;
  }

  #choose() {
    this.#rows = select(this.#channels, this.#group, this.#pattern);
    this.#auto = null;
    this.#nameScales();
    this.#stale = true;
  }

  #nameScales() {
    const types = this.#types;
    /** @param {number} factor */
    const text = (factor) =>
      types
        .map((type) => `${Number((factor * display(type).typical).toPrecision(2))} ${display(type).unit}`)
        .join(", ");
    /** @type {[string, string][]} */
    const scales = FACTORS.map((factor) => [String(factor), text(factor)]);
    setOptions(this.#scales, [["", this.#auto === null ? "auto" : `auto, ${text(this.#auto)}`], ...scales]);
  }

  /**
   * Once it is known how large the signal is, and again where it has become another one.
   *
   * @param {Ring} ring
   */
  #judgeScale(ring) {
    const now = performance.now();
    if (this.#chosen !== null || ring.end - ring.begin < JUDGED_S * ring.rate || !this.#rows.length) return;
    if (this.#auto !== null && now - this.#judged < JUDGED_EVERY_MS) return;
    this.#judged = now;
    const spread = ring.spread(JUDGED_S);
    const shares = this.#rows
      .map((row) => {
        const { factor, typical } = display(this.#channels[row].type);
        return (spread[row] * factor) / typical;
      })
      .filter(Number.isFinite)
      .sort((one, other) => one - other);
    const wanted = shares[Math.floor(shares.length / 2)] / TYPICAL_SHARE;
    if (!(wanted > 0)) return;
    const best = FACTORS.find((factor) => factor >= wanted) ?? FACTORS[FACTORS.length - 1];
    // One step to and fro would be more restless than it is worth.
    if (this.#auto !== null && Math.abs(FACTORS.indexOf(best) - FACTORS.indexOf(this.#auto)) < 2) return;
    this.#auto = best;
    this.#nameScales();
    this.#stale = true;
  }

  /** The names at the left, and nothing at the right. */
  #clear() {
    const { canvas } = this.#picture;
    const drawing = context(canvas);
    const ratio = window.devicePixelRatio || 1;
    drawing.clearRect(0, 0, canvas.width, canvas.height);
    drawing.fillStyle = themed("--muted");
    const height = this.#rowHeight;
    const every = Math.max(1, Math.ceil((LEAST_NAME_HEIGHT * ratio) / height));
    drawing.font = font(Math.max(LEAST_NAME_HEIGHT * ratio, Math.min(12 * ratio, height * 0.8)));
    drawing.textBaseline = "middle";
    for (let at = 0; at < this.#rows.length; at += every) {
      drawing.fillText(this.#channels[this.#rows[at]].name, 4 * ratio, (at + 0.5) * height, (NAMES_WIDTH - 8) * ratio);
    }
  }

  get #rowHeight() {
    return this.#picture.canvas.height / Math.max(1, this.#rows.length);
  }

  /** Where the traces begin, and how wide they are, in pixels of the canvas. */
  get #place() {
    const left = NAMES_WIDTH * (globalThis.devicePixelRatio || 1);
    return { left, width: this.#picture.canvas.width - left };
  }

  /**
   * Samples from `first` to `until`, which are of one pass over the window.
   *
   * @param {Ring} ring
   * @param {number} window samples
   * @param {number} first
   * @param {number} until
   */
  #draw(ring, window, first, until) {
    const { canvas } = this.#picture;
    const drawing = context(canvas);
    const ratio = globalThis.devicePixelRatio || 1;
    const { left, width } = this.#place;
    const step = width / window;
    const begin = first % window;
    const from = left + Math.max(0, begin - 1) * step;
    const to = left + (begin + until - first - 1) * step;
    drawing.clearRect(Math.floor(from), 0, to - from + GAP * ratio, canvas.height);
    drawing.lineWidth = ratio;
    drawing.lineJoin = "round";
    const height = this.#rowHeight;
    for (const type of this.#types) {
      const { factor, typical } = display(type);
      const pixelsPerUnit = (height * factor) / (typical * this.#factor);
      drawing.strokeStyle = themed(`--${type}`);
      drawing.beginPath();
      for (let at = 0; at < this.#rows.length; at++) {
        const row = this.#rows[at];
        if (this.#channels[row].type !== type) continue;
        const middle = (at + 0.5) * height;
        let isDown = false;
        for (let index = begin ? Math.max(ring.begin, first - 1) : first; index < until; index++) {
          const y = middle - ring.at(row, index) * pixelsPerUnit;
          if (Number.isNaN(y)) {
            isDown = false;
            continue;
          }
          const x = left + (index % window) * step;
          if (isDown) drawing.lineTo(x, y);
          else drawing.moveTo(x, y);
          isDown = true;
        }
      }
      drawing.stroke();
    }
  }

  /**
   * Marks come before their samples or after them.
   *
   * @param {Ring} ring
   * @param {number} window
   * @param {boolean} isWhole those that were drawn before, too
   */
  #drawMarks(ring, window, isWhole) {
    const { marks } = /** @type {Live} */ (this.#live);
    if (isWhole) {
      const kept = new Set(marks);
      for (const [mark, index] of this.#marks) {
        if (index >= ring.begin && index < ring.end) this.#drawMark(mark, index, window);
        else if (!kept.has(mark)) this.#marks.delete(mark);
      }
    }
    // Time that is paused brings no marks.
    if (this.#kept) return;
    for (const mark of marks) {
      if (this.#marks.has(mark)) continue;
      const index = ring.indexAt(mark.time);
      if (index >= ring.end) continue;
      this.#marks.set(mark, index);
      if (index > ring.end - window && index >= ring.begin) this.#drawMark(mark, index, window);
    }
  }

  /**
   * @param {Mark} mark
   * @param {number} index
   * @param {number} window
   */
  #drawMark(mark, index, window) {
    const { canvas } = this.#picture;
    const drawing = context(canvas);
    const ratio = globalThis.devicePixelRatio || 1;
    const { left, width } = this.#place;
    // On a pixel's edge a line is crisp.
    const x = Math.round(left + ((index % window) / window) * width);
    drawing.fillStyle = themed("--marker");
    drawing.fillRect(x, 0, Math.max(1, ratio), canvas.height);
    drawing.font = font(11 * ratio);
    drawing.textBaseline = "top";
    // To the left, where nothing is drawn over it soon; where there is no room, the line must do.
    const begin = x - drawing.measureText(mark.label).width - 3 * ratio;
    if (begin > left && (begin > this.#labelled || x < this.#labelled)) {
      drawing.fillText(mark.label, begin, 2 * ratio);
      this.#labelled = x;
    }
  }

  #tell() {
    const live = /** @type {Live} */ (this.#live);
    const flags = live.latest.get(this.#name)?.flags ?? 0;
    const said = SAID.filter(([flag]) => flags & flag).map(([, words]) => words);
    const rate = live.products.get(this.#name)?.rate_hz;
    const shown = `${this.#rows.length} of ${this.#channels.length} channels, every sample at ${rate} Hz`;
    const paused = this.isPaused ? ["paused"] : [];
    write(this.#note, [shown, ...paused, ...said].join(" · "));
    const label = `${this.#title}: ${shown}, ${this.#seconds} s wide, a row is ${this.#scales.selectedOptions[0]?.text}`;
    if (this.#picture.canvas.ariaLabel !== label) this.#picture.canvas.ariaLabel = label;
  }
}
