/** The brain in three dimensions, by NiiVue, which is beside us only where it was installed. */

import { level, signed } from "./colours.js";
import { themed } from "./dom.js";

/** @typedef {import("./nifti.js").Volume} Volume */

/** Not written into the import, for it is not always there. */
const NIIVUE = "./vendor/niivue.js";

const COLOURS = "cortexcast";
const FLOAT32 = 16;
const ZOOM = 1.5;
const STEP = 10;

/** What a voxel shows: nothing at 0, and parcels from 1 to 255. */
const LOWEST = 1;
const HIGHEST = 255;

export class Brain3d {
  /**
   * @param {any} niivue
   * @param {Volume} volume
   */
  constructor(niivue, volume) {
    this.niivue = niivue;
    this.volume = volume;
  }

  /**
   * @param {HTMLElement} place
   * @param {string} parcels address of the volume of labels
   * @param {Volume} volume the same, read
   * @throws {Error} NiiVue is not there, or has no WebGL
   */
  static async open(place, parcels, volume) {
    const { Niivue } = await import(NIIVUE);
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute(
      "aria-label",
      "Estimated BOLD on a brain in three dimensions: drag or use the arrows to turn it",
    );
    canvas.tabIndex = 0;
    place.replaceChildren(canvas);
    const niivue = new Niivue({
      show3Dcrosshair: false,
      loadingText: "",
      dragAndDropEnabled: false,
      logLevel: "error",
    });
    await niivue.attachToCanvas(canvas);
    await niivue.loadVolumes([{ url: parcels, name: "parcels.nii.gz" }]);
    niivue.addColormap(COLOURS, colours());
    // Between neighbours nothing is to be seen that no parcel says.
    niivue.setInterpolation(true);
    niivue.setSliceType(niivue.sliceTypeRender);
    niivue.setScale(ZOOM);
    const [shown] = niivue.volumes;
    shown.img = new Float32Array(volume.labels.length);
    Object.assign(shown.hdr, { datatypeCode: FLOAT32, numBitsPerVoxel: 32 });
    Object.assign(shown, { colormap: COLOURS, cal_min: 0, cal_max: HIGHEST });
    canvas.addEventListener("keydown", (event) => turn(niivue, event));
    return new Brain3d(niivue, volume);
  }

  /**
   * @param {Float32Array} values of parcels, in the order of their labels, from one on
   * @param {number} high the last colour's
   */
  show(values, high) {
    const { img } = this.niivue.volumes[0];
    const { labels } = this.volume;
    for (let voxel = 0; voxel < labels.length; voxel++) {
      const value = values[labels[voxel] - 1];
      img[voxel] = value === undefined || Number.isNaN(value) ? 0 : Math.max(LOWEST, level(value, -high, high));
    }
    this.niivue.opts.backColor = numbers(themed("--panel"));
    this.niivue.updateGLVolume();
  }
}

/** As NiiVue takes them: places from 0 to 255, and what is there. */
function colours() {
  const places = [0, LOWEST, 43, 85, 128, 170, 213, HIGHEST];
  const [R, G, B] = [0, 1, 2].map((part) => places.map((at) => signed[3 * at + part]));
  return { R, G, B, A: places.map((at) => (at ? 255 : 0)), I: places };
}

/**
 * @param {any} niivue
 * @param {KeyboardEvent} event
 */
function turn(niivue, event) {
  // NiiVue has keys of its own, which mean other things to the page.
  event.stopPropagation();
  /** @type {Record<string, [number, number]>} azimuth and elevation, in degrees */
  const steps = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
  const step = steps[event.key];
  if (!step) return;
  event.preventDefault();
  const { renderAzimuth, renderElevation } = niivue.scene;
  niivue.setRenderAzimuthElevation(renderAzimuth + step[0], renderElevation + step[1]);
}

/** @param {string} colour as `rgb(1, 2, 3)` */
function numbers(colour) {
  const [red, green, blue] = (colour.match(/\d+/g) ?? []).map((part) => Number(part) / 255);
  return [red, green, blue, 1];
}
