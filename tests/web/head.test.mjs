// Sensors lie where a head has them, and a field between them is what it is at them.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  interpolation,
  project,
  reachOf,
  samePlaces,
  solve,
  sphereCentre,
} from "../../clients/cortexcast_web/site/head.js";

const CENTRE = [0.002, -0.01, 0.04];

/** Points on a sphere of 9 cm, by angle from the top and angle about it. */
function sphere(fromTop, about) {
  const [x, y, z] = CENTRE;
  const r = 0.09;
  return [
    x + r * Math.sin(fromTop) * Math.cos(about),
    y + r * Math.sin(fromTop) * Math.sin(about),
    z + r * Math.cos(fromTop),
  ];
}

const SENSORS = Array.from({ length: 40 }, (_, at) => sphere(0.05 * at, 2.4 * at));

function near(found, expected, tolerance = 1e-6) {
  found.forEach((value, at) => assert.ok(Math.abs(value - expected[at]) < tolerance, `${found} is not ${expected}`));
}

test("the sphere is found", () => near(sphereCentre(SENSORS), CENTRE));

test("distances from the top stay what they are", () => {
  const points = project(SENSORS);
  const perRadian = 1 / ((100 * Math.PI) / 180);
  points.forEach((point, at) => assert.ok(Math.abs(Math.hypot(...point) - 0.05 * at * perRadian) < 1e-6));
  near(points[10], [Math.cos(24) * 0.5 * perRadian, Math.sin(24) * 0.5 * perRadian]);
  assert.ok(Math.abs(reachOf(points) - 0.05 * 39 * perRadian) < 1e-6);
});

test("equations are solved, those with a zero on the diagonal too", () => {
  const a = [
    [0, 2, 1],
    [1, 1, 0],
    [3, 0, 4],
  ];
  const x = [[1], [-2], [0.5]];
  const b = a.map((row) => [row.reduce((sum, value, i) => sum + value * x[i][0], 0)]);
  near(solve(a, b).flat(), x.flat());
});

const SIZE = 16;

/** The centre of a pixel. */
function centre(pixel) {
  return [(2 * ((pixel % SIZE) + 0.5)) / SIZE - 1, 1 - (2 * (Math.floor(pixel / SIZE) + 0.5)) / SIZE];
}

const AT_PIXELS = [35, 60, 90, 120, 136, 170, 200, 215, 101];

/** What is painted of values at sensors, by pixel. */
function painted(sensors, values) {
  const { pixels, weights } = interpolation(sensors, SIZE);
  const n = sensors.length;
  return new Map([...pixels].map((pixel, i) => [pixel, values.reduce((sum, v, j) => sum + v * weights[i * n + j], 0)]));
}

test("at sensors the field is what they say", () => {
  const values = AT_PIXELS.map((_, at) => Math.sin(3 * at));
  const field = painted(AT_PIXELS.map(centre), values);
  near(
    AT_PIXELS.map((pixel) => field.get(pixel)),
    values,
    1e-3,
  );
});

test("a field that is even or a slope is so everywhere", () => {
  const sensors = AT_PIXELS.map(centre);
  for (const plane of [() => 2, ([x, y]) => 1 + 3 * x - 2 * y]) {
    const field = painted(sensors, sensors.map(plane));
    for (const [pixel, value] of field) near([value], [plane(centre(pixel))], 1e-4);
  }
});

test("only what is inside the head is painted", () => {
  const { pixels } = interpolation(AT_PIXELS.map(centre), SIZE);
  const inside = Array.from({ length: SIZE * SIZE }, (_, pixel) => pixel).filter((p) => Math.hypot(...centre(p)) <= 1);
  assert.deepEqual([...pixels], inside);
});

test("sensors of one place go together, and those without one are left out", () => {
  const place = [0.1, 0, 0.05];
  const locations = [place, [0, 0.1, 0.05], [], [...place, 1, 0, 0, 0, 1, 0, 0, 0, 1], [0.1, 0, 0.0502]];
  assert.deepEqual(samePlaces(locations), [[0, 3], [1], [4]]);
});
