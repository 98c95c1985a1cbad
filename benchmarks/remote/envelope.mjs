// What is said between pocketvae and a program in JavaScript: see pocketvae/processes/envelope.py, arrays.py and
// failures.py, whose forms these are.
//
// A message is one line of JSON; where the line announces `block_bytes`, so many bytes of safetensors follow it.

const TYPES = {
  F32: { dtype: "float32", Kind: Float32Array },
  F16: { dtype: "float16", Kind: undefined },
  I8: { dtype: "int8", Kind: Int8Array },
  U8: { dtype: "uint8", Kind: Uint8Array },
  I16: { dtype: "int16", Kind: Int16Array },
  I32: { dtype: "int32", Kind: Int32Array },
  I64: { dtype: "int64", Kind: globalThis.BigInt64Array },
};
const NEWLINE = 10;
// A block begins with the length of its header, 8 bytes, little-endian.
const PREFIX_BYTES = 8;

export function firstLine(error) {
  return String(error?.message ?? error).split("\n")[0].slice(0, 300);
}

/** The artifact is wrong; `check` is what it fails: loads, interface or runs. */
export class ArtifactFault extends Error {
  constructor(check, error) {
    super(firstLine(error));
    this.check = check;
  }
}

/** The target does not have what the job needs. */
export class TargetError extends Error {}

/** Returns chunks of bytes as one. */
function joined(chunks) {
  const all = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
  let start = 0;
  for (const chunk of chunks) {
    all.set(chunk, start);
    start += chunk.length;
  }
  return all;
}

/** Returns a message and its block as bytes. */
export function encode(message, block = new Uint8Array(0)) {
  const said = block.length ? { ...message, block_bytes: block.length } : message;
  return joined([new TextEncoder().encode(JSON.stringify(said) + "\n"), block]);
}

/** Returns the message at the beginning of some bytes, and its block; null where they do not hold the whole of it. */
export function decode(bytes) {
  const end = bytes.indexOf(NEWLINE);
  if (end < 0) return null;
  const message = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  const size = end + 1 + (message.block_bytes ?? 0);
  return { message, size, block: size <= bytes.length ? bytes.subarray(end + 1, size) : null };
}

/** Yields the messages of a stream, as `decode` returns them. */
export async function* messages(stream) {
  let [chunks, held, wanted] = [[], 0, 0];
  for await (const chunk of stream) {
    chunks.push(chunk);
    held += chunk.length;
    if (held < wanted) continue;
    let bytes = joined(chunks);
    let found = decode(bytes);
    for (; found?.block; found = decode(bytes)) {
      yield found;
      bytes = bytes.subarray(found.size);
    }
    [chunks, held, wanted] = [[bytes], bytes.length, found?.size ?? 0];
  }
}

/** Does what a request asks for and returns the bytes of the response; an error becomes part of it. */
export async function respond({ message: { id, method, params }, block }, handlers) {
  try {
    const { result, arrays } = await handlers[method](params, () => unpack(block));
    return encode({ id, result }, pack(arrays ?? {}));
  } catch (error) {
    return encode({ id, error: failure(error) });
  }
}

function failure(error) {
  if (error instanceof ArtifactFault) return { type: "ArtifactFault", message: error.message, data: { check: error.check } };
  if (error instanceof TargetError) return { type: "TargetError", message: error.message };
  return { type: "InternalError", message: firstLine(error) };
}

/** Returns the arrays of a block by name: `{ dtype, shape, data }` each. */
export function unpack(block) {
  if (!block.length) return {};
  const length = Number(new DataView(block.buffer, block.byteOffset).getBigUint64(0, true));
  const start = PREFIX_BYTES + length;
  const header = JSON.parse(new TextDecoder().decode(block.subarray(PREFIX_BYTES, start)));
  const found = {};
  for (const name of Object.keys(header).filter((key) => key !== "__metadata__").sort()) {
    const { dtype, shape, data_offsets: [first, last] } = header[name];
    const type = TYPES[dtype];
    if (!type?.Kind) throw new TargetError(`JavaScript has no arrays of ${type?.dtype ?? dtype}`);
    // A copy, since an array must begin at a multiple of its elements' size.
    const bytes = new Uint8Array(block.subarray(start + first, start + last));
    found[name] = { dtype: type.dtype, shape, data: new type.Kind(bytes.buffer) };
  }
  return found;
}

/** Returns arrays as a block; each is `{ shape, parts }`, whose parts follow one another. */
export function pack(arrays) {
  const [header, chunks] = [{}, []];
  let offset = 0;
  for (const [name, { shape, parts }] of Object.entries(arrays)) {
    const dtype = Object.keys(TYPES).find((key) => TYPES[key].Kind && parts[0] instanceof TYPES[key].Kind);
    if (!dtype) throw new TargetError(`an output is a ${parts[0]?.constructor?.name}, which cannot be sent`);
    const first = offset;
    for (const part of parts) {
      chunks.push(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
      offset += part.byteLength;
    }
    header[name] = { dtype, shape, data_offsets: [first, offset] };
  }
  if (!Object.keys(header).length) return new Uint8Array(0);
  const said = new TextEncoder().encode(JSON.stringify(header));
  const prefix = new Uint8Array(PREFIX_BYTES);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(said.length), true);
  return joined([prefix, said, ...chunks]);
}
