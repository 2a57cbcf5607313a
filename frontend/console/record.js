// Record from the microphone as browsers do: WebM/Opus, or MP4/AAC where there is no WebM.

export const MOST_S = 30;

const TYPES = ["audio/webm;codecs=opus", "audio/mp4;codecs=mp4a.40.2", "audio/mp4"];

/** The name of a text that says why this browser can't record; "" where it can. */
export function whyNot() {
  if (!window.isSecureContext) return "microphoneNeedsHttps";
  return navigator.mediaDevices?.getUserMedia && window.MediaRecorder ? "" : "noRecorder";
}

/**
 * A Blob of what was said until `stop` is aborted, or for MOST_S. heard: called ten times a second with the loudness,
 * 0 to 1, and the seconds. Throws: what getUserMedia throws.
 */
export async function record(stop, heard) {
  // What a telephone call needs would take coughs for noise.
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  const context = new AudioContext();
  let clock = 0;
  try {
    const type = TYPES.find((one) => MediaRecorder.isTypeSupported(one));
    const recorder = new MediaRecorder(stream, type ? { mimeType: type } : {});
    const parts = [];
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    const ended = new Promise((resolve) => recorder.addEventListener("stop", resolve));
    const end = () => recorder.state !== "inactive" && recorder.stop();
    const loudness = loudnessOf(context, stream);
    const begun = performance.now();
    recorder.start();
    heard(0, 0);
    clock = setInterval(() => {
      const elapsed = (performance.now() - begun) / 1000;
      heard(loudness(), elapsed);
      if (elapsed >= MOST_S) end();
    }, 100);
    stop.addEventListener("abort", end);
    if (stop.aborted) end();
    await ended;
    return new Blob(parts, { type: recorder.mimeType.split(";")[0] });
  } finally {
    clearInterval(clock);
    for (const track of stream.getTracks()) track.stop();
    await context.close();
  }
}

function loudnessOf(context, stream) {
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return () => {
    analyser.getFloatTimeDomainData(samples);
    return Math.min(1, Math.max(...samples.map(Math.abs)));
  };
}
