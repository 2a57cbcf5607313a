// Every text of the console, in Spanish and English. What a recording's answer says in words comes from the API
// (`guidance`, problems), which follows Accept-Language.

const TEXTS = {
  es: {
    otherLanguage: "English",
    skip: "Ir al contenido",
    send: "Nueva grabación",
    calls: "Llamadas",
    apiDocs: "API",
    menu: "Principal",
    forgetKey: "Olvidar clave",
    intendedUse: "Orientación, no diagnóstico médico.",
    model: "Modelo",
    validated: "validado",
    notValidated: "no validado: su respuesta no tiene valor médico",
    keyTitle: "Clave de acceso",
    keyWhy: "Se pide una vez y se guarda solo mientras esta pestaña esté abierta.",
    key: "Clave de la API",
    enter: "Entrar",
    keyWrong: "Esa clave no es correcta: revísela e inténtelo de nuevo.",
    keyForgotten: "Se quitó la clave de esta pestaña.",
    sendTitle: "Escuchar una tos",
    sendHow: "Elija un archivo de audio o grabe con el micrófono: tosa dos o tres veces cerca del teléfono, en un lugar tranquilo.",
    choose: "Elegir un archivo",
    orDrop: "o suéltelo aquí",
    record: "Grabar con el micrófono",
    stop: "Terminar de grabar",
    recording: "Grabando: {seconds} s de {most} s",
    recorded: "grabacion",
    noMicrophone: "No se puede usar el micrófono: permita el acceso en el navegador, o elija un archivo.",
    noRecorder: "Este navegador no puede grabar: use otro, o elija un archivo.",
    microphoneNeedsHttps: "El navegador solo permite el micrófono en una página segura (https): elija un archivo.",
    chosen: "{name} ({size})",
    listenFirst: "Escuchar antes de enviar",
    discard: "Descartar",
    callId: "Identificador propio (opcional)",
    callIdHow: "De 1 a 128 letras sin acento, dígitos o . _ = -. Si queda vacío, se crea uno.",
    sendIt: "Enviar",
    uploading: "Enviando: {percent} %",
    analysing: "Analizando la grabación…",
    unreadable: "El archivo ya no se puede leer: elíjalo de nuevo.",
    othersLeft: "Se toma uno por vez; quedan sin enviar: {count}.",
    unreachable: "No se pudo llegar al servicio: revise la conexión e inténtelo de nuevo.",
    seeRecord: "Ver el registro de esta llamada",
    requestId: "Solicitud {id}",
    retry: "Intentar de nuevo",
    callTitle: "Llamada",
    loading: "Cargando…",
    waiting: "Esta página se actualiza sola.",
    whatToDo: "Qué hacer",
    whatModelSays: "Qué dice el modelo",
    status: "Resultado",
    state: "Estado",
    any: "todos",
    ok: "Tos evaluada",
    no_cough: "Sin tos",
    poor_quality: "Mala calidad",
    inconclusive: "No concluyente",
    received: "En espera",
    diagnosed: "Diagnosticada",
    failed: "Falló",
    too_short: "demasiado corta",
    silent: "silencio",
    clipped: "saturada",
    low_snr: "demasiado ruido",
    narrowband: "banda angosta",
    dropouts: "cortes",
    truncated: "archivo incompleto",
    too_few_coughs: "pocas toses",
    between_thresholds: "entre los dos umbrales",
    unvalidated_model: "modelo no validado",
    negative: "negativo",
    positive: "positivo",
    probabilityOf: "probabilidad de «{label}»: {value}",
    thresholdOne: "umbral: {high}",
    thresholdTwo: "umbrales: {low} y {high}",
    sound: "Sonido",
    waveformOf: "Forma de onda de {duration} s; toses marcadas: {count}",
    soundUnavailable: "El sonido no se puede reproducir aquí.",
    coughs: "Toses",
    others: "Otros sonidos ({count})",
    noCoughs: "El modelo no reconoció ninguna tos.",
    cough: "Tos {n}",
    other: "Sonido {n}",
    play: "Reproducir",
    playCough: "Reproducir {name}, de {start} a {end} s",
    spectrogramOf: "Espectrograma en color de {name}",
    coughProbability: "probabilidad de tos: {value}",
    span: "{start} a {end} s",
    details: "Detalles",
    receivedAt: "Recibida",
    duration: "Duración",
    seconds: "{value} s",
    source: "Origen",
    sourceOf: "{codec}, {rate} kHz, canales: {channels}",
    channel: "Canal evaluado",
    mix: "ambos (son iguales)",
    snr: "Relación señal-ruido",
    bandwidth: "Ancho de banda",
    clipped: "Muestras saturadas",
    reasons: "Motivos",
    attempts: "Intentos",
    software: "Versión del software",
    audioDigest: "SHA-256 del audio",
    modelDigest: "SHA-256 del modelo",
    history: "Evaluaciones anteriores",
    unknown: "desconocido",
    figure: "Ver la figura con ejes",
    figureOf: "Figura de {id}",
    figureAlt: "La forma de onda con cada sonido numerado y su puntaje; debajo, los espectrogramas en color con sus ejes en segundos y kHz",
    downloadAudio: "Descargar el audio original",
    downloadRecord: "Descargar el registro (JSON)",
    erase: "Borrar",
    eraseTitle: "¿Borrar esta llamada?",
    eraseWhat: "Se borran el audio y el registro de {id}. No se puede deshacer, y el identificador no se puede volver a usar.",
    cancel: "Cancelar",
    erased: "La llamada {id} fue borrada.",
    find: "Buscar por identificador",
    open: "Abrir",
    refresh: "Actualizar",
    older: "Más antiguas",
    newest: "Más recientes",
    none: "No hay llamadas que mostrar.",
    callsOf: "Llamadas, las más recientes primero",
    notFound: "Esta página no existe.",
    close: "Cerrar",
  },
  en: {
    otherLanguage: "Español",
    skip: "Skip to content",
    send: "New recording",
    calls: "Calls",
    apiDocs: "API",
    menu: "Main",
    forgetKey: "Forget key",
    intendedUse: "Orientation, not a medical diagnosis.",
    model: "Model",
    validated: "validated",
    notValidated: "not validated: its answer has no medical meaning",
    keyTitle: "Access key",
    keyWhy: "Asked once, and kept only while this tab is open.",
    key: "API key",
    enter: "Enter",
    keyWrong: "That key is not correct: check it and try again.",
    keyForgotten: "The key was removed from this tab.",
    sendTitle: "Listen to a cough",
    sendHow: "Choose an audio file or record from the microphone: cough two or three times close to the telephone, in a quiet place.",
    choose: "Choose a file",
    orDrop: "or drop it here",
    record: "Record from the microphone",
    stop: "Stop recording",
    recording: "Recording: {seconds} s of {most} s",
    recorded: "recording",
    noMicrophone: "The microphone can't be used: allow it in the browser, or choose a file.",
    noRecorder: "This browser can't record: use another, or choose a file.",
    microphoneNeedsHttps: "Browsers give the microphone to secure pages (https) only: choose a file.",
    chosen: "{name} ({size})",
    listenFirst: "Listen before sending",
    discard: "Discard",
    callId: "An id of your own (optional)",
    callIdHow: "1 to 128 letters, digits or . _ = -. Left empty, one is made.",
    sendIt: "Send",
    uploading: "Sending: {percent} %",
    analysing: "Analysing the recording…",
    unreadable: "The file can't be read any more: choose it again.",
    othersLeft: "One is taken at a time; left unsent: {count}.",
    unreachable: "The service can't be reached: check the connection and try again.",
    seeRecord: "See this call's record",
    requestId: "Request {id}",
    retry: "Try again",
    callTitle: "Call",
    loading: "Loading…",
    waiting: "This page updates by itself.",
    whatToDo: "What to do",
    whatModelSays: "What the model says",
    status: "Result",
    state: "State",
    any: "all",
    ok: "Coughs scored",
    no_cough: "No cough",
    poor_quality: "Poor quality",
    inconclusive: "Inconclusive",
    received: "Waiting",
    diagnosed: "Diagnosed",
    failed: "Failed",
    too_short: "too short",
    silent: "silent",
    clipped: "clipped",
    low_snr: "too much noise",
    narrowband: "narrow band",
    dropouts: "dropouts",
    truncated: "file not whole",
    too_few_coughs: "too few coughs",
    between_thresholds: "between the two thresholds",
    unvalidated_model: "model not validated",
    negative: "negative",
    positive: "positive",
    probabilityOf: "probability of “{label}”: {value}",
    thresholdOne: "threshold: {high}",
    thresholdTwo: "thresholds: {low} and {high}",
    sound: "Sound",
    waveformOf: "Waveform of {duration} s; coughs marked: {count}",
    soundUnavailable: "The sound can't be played here.",
    coughs: "Coughs",
    others: "Other sounds ({count})",
    noCoughs: "The model recognised no cough.",
    cough: "Cough {n}",
    other: "Sound {n}",
    play: "Play",
    playCough: "Play {name}, from {start} to {end} s",
    spectrogramOf: "Colour spectrogram of {name}",
    coughProbability: "cough probability: {value}",
    span: "{start} to {end} s",
    details: "Details",
    receivedAt: "Received",
    duration: "Duration",
    seconds: "{value} s",
    source: "Source",
    sourceOf: "{codec}, {rate} kHz, channels: {channels}",
    channel: "Channel that was judged",
    mix: "both (they are the same)",
    snr: "Signal-to-noise ratio",
    bandwidth: "Bandwidth",
    clipped: "Clipped samples",
    reasons: "Reasons",
    attempts: "Attempts",
    software: "Software version",
    audioDigest: "SHA-256 of the audio",
    modelDigest: "SHA-256 of the model",
    history: "Earlier results",
    unknown: "unknown",
    figure: "See the figure with axes",
    figureOf: "Figure of {id}",
    figureAlt: "The waveform with each sound numbered and scored; below it the colour spectrograms, with axes in seconds and kHz",
    downloadAudio: "Download the original audio",
    downloadRecord: "Download the record (JSON)",
    erase: "Erase",
    eraseTitle: "Erase this call?",
    eraseWhat: "The audio and the record of {id} are erased. This can't be undone, and the id can't be used again.",
    cancel: "Cancel",
    erased: "The call {id} was erased.",
    find: "Find by id",
    open: "Open",
    refresh: "Refresh",
    older: "Older",
    newest: "Newest",
    none: "There are no calls to show.",
    callsOf: "Calls, newest first",
    notFound: "There is no such page.",
    close: "Close",
  },
};

const CHOICE = "tosia.language";

let current = remembered() ?? ofTheBrowser();

/** "es" or "en". */
export function language() {
  return current;
}

export function switchLanguage() {
  current = current === "es" ? "en" : "es";
  try {
    localStorage.setItem(CHOICE, current);
  } catch {
    // Storage may be switched off: then the choice lasts as long as the page.
  }
}

/** The text of a name, its values put in for the names in braces. */
export function text(name, values = {}) {
  return TEXTS[current][name].replace(/\{(\w+)\}/g, (_, key) => String(values[key]));
}

/** The text of one of the API's words (a status, a label), or the word itself where there is none. */
export function word(name) {
  return Object.hasOwn(TEXTS[current], name) ? TEXTS[current][name] : String(name);
}

export function number(value, digits = 2) {
  return new Intl.NumberFormat(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export function bytes(count) {
  if (count < 1024) return `${count} bytes`;
  return count < 1024 * 1024 ? `${number(count / 1024, 0)} KiB` : `${number(count / 1024 / 1024, 1)} MiB`;
}

export function moment(rfc3339) {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "medium" }).format(new Date(rfc3339));
}

/** The reader's own country's form of the language: Mexico writes 0.5, Argentina 0,5. */
function locale() {
  return navigator.languages.find((tag) => tag.toLowerCase().startsWith(current)) ?? current;
}

function remembered() {
  try {
    const choice = localStorage.getItem(CHOICE);
    return choice in TEXTS ? choice : null;
  } catch {
    return null;
  }
}

function ofTheBrowser() {
  const known = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in TEXTS);
  return known ?? "es";
}
