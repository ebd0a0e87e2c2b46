/**
 * Sensors on a flat head, and the field between them. Pure.
 *
 * The projection is the azimuthal equidistant one about the top of the sphere that fits the sensors best: distances along
 * the head from its top stay what they are. The field between sensors is a thin-plate spline through their values
 * (Duchon 1977; in topographies Perrin et al., Electroencephalogr. Clin. Neurophysiol. 66, 1987).
 */

/** @typedef {[number, number]} Point x to the right, y to the front; the head's rim is the unit circle */

/** The rim: so far from the top, in radians, as ears and forehead are. */
const RIM = (100 * Math.PI) / 180;

/** Of the diagonal, so that sensors at the same place do not make the spline singular. */
const SMOOTHING = 1e-6;

/**
 * @param {number[][]} locations x to the right, y to the front, z up, in metres; more numbers are not looked at
 * @returns {Point[]}
 */
export function project(locations) {
  if (!locations.length) return [];
  const [x0, y0, z0] = sphereCentre(locations);
  return locations.map(([x, y, z]) => {
    const across = Math.hypot(x - x0, y - y0);
    const fromTop = Math.atan2(across, z - z0) / RIM;
    return across ? [((x - x0) / across) * fromTop, ((y - y0) / across) * fromTop] : [0, 0];
  });
}

/**
 * How far the outermost point is from the top, in radii of the rim.
 *
 * @param {Point[]} points
 */
export function reachOf(points) {
  return Math.max(0, ...points.map((point) => Math.hypot(...point)));
}

/**
 * The sphere with the least squares of (distance² − radius²).
 *
 * @param {number[][]} locations
 */
export function sphereCentre(locations) {
  const rows = locations.map(([x, y, z]) => [x, y, z, 1]);
  const squares = locations.map(([x, y, z]) => x * x + y * y + z * z);
  const normal = times(transposed(rows), rows);
  const right = times(
    transposed(rows),
    squares.map((square) => [square]),
  );
  const [[x], [y], [z]] = solve(normal, right);
  return [x / 2, y / 2, z / 2];
}

/**
 * Weights that make a picture of values at sensors.
 *
 * @param {Point[]} sensors
 * @param {number} size pixels of a side
 * @returns {{size: number, pixels: Int32Array, weights: Float32Array}} numbers of the pixels inside the head, row by row
 *   from the front left, and the weight of each sensor in each of them
 */
export function interpolation(sensors, size) {
  const n = sensors.length;
  // Values at sensors are heights of a spline that is a plane plus a bend about each sensor.
  const system = Array.from({ length: n + 3 }, () => new Array(n + 3).fill(0));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) system[i][j] = bend(sensors[i], sensors[j]);
    system[i][i] += SMOOTHING;
    const plane = [1, ...sensors[i]];
    for (let k = 0; k < 3; k++) system[i][n + k] = system[n + k][i] = plane[k];
  }
  const identity = Array.from({ length: n + 3 }, (_, i) => Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)));
  const coefficients = solve(system, identity);
  const pixels = [];
  const weights = [];
  for (let pixel = 0; pixel < size * size; pixel++) {
    const point = pixelCentre(pixel, size);
    if (Math.hypot(...point) > 1) continue;
    pixels.push(pixel);
    const basis = [...sensors.map((sensor) => bend(point, sensor)), 1, ...point];
    for (let j = 0; j < n; j++) {
      let weight = 0;
      for (let i = 0; i < n + 3; i++) weight += basis[i] * coefficients[i][j];
      weights.push(weight);
    }
  }
  return { size, pixels: Int32Array.from(pixels), weights: Float32Array.from(weights) };
}

/**
 * @param {number} pixel
 * @param {number} size
 * @returns {Point}
 */
function pixelCentre(pixel, size) {
  const [column, row] = [pixel % size, Math.floor(pixel / size)];
  return [(2 * (column + 0.5)) / size - 1, 1 - (2 * (row + 0.5)) / size];
}

/**
 * @param {Point} one
 * @param {Point} other
 */
function bend(one, other) {
  const square = (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2;
  return square ? square * Math.log(square) : 0;
}

/**
 * @param {number[][]} a
 * @param {number[][]} b
 */
function times(a, b) {
  return a.map((row) => b[0].map((_, j) => row.reduce((sum, value, i) => sum + value * b[i][j], 0)));
}

/** @param {number[][]} a */
function transposed(a) {
  return a[0].map((_, j) => a.map((row) => row[j]));
}

/**
 * Gauss's elimination with the largest pivot.
 *
 * @param {number[][]} a square
 * @param {number[][]} b
 * @returns {number[][]} x in a·x = b
 */
export function solve(a, b) {
  const n = a.length;
  const rows = a.map((row, i) => [...row, ...b[i]]);
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let row = column + 1; row < n; row++) {
      if (Math.abs(rows[row][column]) > Math.abs(rows[pivot][column])) pivot = row;
    }
    [rows[column], rows[pivot]] = [rows[pivot], rows[column]];
    const own = rows[column];
    for (let row = 0; row < n; row++) {
      const factor = row === column ? 0 : rows[row][column] / own[column];
      if (!factor) continue;
      for (let k = column; k < own.length; k++) rows[row][k] -= factor * own[k];
    }
  }
  return rows.map((row, i) => row.slice(n).map((value) => value / row[i]));
}

/**
 * Rows of sensors at one place, as two gradiometers of a helmet are; rows without a location are left out.
 *
 * @param {number[][]} locations
 * @returns {number[][]}
 */
export function samePlaces(locations) {
  /** @type {Map<string, number[]>} */
  const places = new Map();
  locations.forEach((location, row) => {
    if (location.length < 3) return;
    const place = location
      .slice(0, 3)
      .map((metre) => Math.round(metre * 1e4))
      .join();
    places.set(place, [...(places.get(place) ?? []), row]);
  });
  return [...places.values()];
}
