// A stream of events folded into a value, as a hook: it can be started anew, stopped, and ends when its part of the
// page goes.
import { useEffect, useRef, useState } from "preact/hooks";
import { stream } from "../sse";

export interface Streamed<T> {
  value: T;
  running: boolean;
  error: Error | null;
}

export function useStream<T>(path: string, fold: (value: T, event: string, data: unknown) => T) {
  const [state, setState] = useState<Streamed<T> | null>(null);
  const control = useRef<AbortController | null>(null);
  useEffect(() => () => control.current?.abort(), []);
  const start = async (body: object, first: T) => {
    control.current?.abort();
    const { signal } = (control.current = new AbortController());
    const update = (change: (s: Streamed<T>) => Partial<Streamed<T>>) => {
      if (!signal.aborted) setState((s) => s && { ...s, ...change(s) });
    };
    setState({ value: first, running: true, error: null });
    try {
      for await (const { event, data } of stream(path, body, signal))
        update((s) => ({ value: fold(s.value, event, data) }));
      update(() => ({ running: false }));
    } catch (error) {
      update(() => ({ running: false, error: error as Error }));
    }
  };
  const stop = () => {
    control.current?.abort();
    setState((s) => s && { ...s, running: false });
  };
  return { state, start, stop };
}
