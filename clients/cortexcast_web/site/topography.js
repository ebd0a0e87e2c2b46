/** The field over the helmet now: of magnetometers with its sign, of pairs of gradiometers its magnitude. */

import { level, signed, unsigned } from "./colours.js";
import { choice, context, panel, picture, themed, write } from "./dom.js";
import { interpolation, project, reachOf, samePlaces } from "./head.js";
import { drawHead, place } from "./headshape.js";
import { display, short } from "./units.js";

/**
 * @typedef {import("./live.js").Live} Live
 * @typedef {import("./head.js").Point} Point
 * @typedef {import("./client.js").Channel} Channel
 */

const SIZE = 64;
const EDGE = 1.03;

/** A scale follows the largest values at once, and smaller ones slowly: by this share a frame. */
const RELAX = 0.02;

/**
 * One kind of sensor.
 *
 * @typedef {object} Field
 * @property {string} title
 * @property {string} unit
 * @property {number} factor
 * @property {number[][]} places rows of the product's channels, by place
 * @property {Point[]} points
 * @property {ReturnType<typeof interpolation>} picture
 * @property {boolean} isSigned
 * @property {number} high the last colour's value
 * @property {HTMLCanvasElement} raster
 */

export class Topography {
  #picture = picture("Field over the helmet");
  #product = "meg";
  /** @type {Live | null} */
  #live = null;
  /** @type {Field[]} */
  #fields = [];
  /** Of the channels that fields are of: to lay out sensors takes a while. */
  #names = "";
  #painted = -1;

  constructor() {
    const what = choice(
      "MEG field: of what",
      [
        ["meg", "estimate"],
        ["meg_recorded", "recorded"],
      ],
      (value) => {
        this.#product = value;
        this.#painted = -1;
      },
    );
    this.#what = what;
    const { element, note } = panel("topography", "MEG field", [what], this.#picture.frame);
    this.element = element;
    this.#note = note;
  }

  #what;
  #note;

  /** @param {Live} live */
  begin(live) {
    this.#live = live;
    const channels = live.products.get("meg")?.channels ?? [];
    this.element.hidden = !channels.length;
    this.#what.options[1].disabled = !live.products.has("meg_recorded");
    if (this.#what.selectedOptions[0].disabled) this.#what.value = this.#product = "meg";
    this.#painted = -1;
    const names = channels.map(({ name }) => name).join();
    if (names === this.#names) return;
    this.#names = names;
    this.#fields = [
      field("mag", "magnetometers", channels, true),
      field("grad", "gradiometers", channels, false),
    ].filter((each) => each !== null);
  }

  repaint() {
    this.#painted = -1;
  }

  paint() {
    const frame = this.#live?.latest.get(this.#product);
    const anew = this.#picture.fit();
    if (!frame || (!anew && frame.sequence === this.#painted)) return;
    this.#painted = frame.sequence;
    const { canvas } = this.#picture;
    const drawing = context(canvas);
    drawing.clearRect(0, 0, canvas.width, canvas.height);
    /** @type {string[]} */
    const told = [];
    this.#fields.forEach((each, at) => {
      const values = each.places.map((rows) => valueAt(frame, rows, each));
      const largest = Math.max(...values.map(Math.abs));
      if (Number.isFinite(largest)) each.high = Math.max(largest, each.high * (1 - RELAX));
      const width = canvas.width / this.#fields.length;
      this.#draw(drawing, each, values, width, at * width);
      told.push(`${each.title} ${each.isSigned ? "±" : "0 to "}${short(each.high)} ${each.unit}`);
    });
    const unknown = Number.isNaN(frame.data[0]) ? " · too few good electrodes" : "";
    write(this.#note, told.join(" · ") + unknown);
    this.#picture.canvas.setAttribute("aria-label", `Field over the helmet: ${this.#note.textContent}`);
  }

  /**
   * @param {CanvasRenderingContext2D} drawing
   * @param {Field} each
   * @param {number[]} values at its places
   * @param {number} width in pixels
   * @param {number} left
   */
  #draw(drawing, each, values, width, left) {
    const head = place({ width, height: drawing.canvas.height }, 1, left);
    if (values.every(Number.isFinite)) {
      paintField(each, values);
      drawing.imageSmoothingEnabled = true;
      const { x, y, radius } = head;
      drawing.save();
      drawing.beginPath();
      drawing.arc(x, y, radius, 0, 2 * Math.PI);
      drawing.clip();
      drawing.drawImage(each.raster, x - radius, y - radius, 2 * radius, 2 * radius);
      drawing.restore();
    }
    drawHead(drawing, head);
    drawing.fillStyle = themed("--text");
    for (const [px, py] of each.points) {
      drawing.fillRect(head.x + px * head.radius - 1, head.y - py * head.radius - 1, 2, 2);
    }
  }
}

/**
 * @param {string} type
 * @param {string} title
 * @param {Channel[]} channels
 * @param {boolean} isSigned
 * @returns {Field | null} null where there are too few such sensors
 */
function field(type, title, channels, isSigned) {
  const rows = channels.map((_, row) => row).filter((row) => channels[row].type === type);
  const places = samePlaces(rows.map((row) => channels[row].location)).map((same) => same.map((at) => rows[at]));
  if (places.length < 4) return null;
  const projected = project(places.map(([row]) => channels[row].location));
  // A helmet reaches farther down than a rim: its own edge is the circle here.
  const reach = EDGE * reachOf(projected);
  const points = projected.map(([x, y]) => /** @type {Point} */ ([x / reach, y / reach]));
  const raster = Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE });
  const { unit, factor } = display(type);
  return { title, unit, factor, places, points, picture: interpolation(points, SIZE), isSigned, high: 1e-9, raster };
}

/**
 * At a place, the last sample's value, or the magnitude of several.
 *
 * @param {import("./wire.js").Frame} frame
 * @param {number[]} rows
 * @param {Field} each
 */
function valueAt({ data, nSamples }, rows, { isSigned, factor }) {
  const values = rows.map((row) => data[row * nSamples + nSamples - 1] * factor);
  return isSigned ? values[0] : Math.hypot(...values);
}

/**
 * @param {Field} each
 * @param {number[]} values
 */
function paintField({ picture: { pixels, weights }, isSigned, high, raster }, values) {
  const drawing = context(raster);
  const image = drawing.createImageData(SIZE, SIZE);
  const map = isSigned ? signed : unsigned;
  const low = isSigned ? -high : 0;
  const n = values.length;
  for (let i = 0; i < pixels.length; i++) {
    let value = 0;
    for (let j = 0; j < n; j++) value += weights[i * n + j] * values[j];
    const at = 3 * level(value, low, high);
    const pixel = 4 * pixels[i];
    image.data[pixel] = map[at];
    image.data[pixel + 1] = map[at + 1];
    image.data[pixel + 2] = map[at + 2];
    image.data[pixel + 3] = 255;
  }
  drawing.putImageData(image, 0, 0);
}
