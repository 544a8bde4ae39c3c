// Server-sent events over fetch, since EventSource cannot POST. Events come in order; aborting the signal ends the
// stream at the server too.
import { ApiError, refusal } from "./api";

export interface ServerEvent {
  event: string;
  data: unknown;
}

/** Cuts what has come so far into whole events and the rest. */
export function split(buffer: string): { events: ServerEvent[]; rest: string } {
  const blocks = buffer.replace(/\r\n/g, "\n").split("\n\n");
  const rest = blocks.pop() ?? "";
  return { events: blocks.flatMap(parse), rest };
}

function parse(block: string): ServerEvent[] {
  const field = (name: string) =>
    block
      .split("\n")
      .filter((l) => l.startsWith(`${name}:`))
      .map((l) => l.slice(name.length + 1).replace(/^ /, ""));
  const data = field("data");
  return data.length ? [{ event: field("event")[0] ?? "message", data: JSON.parse(data.join("\n")) }] : [];
}

/** POSTs a body and yields the events of the answer. An event `error` is thrown. */
export async function* stream(path: string, body: object, signal: AbortSignal): AsyncGenerator<ServerEvent> {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok || !response.body) throw await refusal(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let buffer = ""; ;) {
    const { done, value } = await reader.read();
    const cut = split(buffer + (value ?? "") + (done ? "\n\n" : ""));
    for (const event of cut.events) {
      if (event.event === "error") throw failure(event.data);
      yield event;
    }
    if (done) return;
    buffer = cut.rest;
  }
}

const failure = (data: unknown) => {
  const { error, hint } = data as { error?: string; hint?: string };
  return new ApiError(error ?? "the stream failed", hint ?? "try again", 200);
};
