/** The little of NIfTI-1 that a volume of labels needs: https://nifti.nimh.nih.gov/nifti-1 */

/**
 * @typedef {object} Volume
 * @property {[number, number, number]} shape
 * @property {number[]} affine from voxels to mm, 3 rows of 4
 * @property {Int32Array} labels first axis fastest
 */

const HEADER_BYTES = 348;

/** @type {Record<number, (view: DataView, at: number) => number>} by datatype; little-endian */
const READ = {
  2: (view, at) => view.getUint8(at),
  4: (view, at) => view.getInt16(at, true),
  8: (view, at) => view.getInt32(at, true),
  16: (view, at) => view.getFloat32(at, true),
  512: (view, at) => view.getUint16(at, true),
};

/**
 * @param {ArrayBuffer} bytes of a `.nii`, gzipped or not
 * @returns {Promise<Volume>}
 * @throws {Error} not a little-endian NIfTI-1 with an sform and numbers that are labels
 */
export async function readLabels(bytes) {
  const zipped = new DataView(bytes).getUint16(0) === 0x1f8b;
  const file = zipped
    ? await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer()
    : bytes;
  const view = new DataView(file);
  const read = READ[view.getInt16(70, true)];
  if (view.getInt32(0, true) !== HEADER_BYTES || view.getInt16(254, true) <= 0 || !read) {
    throw new Error("the parcels are no NIfTI-1 of labels in a known space");
  }
  const [nx, ny, nz] = [42, 44, 46].map((at) => view.getInt16(at, true));
  const bytesEach = view.getInt16(72, true) / 8;
  const begin = view.getFloat32(108, true);
  const labels = new Int32Array(nx * ny * nz);
  for (let voxel = 0; voxel < labels.length; voxel++) labels[voxel] = read(view, begin + voxel * bytesEach);
  const affine = Array.from({ length: 12 }, (_, i) => view.getFloat32(280 + 4 * i, true));
  return { shape: [nx, ny, nz], affine, labels };
}

/**
 * The smallest box that holds all labels.
 *
 * @param {Volume} volume
 * @returns {Volume}
 */
export function cropped({ shape, affine, labels }) {
  const [nx, ny] = shape;
  const low = [...shape];
  const high = [-1, -1, -1];
  for (let voxel = 0; voxel < labels.length; voxel++) {
    if (!labels[voxel]) continue;
    const at = [voxel % nx, Math.floor(voxel / nx) % ny, Math.floor(voxel / (nx * ny))];
    at.forEach((place, axis) => {
      low[axis] = Math.min(low[axis], place);
      high[axis] = Math.max(high[axis], place);
    });
  }
  const [mx, my, mz] = high.map((place, axis) => Math.max(0, place - low[axis] + 1));
  const kept = new Int32Array(mx * my * mz);
  for (let z = 0; z < mz; z++) {
    for (let y = 0; y < my; y++) {
      const from = low[0] + nx * (y + low[1] + ny * (z + low[2]));
      kept.set(labels.subarray(from, from + mx), mx * (y + my * z));
    }
  }
  const moved = affine.map((value, i) => {
    if (i % 4 !== 3) return value;
    return value + low.reduce((sum, place, axis) => sum + affine[i - 3 + axis] * place, 0);
  });
  return { shape: [mx, my, mz], affine: moved, labels: kept };
}
