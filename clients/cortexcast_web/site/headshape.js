/** The outline of a head from above, nose up. */

import { themed } from "./dom.js";

const NOSE = 1.12;
const MARGIN = 0.07;

/** @typedef {{x: number, y: number, radius: number}} Head centre and radius in pixels */

/**
 * Where a head lies on a canvas, or on a part of it, so that all its sensors are on it.
 *
 * @param {{width: number, height: number}} size
 * @param {number} reach of the outermost sensor, in radii
 * @param {number} [left]
 * @returns {Head}
 */
export function place({ width, height }, reach, left = 0) {
  const room = Math.max(NOSE, reach + MARGIN);
  return { x: left + width / 2, y: height * 0.52, radius: (0.48 * Math.min(width, height)) / room };
}

/**
 * @param {CanvasRenderingContext2D} drawing
 * @param {Head} head
 */
export function drawHead(drawing, { x, y, radius }) {
  drawing.strokeStyle = themed("--muted");
  drawing.lineWidth = Math.max(1, radius * 0.015);
  drawing.beginPath();
  drawing.arc(x, y, radius, 0, 2 * Math.PI);
  drawing.moveTo(x - radius * 0.13, y - radius * 0.99);
  drawing.lineTo(x, y - radius * NOSE);
  drawing.lineTo(x + radius * 0.13, y - radius * 0.99);
  for (const side of [-1, 1]) {
    drawing.moveTo(x + side * radius, y - radius * 0.15);
    drawing.quadraticCurveTo(x + side * radius * 1.12, y, x + side * radius, y + radius * 0.15);
  }
  drawing.stroke();
}
