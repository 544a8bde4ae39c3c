// Data on its way: a hook that keeps the old answer until the new one is there, and the three states in which a part of
// a page can be.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { ApiError } from "./api";

export interface Loading<T> {
  value: T | null;
  error: Error | null;
  pending: boolean;
}

/**
 * Loads anew whenever `deps` change, and is pending before the next paint; an answer that comes too late is dropped.
 * `load` may return null: nothing to load.
 */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T> | null, deps: unknown[]): Loading<T> {
  const [state, setState] = useState<Loading<T>>({ value: null, error: null, pending: true });
  useLayoutEffect(() => {
    const controller = new AbortController();
    const promise = load(controller.signal);
    if (!promise) {
      setState({ value: null, error: null, pending: false });
      return;
    }
    setState((old) => ({ ...old, error: null, pending: true }));
    promise.then(
      (value) => controller.signal.aborted || setState({ value, error: null, pending: false }),
      (error: Error) => controller.signal.aborted || setState({ value: null, error, pending: false }),
    );
    return () => controller.abort();
  }, deps);
  return state;
}

/** The value once it is there; before that a quiet placeholder, or what went wrong. */
export function Loaded<T>({
  of,
  lines = 4,
  children,
}: {
  of: Loading<T>;
  lines?: number;
  children: (value: T) => ComponentChildren;
}) {
  if (of.error) return <Failure error={of.error} />;
  if (of.value !== null)
    return (
      <div class={of.pending ? "stale" : undefined} aria-busy={of.pending}>
        {children(of.value)}
      </div>
    );
  return of.pending ? <Skeleton lines={lines} /> : null;
}

export function Skeleton({ lines }: { lines: number }) {
  return (
    <div class="skeleton" role="status" aria-label="loading">
      {Array.from({ length: lines }, (_, i) => (
        <span key={i} style={{ width: `${90 - ((i * 37) % 45)}%` }} />
      ))}
    </div>
  );
}

export function Failure({ error }: { error: Error }) {
  const hint = error instanceof ApiError ? error.hint : "reload the page";
  return (
    <div class="notice failure" role="alert">
      <p>
        <strong>This did not work:</strong> {error.message}.
      </p>
      <p class="quiet">What to do: {hint}.</p>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="notice">
      <p>
        <strong>{title}</strong>
      </p>
      {children && <p class="quiet">{children}</p>}
    </div>
  );
}
