/** The estimate of BOLD on a brain: our own slices, and, where NiiVue is installed, the same in three dimensions. */

import { parcelsUrl } from "./api.js";
import { level, signed } from "./colours.js";
import { context, el, font, messageOf, panel, picture, themed, write } from "./dom.js";
import { cropped, readLabels } from "./nifti.js";
import { short } from "./units.js";

/**
 * @typedef {import("./live.js").Live} Live
 * @typedef {import("./nifti.js").Volume} Volume
 * @typedef {import("./brain3d.js").Brain3d} Brain3d
 * @typedef {{horizontal: 0 | 1, vertical: 1 | 2}} Plane axes of a slice
 */

/** @type {Plane[]} sagittal, coronal, axial */
const PLANES = [
  { horizontal: 1, vertical: 2 },
  { horizontal: 0, vertical: 2 },
  { horizontal: 0, vertical: 1 },
];

const RELAX = 0.02;
const LEAST_PERCENT = 0.1;
const TRY_AGAIN_MS = 5000;

export class Brain {
  #picture = picture("Estimated BOLD in three slices of the brain");
  #place3d = el("div", { class: "picture", hidden: true });
  /** @type {Live | null} */
  #live = null;
  /** @type {Volume | null} without the emptiness about the brain */
  #volume = null;
  /** @type {Volume | null} as NiiVue loads it */
  #whole = null;
  #model = "";
  /** When the parcels could not be loaded; 0 where they can. */
  #failedAt = 0;
  /** Voxel that all three slices go through. */
  #cross = [0, 0, 0];
  #high = LEAST_PERCENT;
  #painted = -1;
  /** @type {Brain3d | null} */
  #brain3d = null;

  constructor() {
    this.#switch = el("button", {
      type: "button",
      textContent: "3-D",
      "aria-pressed": "false",
      onclick: () => this.#turn(),
    });
    const { element, note } = panel("brain", "fMRI", [this.#switch], this.#picture.frame, this.#place3d);
    this.element = element;
    this.#note = note;
    const { canvas } = this.#picture;
    canvas.tabIndex = 0;
    canvas.onclick = (event) => this.#moveTo(event.offsetX, event.offsetY);
    canvas.onkeydown = (event) => this.#step(event);
  }

  #switch;
  #note;

  /** @param {Live} live */
  begin(live) {
    this.#live = live;
    const product = live.products.get("fmri");
    this.element.hidden = !product;
    this.#painted = -1;
    this.#high = LEAST_PERCENT;
    const model = product?.model?.name ?? "";
    if (model !== this.#model) this.#load(model);
  }

  repaint() {
    this.#painted = -1;
  }

  paint() {
    const frame = this.#live?.latest.get("fmri");
    const anew = this.#picture.fit();
    if (!this.#volume && this.#failedAt && performance.now() - this.#failedAt > TRY_AGAIN_MS) this.#load(this.#model);
    if (!this.#volume || !frame || (!anew && frame.sequence === this.#painted)) return;
    this.#painted = frame.sequence;
    const values = frame.data.filter((_, at) => at % frame.nSamples === frame.nSamples - 1);
    const largest = Math.max(...values.map(Math.abs));
    if (Number.isFinite(largest)) this.#high = Math.max(largest, this.#high * (1 - RELAX), LEAST_PERCENT);
    if (this.#brain3d && !this.#place3d.hidden) this.#brain3d.show(values, this.#high);
    else this.#drawSlices(this.#volume, values);
    this.#tell(values, frame.std);
  }

  /** @param {string} model whose parcels are to be shown from here on */
  async #load(model) {
    this.#model = model;
    this.#volume = null;
    this.#failedAt = 0;
    this.#brain3d = null;
    this.#showFlat(true);
    // There is nothing to turn yet.
    this.#switch.disabled = true;
    if (!model) return;
    try {
      const answer = await fetch(parcelsUrl(model));
      if (!answer.ok) throw new Error(`the parcels of ${model} cannot be read: ${answer.statusText}`);
      const whole = await readLabels(await answer.arrayBuffer());
      if (model !== this.#model) return;
      this.#whole = whole;
      this.#switch.disabled = false;
      this.#volume = cropped(whole);
      this.#cross = this.#volume.shape.map((n) => Math.floor(n / 2));
    } catch (error) {
      if (model !== this.#model) return;
      this.#failedAt = performance.now();
      write(this.#note, messageOf(error));
    }
    this.#painted = -1;
  }

  /** Three dimensions are loaded when they are asked for: they are three megabytes. */
  async #turn() {
    if (!this.#whole) return;
    const isFlat = this.#place3d.hidden;
    if (isFlat && !this.#brain3d) {
      this.#switch.disabled = true;
      try {
        const { Brain3d } = await import("./brain3d.js");
        // It looks how large it is.
        this.#showFlat(false);
        this.#brain3d = await Brain3d.open(this.#place3d, parcelsUrl(this.#model), this.#whole);
        write(this.#switch, "3-D");
      } catch (error) {
        write(this.#switch, "no 3-D");
        this.#switch.title = `NiiVue is not installed, or there is no WebGL here: ${messageOf(error)}`;
      }
      this.#switch.disabled = false;
    }
    this.#showFlat(!isFlat || !this.#brain3d);
  }

  /** @param {boolean} flat */
  #showFlat(flat) {
    this.#place3d.hidden = flat;
    this.#picture.frame.hidden = !flat;
    this.#switch.setAttribute("aria-pressed", String(!flat));
    this.#painted = -1;
  }

  /** Pixels of a voxel, such that three slices lie side by side. */
  #layout() {
    const { shape } = /** @type {Volume} */ (this.#volume);
    const { canvas } = this.#picture;
    const wide = PLANES.reduce((sum, { horizontal }) => sum + shape[horizontal], 0);
    const high = Math.max(...PLANES.map(({ vertical }) => shape[vertical]));
    const zoom = Math.min(canvas.width / wide, canvas.height / high);
    let left = (canvas.width - zoom * wide) / 2;
    return PLANES.map((plane) => {
      const place = { plane, zoom, left, top: (canvas.height - zoom * shape[plane.vertical]) / 2 };
      left += zoom * shape[plane.horizontal];
      return place;
    });
  }

  /**
   * @param {Volume} volume
   * @param {Float32Array} values
   */
  #drawSlices(volume, values) {
    const { canvas } = this.#picture;
    const drawing = context(canvas);
    drawing.clearRect(0, 0, canvas.width, canvas.height);
    drawing.imageSmoothingEnabled = false;
    for (const { plane, zoom, left, top } of this.#layout()) {
      const { horizontal, vertical } = plane;
      const [nx, ny] = [volume.shape[horizontal], volume.shape[vertical]];
      const raster = new OffscreenCanvas(nx, ny);
      const inner = /** @type {OffscreenCanvasRenderingContext2D} */ (raster.getContext("2d"));
      const image = inner.createImageData(nx, ny);
      for (let pixel = 0; pixel < nx * ny; pixel++) {
        const parcel = volume.labels[this.#voxelAt(plane, pixel % nx, Math.floor(pixel / nx))] - 1;
        if (!(parcel >= 0) || Number.isNaN(values[parcel])) continue;
        const at = 3 * level(values[parcel], -this.#high, this.#high);
        image.data.set([signed[at], signed[at + 1], signed[at + 2], 255], 4 * pixel);
      }
      inner.putImageData(image, 0, 0);
      drawing.drawImage(raster, left, top, nx * zoom, ny * zoom);
      drawing.fillStyle = themed("--marker");
      const [x, y] = this.#pixelOf(plane);
      drawing.fillRect(left + (x + 0.5) * zoom, top, 1, ny * zoom);
      drawing.fillRect(left, top + (y + 0.5) * zoom, nx * zoom, 1);
    }
    const ratio = window.devicePixelRatio || 1;
    drawing.fillStyle = themed("--muted");
    drawing.font = font(11 * ratio);
    drawing.textBaseline = "top";
    drawing.fillText("left is left", 4 * ratio, 2 * ratio);
  }

  /**
   * Whether an axis runs to the right, the front, the top.
   *
   * @param {number} axis
   */
  #isForward(axis) {
    return /** @type {Volume} */ (this.#volume).affine[5 * axis] > 0;
  }

  /**
   * The voxel under a pixel of a slice: left is left, the front of a sagittal slice is right, the top is up.
   *
   * @param {Plane} plane
   * @param {number} x
   * @param {number} y
   */
  #voxelAt({ horizontal, vertical }, x, y) {
    const { shape } = /** @type {Volume} */ (this.#volume);
    const at = [...this.#cross];
    at[horizontal] = this.#isForward(horizontal) ? x : shape[horizontal] - 1 - x;
    at[vertical] = this.#isForward(vertical) ? shape[vertical] - 1 - y : y;
    return at[0] + shape[0] * (at[1] + shape[1] * at[2]);
  }

  /** @param {Plane} plane */
  #pixelOf({ horizontal, vertical }) {
    const { shape } = /** @type {Volume} */ (this.#volume);
    const [x, y] = [this.#cross[horizontal], this.#cross[vertical]];
    return [
      this.#isForward(horizontal) ? x : shape[horizontal] - 1 - x,
      this.#isForward(vertical) ? shape[vertical] - 1 - y : y,
    ];
  }

  /**
   * @param {number} offsetX pixels of the page
   * @param {number} offsetY
   */
  #moveTo(offsetX, offsetY) {
    if (!this.#volume) return;
    const ratio = window.devicePixelRatio || 1;
    const { shape } = this.#volume;
    for (const { plane, zoom, left, top } of this.#layout()) {
      const [x, y] = [Math.floor((offsetX * ratio - left) / zoom), Math.floor((offsetY * ratio - top) / zoom)];
      if (x < 0 || y < 0 || x >= shape[plane.horizontal] || y >= shape[plane.vertical]) continue;
      const voxel = this.#voxelAt(plane, x, y);
      const row = Math.floor(voxel / shape[0]);
      this.#cross = [voxel % shape[0], row % shape[1], Math.floor(row / shape[1])];
      this.#painted = -1;
    }
  }

  /**
   * Arrows move the slices left, right, front and back; page up and down, up and down.
   *
   * @param {KeyboardEvent} event
   */
  #step(event) {
    /** @type {Record<string, [number, number]>} axis and direction */
    const steps = {
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      ArrowDown: [1, -1],
      ArrowUp: [1, 1],
      PageDown: [2, -1],
      PageUp: [2, 1],
    };
    const step = steps[event.key];
    if (!step || !this.#volume) return;
    event.preventDefault();
    const [axis, direction] = step;
    const next = this.#cross[axis] + (this.#isForward(axis) ? direction : -direction);
    this.#cross[axis] = Math.max(0, Math.min(this.#volume.shape[axis] - 1, next));
    this.#painted = -1;
  }

  /**
   * @param {Float32Array} values
   * @param {Float32Array | null} std
   */
  #tell(values, std) {
    const { shape, affine, labels } = /** @type {Volume} */ (this.#volume);
    const [x, y, z] = this.#cross;
    const mm = [0, 1, 2]
      .map((row) => affine.slice(4 * row, 4 * row + 4))
      .map(([a, b, c, d]) => a * x + b * y + c * z + d);
    const parcel = labels[x + shape[0] * (y + shape[1] * z)] - 1;
    const name = this.#live?.products.get("fmri")?.channels[parcel]?.name;
    const here = name ? `${name} ${short(values[parcel])}${std ? ` ± ${short(std[parcel])}` : ""} %` : "no parcel";
    const unknown = Number.isNaN(values[0]) ? " · waiting for EEG" : "";
    write(
      this.#note,
      `±${short(this.#high)} % · at ${mm.map((each) => each.toFixed(0)).join(", ")} mm: ${here}${unknown}`,
    );
    this.#picture.canvas.setAttribute("aria-label", `Estimated BOLD in three slices: ${this.#note.textContent}`);
  }
}
