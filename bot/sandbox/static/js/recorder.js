// Records a voice clip with the computer's microphone.
import { useEffect, useRef, useState } from "./ui.js";
import { store } from "./store.js";

const REFUSED = "The browser lets the page use no microphone. Attach an audio file instead.";

async function microphone() {
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch {
    store.toast(REFUSED);
    return null;
  }
}

function clipOf(parts, recorded) {
  const [type] = recorded.split(";");
  return new File(parts, `audio_message.${type.split("/")[1]}`, { type });
}

/** `add` is called with a list of the one file when a recording has been stopped. */
export function useRecorder(add) {
  const [running, setRunning] = useState(false);
  const { current: now } = useRef({ asking: false, gone: false, recorder: null });
  const record = (stream) => {
    const [recorder, parts] = [new MediaRecorder(stream), []];
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    recorder.addEventListener("stop", () => {
      for (const track of stream.getTracks()) track.stop();
      if (now.gone) return;
      setRunning(false);
      add([clipOf(parts, recorder.mimeType)]);
    });
    recorder.start();
    now.recorder = recorder;
    setRunning(true);
  };
  const start = async () => {
    if (now.asking) return;
    now.asking = true;
    const stream = await microphone();
    now.asking = false;
    if (stream && now.gone) stream.getTracks().forEach((track) => track.stop());
    else if (stream) record(stream);
  };
  const stop = () => now.recorder?.state === "recording" && now.recorder.stop();
  const leave = () => {
    now.gone = true;
    stop();
  };
  useEffect(() => leave, []);
  return { running, toggle: () => (running ? stop() : start()) };
}
