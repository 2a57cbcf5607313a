"""What callers are told, in Spanish: English template -> Spanish template with the same names in braces.

Usted, the neutral Spanish of health services in Latin America; a recording is a grabación, a call's record a registro.
"""

from __future__ import annotations

from types import MappingProxyType

_PROBLEM_TITLES = {
    "The API key is missing or wrong": "Falta la clave de la API o no es correcta",
    "The body did not arrive": "El cuerpo de la solicitud no llegó",
    "There is no such call": "No existe esa llamada",
    "The call was erased": "La llamada fue borrada",
    "The call exists with other audio": "La llamada ya existe con otro audio",
    "The call has no diagnosis": "La llamada no tiene diagnóstico",
    "The body is too large": "El cuerpo de la solicitud es demasiado grande",
    "The range lies outside the audio": "El rango está fuera del audio",
    "The format is not supported": "El formato no se admite",
    "The form has no audio": "El formulario no trae audio",
    "The audio is empty": "El audio está vacío",
    "The audio can't be decoded": "El audio no se puede decodificar",
    "The audio is too long": "El audio es demasiado largo",
    "The audio has too many channels": "El audio tiene demasiados canales",
    "The sample rate is not supported": "La frecuencia de muestreo no se admite",
    "The call_id is not valid": "El call_id no es válido",
    "The request is not valid": "La solicitud no es válida",
    "Too much is in work": "Hay demasiado trabajo en curso",
    "The stores can't be reached": "No se puede acceder a los almacenes",
    "The service is not ready": "El servicio no está listo",
    "There is no such route": "No existe esa ruta",
    "The route has no such method": "La ruta no admite ese método",
    "Something went wrong": "Algo salió mal",
}

_REQUESTS = {
    "Send one of this service's API keys in the header X-API-Key.": (
        "Envíe una de las claves de este servicio en el encabezado X-API-Key."
    ),
    "Send the recording as multipart/form-data with a file in the field `audio`.": (
        "Envíe la grabación como multipart/form-data, con un archivo en el campo `audio`."
    ),
    "Send the recording as a file in the form's field `audio`.": (
        "Envíe la grabación como archivo en el campo `audio` del formulario."
    ),
    "Send call_id as a plain field, not as a file.": "Envíe call_id como campo de texto, no como archivo.",
    "The form can't be read ({reason}): send multipart/form-data with the file in the field `audio`.": (
        "No se puede leer el formulario ({reason}): envíe multipart/form-data con el archivo en el campo `audio`."
    ),
    "The form can't be read: send it as UTF-8.": "No se puede leer el formulario: envíelo en UTF-8.",
    "The body came too slowly or not at all: send it again.": (
        "El cuerpo de la solicitud llegó demasiado despacio o no llegó: envíelo de nuevo."
    ),
    "The recording is larger than {most:g} MiB: compress it or send less of it.": (
        "La grabación supera los {most:g} MiB: comprímala o envíe una parte."
    ),
    "The audio store takes no recording of this size: send less of it.": (
        "El almacén de audio no admite una grabación de este tamaño: envíe una parte."
    ),
    "The stored audio is larger than this service takes: store less of it.": (
        "El audio guardado es más grande de lo que admite este servicio: guarde una parte."
    ),
    "call_id must be 1 to 128 letters, digits, or . _ = - and start with a letter or digit: choose another.": (
        "call_id debe tener de 1 a 128 letras sin acento, dígitos o . _ = - y empezar con letra o dígito: elija otro."
    ),
    "`after` is not a token of this listing: send the `next` of the page before.": (
        "`after` no es una marca de este listado: envíe el `next` de la página anterior."
    ),
    "Not valid: {places}. See /docs for what is.": "No es válido: {places}. Consulte /docs.",
    "{title}: see /docs for those there are.": "{title}: consulte /docs.",
    "Try again, and report the request_id if it stays.": "Inténtelo de nuevo y, si sigue igual, informe el request_id.",
}

_CALLS = {
    "There is no call with this call_id: check it, or list the calls.": (
        "No hay ninguna llamada con ese call_id: revíselo o liste las llamadas."
    ),
    "There is neither a record nor audio of this call: check the call_id.": (
        "No hay registro ni audio de esta llamada: revise el call_id."
    ),
    "The audio of this call is no longer stored.": "El audio de esta llamada ya no está guardado.",
    "The diagnosis has {count} segments, counted from 0: ask for one of them.": (
        "El diagnóstico tiene {count} segmentos, contados desde 0: pida uno de ellos."
    ),
    "This call was erased; a new one needs another call_id.": (
        "Esta llamada fue borrada; una nueva necesita otro call_id."
    ),
    "This call was erased while it was being stored: choose another call_id.": (
        "Esta llamada fue borrada mientras se guardaba: elija otro call_id."
    ),
    "This call was erased meanwhile.": "Esta llamada fue borrada entretanto.",
    "This call_id already has other audio: send this recording under another call_id.": (
        "Este call_id ya tiene otro audio: envíe esta grabación con otro call_id."
    ),
    "This call is `{state}`: there is no diagnosis to draw.": (
        "Esta llamada está en `{state}`: no hay diagnóstico que mostrar."
    ),
    "The audio has {size} bytes: ask for a range inside it.": "El audio tiene {size} bytes: pida un rango dentro de él.",
}

_RECORDINGS = {
    "The file is empty: send the recording's bytes.": "El archivo está vacío: envíe los bytes de la grabación.",
    "This is not an audio format that can be decoded: send OGG, WebM, WAV, FLAC, MP3, M4A/AAC or AMR.": (
        "No es un formato de audio que se pueda decodificar: envíe OGG, WebM, WAV, FLAC, MP3, M4A/AAC o AMR."
    ),
    "No decoder knows the codec in this file: send Opus, AAC, MP3, FLAC or WAV.": (
        "Ningún decodificador conoce el códec de este archivo: envíe Opus, AAC, MP3, FLAC o WAV."
    ),
    "No decoder knows this format: send OGG, WebM, WAV, FLAC, MP3, M4A/AAC or AMR.": (
        "Ningún decodificador conoce este formato: envíe OGG, WebM, WAV, FLAC, MP3, M4A/AAC o AMR."
    ),
    "The file has no audio track: record again and send the recording itself.": (
        "El archivo no tiene pista de audio: grabe de nuevo y envíe la grabación."
    ),
    "The file is broken and can't be decoded: record again and send the whole file.": (
        "El archivo está dañado y no se puede decodificar: grabe de nuevo y envíe el archivo completo."
    ),
    "The file can't be decoded: record again and send the whole file.": (
        "El archivo no se puede decodificar: grabe de nuevo y envíe el archivo completo."
    ),
    "The file is broken or holds no usable samples: record again and send the whole file.": (
        "El archivo está dañado o no tiene muestras utilizables: grabe de nuevo y envíe el archivo completo."
    ),
    "The file holds no audio samples: record again and send the whole file.": (
        "El archivo no tiene muestras de audio: grabe de nuevo y envíe el archivo completo."
    ),
    "The file holds NaN or infinite samples: export it again as 16-bit PCM.": (
        "El archivo tiene muestras NaN o infinitas: expórtelo de nuevo como PCM de 16 bits."
    ),
    "The recording is longer than {most:g} s: send only the part with the coughs.": (
        "La grabación dura más de {most:g} s: envíe solo la parte con la tos."
    ),
    "The recording is longer than the limit: send only the part with the coughs.": (
        "La grabación dura más que el límite: envíe solo la parte con la tos."
    ),
    "The recording has {channels} channels: send one channel, or the two parties of a call (at most {most}).": (
        "La grabación tiene {channels} canales: envíe un canal, o las dos partes de una llamada (a lo sumo {most})."
    ),
    "The recording has too many channels: send one, or the two parties of a call.": (
        "La grabación tiene demasiados canales: envíe uno, o las dos partes de una llamada."
    ),
    "The sample rate is {rate} Hz: record between {least} and {most} Hz.": (
        "La frecuencia de muestreo es de {rate} Hz: grabe entre {least} y {most} Hz."
    ),
    "The sample rate lies outside the limits: record at 8 to 48 kHz.": (
        "La frecuencia de muestreo está fuera de los límites: grabe entre 8 y 48 kHz."
    ),
}

_SERVICE = {
    "As many recordings are in work as this service takes at once: try again in a moment.": (
        "Este servicio ya atiende todas las grabaciones que puede a la vez: inténtelo de nuevo en un momento."
    ),
    "The audio store": "El almacén de audio",
    "The record store": "El almacén de registros",
    "{service} can't be used now: try again.": "{service} no se puede usar ahora: inténtelo de nuevo.",
    "{service} can't be reached now: try again.": "{service} no responde ahora: inténtelo de nuevo.",
    "The store did not answer in time: try again.": "El almacén no respondió a tiempo: inténtelo de nuevo.",
    "The audio store can't be used now: try again.": "El almacén de audio no se puede usar ahora: inténtelo de nuevo.",
    "The record store can't be used now: try again.": "El almacén de registros no se puede usar ahora: inténtelo de nuevo.",
    "The audio store removed the recording while it was written: try again.": (
        "El almacén de audio quitó la grabación mientras se escribía: inténtelo de nuevo."
    ),
    "The stored audio is not what was received: try again, and report it if it stays.": (
        "El audio guardado no es el que se recibió: inténtelo de nuevo e infórmelo si sigue igual."
    ),
    "The record store {file} can't be opened: check {folder}/.": (
        "El almacén de registros {file} no se puede abrir: revise {folder}/."
    ),
    "The container's partition key is not /id: make one as docs/azure.md says.": (
        "La clave de partición del contenedor no es /id: cree uno como dice docs/azure.md."
    ),
    "The container has no time to live, so nothing would expire: switch it on (docs/azure.md).": (
        "El contenedor no tiene tiempo de vida y nada vencería: actívelo (docs/azure.md)."
    ),
    "The figure or the sound can't be made now: try again.": (
        "La figura o el sonido no se pueden generar ahora: inténtelo de nuevo."
    ),
    "The call is stored but could not be diagnosed ({code}): send it again.": (
        "La llamada está guardada pero no se pudo diagnosticar ({code}): envíela de nuevo."
    ),
    "The service is shutting down: ask another replica.": "El servicio se está cerrando: consulte otra réplica.",
    "Triton has not answered yet: wait, or check that it runs at TRITON_URL.": (
        "Triton todavía no respondió: espere, o revise que funcione en TRITON_URL."
    ),
}

_MODEL = {
    "{field} is {found!r}, but the model was trained with {expected!r}: "
    "use the model's parameters, or train and export a model with yours.": (
        "{field} es {found!r}, pero el modelo se entrenó con {expected!r}: "
        "use los parámetros del modelo, o entrene y exporte un modelo con los suyos."
    ),
    "The model that Triton serves is not validated: serve a validated one, or set ALLOW_UNVALIDATED=1 to serve it from "
    "the Azure stores all the same.": (
        "El modelo que sirve Triton no está validado: sirva uno validado, o ponga ALLOW_UNVALIDATED=1 para servirlo de "
        "todos modos desde los almacenes de Azure."
    ),
    "The model's config lacks the parameter {name}: export the model again.": (
        "A la configuración del modelo le falta el parámetro {name}: exporte el modelo de nuevo."
    ),
    "A parameter of the model's config can't be read: export the model again.": (
        "No se puede leer un parámetro de la configuración del modelo: exporte el modelo de nuevo."
    ),
    "The model's preprocess_sha256 is not its parameters' digest: export the model again.": (
        "El preprocess_sha256 del modelo no es el de sus parámetros: exporte el modelo de nuevo."
    ),
    "labels are {found!r} in the model, but a diagnosis has {expected!r}: export and serve one that was trained on these.": (
        "labels es {found!r} en el modelo, pero un diagnóstico tiene {expected!r}: exporte y sirva uno entrenado con estas."
    ),
    "The model's thresholds are not in order between 0 and 1: export the model again.": (
        "Los umbrales del modelo no están en orden entre 0 y 1: exporte el modelo de nuevo."
    ),
    "The model's score_margin is not from 0 to below 0.5: export the model again.": (
        "El margen score_margin del modelo no está entre 0 y 0,5: exporte de nuevo el modelo."
    ),
    "The model is not validated, but its two thresholds differ: make them equal.": (
        "El modelo no está validado, pero sus dos umbrales difieren: iguálelos."
    ),
    "The model's tensor {name} is {found}, but the contract says {expected}: serve a model that `make export` made.": (
        "El tensor {name} del modelo es {found}, pero el contrato dice {expected}: sirva un modelo hecho con `make export`."
    ),
    "The model takes no batches: set max_batch_size and export it again.": (
        "El modelo no admite lotes: defina max_batch_size y expórtelo de nuevo."
    ),
    "{file} can't be read: run `make export` or restore it from git.": (
        "No se puede leer {file}: ejecute `make export` o recupérelo de git."
    ),
    "{folder}/ is no release: run `make export` or restore it from git.": (
        "{folder}/ no es una versión publicable: ejecute `make export` o recupérela de git."
    ),
    "{file} is not the file that manifest.json names: restore it from git.": (
        "{file} no es el archivo que nombra manifest.json: recupérelo de git."
    ),
    "{folder}/ holds no {model} to serve: run `make export` or restore it from git.": (
        "{folder}/ no tiene {model} para servir: ejecute `make export` o recupérelo de git."
    ),
    "{file} of {model} can't be read: restore it from git.": "No se puede leer {file} de {model}: recupérelo de git.",
    "{file} of {model} is not the file that its config names: export it again.": (
        "{file} de {model} no es el archivo que nombra su configuración: expórtelo de nuevo."
    ),
}

_GUIDANCE = {
    "Orientation, not a medical diagnosis.": "Orientación, no diagnóstico médico.",
    "Orientation, not a medical diagnosis: the model is not validated, and its answer has no medical meaning.": (
        "Orientación, no diagnóstico médico: el modelo no está validado y su respuesta no tiene valor médico."
    ),
    "One cough was heard, and the model could score it.": "Se oyó una tos y el modelo pudo evaluarla.",
    "{count} coughs were heard, and the model could score them.": "Se oyeron {count} toses y el modelo pudo evaluarlas.",
    "No cough was heard. This is not a negative result.": "No se oyó ninguna tos. Esto no es un resultado negativo.",
    "The recording can't be judged: it can't be heard well enough. This is not a negative result.": (
        "La grabación no se puede evaluar: no se oye lo bastante bien. Esto no es un resultado negativo."
    ),
    "The model can't decide. This is not a negative result.": "El modelo no puede decidir. Esto no es un resultado negativo.",
    "The recording is stored, and its diagnosis follows by itself.": (
        "La grabación está guardada y el diagnóstico llegará solo."
    ),
    "The recording could not be diagnosed.": "La grabación no se pudo diagnosticar.",
    "Hold the telephone closer and cough two or three times.": "Acerque el teléfono y tosa dos o tres veces.",
    "Record for five seconds or more, and cough two or three times.": "Grabe al menos cinco segundos y tosa dos o tres veces.",
    "Nothing can be heard: check that the microphone is on and uncovered, and record again.": (
        "No se oye nada: revise que el micrófono esté encendido y destapado, y grabe de nuevo."
    ),
    "It is too loud: hold the telephone farther away, about 30 cm, and record again.": (
        "Suena demasiado fuerte: aleje el teléfono, a unos 30 cm, y grabe de nuevo."
    ),
    "There is too much noise: go to a quieter place, hold the telephone closer and record again.": (
        "Hay demasiado ruido: vaya a un lugar más tranquilo, acerque el teléfono y grabe de nuevo."
    ),
    "The line carries too little of the sound: send a voice note instead of calling.": (
        "La línea transmite muy poco del sonido: envíe una nota de voz en lugar de llamar."
    ),
    "The sound breaks off again and again: look for better reception, or send a voice note.": (
        "El sonido se corta: busque un lugar con mejor señal o envíe una nota de voz."
    ),
    "The file ends early: send the whole recording.": "El archivo está incompleto: envíe la grabación entera.",
    "There are too few coughs: cough two or three times in one recording.": (
        "Hay muy pocas toses: tosa dos o tres veces en una misma grabación."
    ),
    "Record again; if the answer stays the same, somebody has to examine the person.": (
        "Grabe de nuevo; si la respuesta se repite, hace falta que alguien examine a la persona."
    ),
    "Send the recording again.": "Envíe la grabación de nuevo.",
    "Send the recording again under another call_id.": "Envíe la grabación de nuevo con otro call_id.",
}

SPANISH = MappingProxyType({**_PROBLEM_TITLES, **_REQUESTS, **_CALLS, **_RECORDINGS, **_SERVICE, **_MODEL, **_GUIDANCE})
