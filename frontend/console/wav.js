// Read the WAV of `/v1/calls/{call_id}/audio.wav`: one channel of 16-bit PCM.

/** {samples: Int16Array, rateHz}. Throws: RangeError where it is something else. */
export function readWav(buffer) {
  const view = new DataView(buffer);
  const name = (offset) => String.fromCharCode(...new Uint8Array(buffer, offset, 4));
  let rateHz = 0;
  for (let offset = 12; offset + 8 <= buffer.byteLength;) {
    const size = view.getUint32(offset + 4, true);
    if (name(offset) === "fmt ") rateHz = view.getUint32(offset + 12, true);
    if (name(offset) === "data") {
      const bytes = Math.min(size, buffer.byteLength - offset - 8);
      return { samples: new Int16Array(buffer.slice(offset + 8, offset + 8 + bytes - (bytes % 2))), rateHz };
    }
    offset += 8 + size + (size % 2);
  }
  throw new RangeError("This is no WAV with samples.");
}

/** [[low, high], ...] of each of `count` equal parts, -1 to 1. */
export function peaksOf(samples, count) {
  return Array.from({ length: count }, (_, part) => {
    const start = Math.floor((part * samples.length) / count);
    const end = Math.max(start + 1, Math.floor(((part + 1) * samples.length) / count));
    let low = 0;
    let high = 0;
    for (let i = start; i < end && i < samples.length; i += 1) {
      if (samples[i] < low) low = samples[i];
      if (samples[i] > high) high = samples[i];
    }
    return [low / 32768, high / 32768];
  });
}
