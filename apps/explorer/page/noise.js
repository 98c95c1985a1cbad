// Standard normal noise of the same bits as pocketvae.normal_noise: Threefry-2x32 with 20 rounds (Salmon et al. 2011)
// and a table of 8192 quantiles. All words are 32-bit integers.

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];
const PARITY = 0x1bd11bda;
const ROUNDS = 20;
const TABLE_BITS = 13;

const rotate = (word, bits) => (word << bits) | (word >>> (32 - bits));

export function threefry(key0, key1, counter0, counter1) {
  const keys = [key0 | 0, key1 | 0, key0 ^ key1 ^ PARITY];
  let x0 = (counter0 + keys[0]) | 0;
  let x1 = (counter1 + keys[1]) | 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    x0 = (x0 + x1) | 0;
    x1 = rotate(x1, ROTATIONS[round % 8]) ^ x0;
    if (round % 4 === 3) {
      const injection = (round + 1) / 4;
      x0 = (x0 + keys[injection % 3]) | 0;
      x1 = (x1 + keys[(injection + 1) % 3] + injection) | 0;
    }
  }
  return [x0, x1];
}

// table: Float32Array of 8192 quantiles; seed, index: 32-bit integers. Returns Float32Array(dim).
export function normalNoise(table, seed, index, dim) {
  const blocks = Math.ceil(dim / 2);
  const words = new Int32Array(2 * blocks);
  for (let block = 0; block < blocks; block += 1) {
    [words[block], words[blocks + block]] = threefry(seed, 0, index, block);
  }
  return Float32Array.from({ length: dim }, (_, position) => {
    const word = words[position];
    const sign = word >> 31;
    return table[(word >> (31 - TABLE_BITS)) ^ sign] * (sign ? -1 : 1);
  });
}
