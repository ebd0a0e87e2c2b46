/**
 * Traces that sweep over the screen: each paint draws what is new, so that hundreds of channels cost little. Every sample
 * of a drawn channel is drawn.
 */

import { groups, select } from "./channels.js";
import { choice, context, el, font, panel, picture, setOptions, themed, write } from "./dom.js";
import { display, short } from "./units.js";
import { FLAGS } from "./wire.js";

/**
 * @typedef {import("./live.js").Live} Live
 * @typedef {import("./ring.js").Ring} Ring
 * @typedef {import("./client.js").Channel} Channel
 */

const FACTORS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20];
const WINDOWS_S = [2, 5, 10, 20];

/** Of a row's height, what a channel's spread is to take where nothing else was chosen. */
const TYPICAL_SHARE = 0.25;
const JUDGED_AFTER_S = 2;

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
  #pattern = "";
  #group = "";
  #seconds = 10;
  /** Of the typical amplitude, what one row is high; null until it is known or chosen. */
  #factor = /** @type {number | null} */ (null);
  #paused = false;
  /** @type {Live | null} */
  #live = null;
  /** @type {Ring | null} as it was when it was paused */
  #kept = null;
  /** @type {number[]} */
  #rows = [];
  /** Index after the last sample that was drawn. */
  #drawn = 0;
  #markersDrawn = 0;
  /** Where the last label of a marker ends. */
  #labelled = 0;
  #stale = true;

  /**
   * @param {string} name of a product
   * @param {string} title
   */
  constructor(name, title) {
    this.#name = name;
    this.#picture = picture(`${title}, not started`);
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
      this.#factor = value ? Number(value) : null;
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
      "aria-pressed": "false",
      onclick: () => this.pause(!this.#paused),
    });
    this.#title = title;
    const controls = [this.#groups, names, this.#scales, this.#windows, this.#pauseButton];
    const { element, note } = panel(`traces-${name}`, title, controls, this.#picture.frame);
    this.element = element;
    this.#note = note;
  }

  #title;
  #picture;
  #groups;
  #windows;
  #scales;
  #pauseButton;
  #note;

  /** @param {Live} live */
  begin(live) {
    this.#live = live;
    // What was kept is of another session, with other channels.
    this.pause(false);
    const channels = this.#channels;
    setOptions(
      this.#groups,
      groups(channels).map((name) => [name, name]),
    );
    this.#group = this.#groups.value;
    this.#choose();
  }

  /** @param {boolean} paused */
  pause(paused) {
    this.#paused = paused;
    this.#kept = paused ? (this.#ring?.copy() ?? null) : null;
    this.#stale = true;
    write(this.#pauseButton, paused ? "Go on" : "Pause");
    this.#pauseButton.setAttribute("aria-pressed", String(paused));
  }

  /** @param {number} steps to larger rows, or to smaller ones if negative */
  zoom(steps) {
    const at = FACTORS.indexOf(this.#factor ?? 1) + steps;
    this.#factor = FACTORS[Math.max(0, Math.min(FACTORS.length - 1, at))];
    this.#scales.value = String(this.#factor);
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
    if (this.#stale) {
      this.#clear();
      this.#drawn = Math.max(ring.begin, ring.end - window + 1);
      this.#labelled = 0;
      this.#markersDrawn = Math.max(0, this.#live.nMarkers - this.#live.markers.length);
      this.#stale = false;
    }
    while (this.#drawn < ring.end) {
      // To the right end of the window, then from its left one on.
      const until = Math.min(ring.end, (Math.floor(this.#drawn / window) + 1) * window);
      this.#draw(ring, window, this.#drawn, until);
      this.#drawn = until;
    }
    if (!this.#kept) this.#drawMarkers(ring, window);
    this.#tell();
  }

  get #ring() {
    return this.#live?.rings.get(this.#name);
  }

  /** @returns {Channel[]} */
  get #channels() {
    return this.#live?.products.get(this.#name)?.channels ?? [];
  }

  #choose() {
    this.#rows = select(this.#channels, this.#group, this.#pattern);
    const types = this.#types;
    /** @param {number} factor */
    const text = (factor) =>
      types.map((type) => `${short(factor * display(type).typical)} ${display(type).unit}`).join(", ");
    /** @type {[string, string][]} */
    const scales = FACTORS.map((factor) => [String(factor), text(factor)]);
    setOptions(this.#scales, [["", "auto"], ...scales]);
    this.#scales.value = this.#factor === null ? "" : String(this.#factor);
    this.#stale = true;
  }

  get #types() {
    return [...new Set(this.#rows.map((row) => this.#channels[row].type))];
  }

  /**
   * Once it is known how large the signal is.
   *
   * @param {Ring} ring
   */
  #judgeScale(ring) {
    if (this.#factor !== null || ring.end - ring.begin < JUDGED_AFTER_S * ring.rate || !this.#rows.length) return;
    const spread = ring.spread(JUDGED_AFTER_S);
    const shares = this.#rows
      .map(
        (row) => (spread[row] * display(this.#channels[row].type).factor) / display(this.#channels[row].type).typical,
      )
      .filter(Number.isFinite)
      .sort((one, other) => one - other);
    if (!shares.length) return;
    const wanted = shares[Math.floor(shares.length / 2)] / TYPICAL_SHARE;
    this.#factor = FACTORS.find((factor) => factor >= wanted) ?? FACTORS[FACTORS.length - 1];
    this.#scales.value = String(this.#factor);
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
    const size = Math.max(LEAST_NAME_HEIGHT * ratio, Math.min(12 * ratio, height * 0.8));
    drawing.font = font(size);
    drawing.textBaseline = "middle";
    for (let at = 0; at < this.#rows.length; at += every) {
      drawing.fillText(this.#channels[this.#rows[at]].name, 4 * ratio, (at + 0.5) * height, (NAMES_WIDTH - 8) * ratio);
    }
  }

  get #rowHeight() {
    return this.#picture.canvas.height / Math.max(1, this.#rows.length);
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
    const left = NAMES_WIDTH * ratio;
    const step = (canvas.width - left) / window;
    const begin = first % window;
    const from = left + Math.max(0, begin - 1) * step;
    const to = left + (begin + until - first - 1) * step;
    drawing.clearRect(Math.floor(from), 0, to - from + GAP * ratio, canvas.height);
    drawing.lineWidth = ratio;
    drawing.lineJoin = "round";
    const height = this.#rowHeight;
    for (const type of this.#types) {
      const { factor, typical } = display(type);
      const pixelsPerUnit = (height * factor) / (typical * (this.#factor ?? 1));
      drawing.strokeStyle = themed(`--${type}`) || themed("--text");
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
   * Markers come before their samples or after them.
   *
   * @param {Ring} ring
   * @param {number} window
   */
  #drawMarkers(ring, window) {
    const live = /** @type {Live} */ (this.#live);
    const { canvas } = this.#picture;
    const drawing = context(canvas);
    const ratio = globalThis.devicePixelRatio || 1;
    const left = NAMES_WIDTH * ratio;
    const forgotten = live.nMarkers - live.markers.length;
    while (this.#markersDrawn < live.nMarkers) {
      const marker = live.markers[this.#markersDrawn - forgotten];
      const index = ring.indexAt(marker.time);
      if (index >= ring.end) return;
      this.#markersDrawn += 1;
      if (index < Math.max(ring.begin, ring.end - window)) continue;
      const x = left + ((index % window) / window) * (canvas.width - left);
      drawing.fillStyle = themed("--marker");
      drawing.fillRect(x, 0, ratio, canvas.height);
      drawing.font = font(11 * ratio);
      drawing.textBaseline = "top";
      // To the left, where nothing is drawn over it soon; where there is no room, the line must do.
      const begin = x - drawing.measureText(marker.label).width - 3 * ratio;
      if (begin > left && (begin > this.#labelled || x < this.#labelled)) {
        drawing.fillText(marker.label, begin, 2 * ratio);
        this.#labelled = x;
      }
    }
  }

  #tell() {
    const live = /** @type {Live} */ (this.#live);
    const flags = live.latest.get(this.#name)?.flags ?? 0;
    const said = SAID.filter(([flag]) => flags & flag).map(([, words]) => words);
    const shown = `${this.#rows.length} of ${this.#channels.length} channels, every sample`;
    write(this.#note, [shown, ...said].join(" · "));
    this.#picture.canvas.setAttribute(
      "aria-label",
      `${this.#title}: ${shown}, ${this.#seconds} s wide, a row is ${this.#scales.selectedOptions[0]?.text}`,
    );
  }
}
