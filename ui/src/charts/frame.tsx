// What all charts share: an SVG as wide as its place, ticks along two sides, and a sentence for who cannot see it.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { number } from "../format";
import type { Scale } from "./scale";

/** The width of an element, and a ref to put on it. */
export function useWidth(fallback = 320) {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(fallback);
  useLayoutEffect(() => {
    const measure = () => setWidth(ref.current?.clientWidth || fallback);
    const observer = new ResizeObserver(measure);
    observer.observe(ref.current!);
    measure();
    return () => observer.disconnect();
  }, []);
  return { ref, width };
}

export interface Margins {
  top: number;
  right: number;
  bottom: number;
  left: number;
}

interface FrameProps {
  width: number;
  height: number;
  margins: Margins;
  x: Scale;
  y: Scale;
  xLabel: string;
  yLabel: string;
  says: string;
  grid?: boolean;
  interactive?: boolean;
  children: ComponentChildren;
}

export function Frame({
  width,
  height,
  margins,
  x,
  y,
  xLabel,
  yLabel,
  says,
  grid = true,
  interactive = false,
  children,
}: FrameProps) {
  const bottom = height - margins.bottom,
    right = width - margins.right;
  return (
    <svg class="chart" width={width} height={height} role={interactive ? "group" : "img"} aria-label={says}>
      {y.ticks.map((t) => (
        <g key={t}>
          {grid && <line class="grid" x1={margins.left} x2={right} y1={y(t)} y2={y(t)} />}
          <text x={margins.left - 6} y={y(t)} dy="0.32em" text-anchor="end">
            {tick(t)}
          </text>
        </g>
      ))}
      <line class="axis" x1={margins.left} x2={right} y1={bottom} y2={bottom} />
      {x.ticks.map((t) => (
        <g key={t}>
          <line class="axis" x1={x(t)} x2={x(t)} y1={bottom} y2={bottom + 4} />
          <text x={x(t)} y={bottom + 16} text-anchor="middle">
            {tick(t)}
          </text>
        </g>
      ))}
      <text class="label" x={right} y={height - 3} text-anchor="end">
        {xLabel}
      </text>
      <text class="label" x={margins.left} y={11} text-anchor="start">
        {yLabel}
      </text>
      {children}
    </svg>
  );
}

const tick = (t: number) => {
  if (t === 0) return "0";
  const size = Math.abs(t);
  if (size >= 1e4 || size < 1e-3) return number(t, 1);
  return String(Number(t.toPrecision(6))).replace("-", "−");
};
