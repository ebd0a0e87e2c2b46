/** Colours of values: from blue over the middle to red for what has a sign, from dark to bright for what has none. */

/** @typedef {[number, number, number]} Rgb 0 to 255 */
/** @typedef {Uint8ClampedArray} ColourMap 256 colours, three bytes each */

/**
 * Blue, nearly white, red: told apart by who sees no red or no green, too.
 *
 * @type {Rgb[]}
 */
const SIGNED = [
  [8, 48, 130],
  [56, 120, 190],
  [160, 200, 225],
  [245, 245, 245],
  [250, 180, 140],
  [210, 80, 60],
  [120, 10, 35],
];

/** @type {Rgb[]} */
const UNSIGNED = [
  [16, 14, 44],
  [70, 24, 104],
  [140, 44, 110],
  [205, 72, 84],
  [245, 134, 56],
  [252, 222, 130],
];

/**
 * @param {Rgb[]} stops evenly apart
 * @returns {ColourMap}
 */
function colourMap(stops) {
  const map = new Uint8ClampedArray(3 * 256);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (stops.length - 1);
    const before = Math.min(Math.floor(place), stops.length - 2);
    for (let k = 0; k < 3; k++) {
      map[3 * i + k] = stops[before][k] + (place - before) * (stops[before + 1][k] - stops[before][k]);
    }
  }
  return map;
}

export const signed = colourMap(SIGNED);
export const unsigned = colourMap(UNSIGNED);

/**
 * The place of a value's colour in its map.
 *
 * @param {number} value
 * @param {number} low the first colour's
 * @param {number} high the last colour's
 */
export function level(value, low, high) {
  return Math.max(0, Math.min(255, Math.round((255 * (value - low)) / (high - low))));
}

/**
 * @param {ColourMap} map
 * @param {number} at 0 to 255
 */
export function css(map, at) {
  return `rgb(${map[3 * at]} ${map[3 * at + 1]} ${map[3 * at + 2]})`;
}
