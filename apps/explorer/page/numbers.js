// What is typed into the page's fields, as numbers that mean something.

const SMALLEST = -(2 ** 31);
const LARGEST = 2 ** 31 - 1;

// A seed or an index: beyond 32 bits another one would be shown than was typed.
export function wholeNumber(text, name) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < SMALLEST || value > LARGEST) {
    throw new RangeError(`${name} must be a whole number from ${SMALLEST} to ${LARGEST}, got ${text}`);
  }
  return value;
}

export function temperature(text) {
  const value = Math.fround(Number(text));
  if (!(value >= 0 && value < Infinity)) throw new RangeError(`Temperature must be at least 0, got ${text}`);
  return value;
}
