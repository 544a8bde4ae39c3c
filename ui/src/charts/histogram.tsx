// A histogram with known edges, on a logarithmic axis where the bins are log-spaced; a marker can say where one value
// lies.
import type { Histogram } from "../api";
import { count, number } from "../format";
import { Frame, useWidth } from "./frame";
import { linear, log } from "./scale";

interface Props {
  of: Histogram;
  xLabel: string;
  yLabel: string;
  logarithmic?: boolean;
  marker?: number | null;
  signed?: boolean;
  height?: number;
}

export function HistogramChart({
  of,
  xLabel,
  yLabel,
  logarithmic = false,
  marker = null,
  signed = false,
  height = 132,
}: Props) {
  const { ref, width } = useWidth();
  return (
    <div ref={ref}>
      {of.counts.length > 0 && <Bars {...{ of, xLabel, yLabel, logarithmic, marker, signed, height, width }} />}
    </div>
  );
}

function Bars({ of, xLabel, yLabel, logarithmic, marker, signed, height, width }: Required<Props> & { width: number }) {
  const margins = { top: 20, right: 8, bottom: 34, left: 44 };
  const { edges, counts } = of,
    most = Math.max(...counts, 1);
  const span: [number, number] = [edges[0]!, edges[edges.length - 1]!];
  const x = (logarithmic && span[0] > 0 ? log : linear)(span, [margins.left, width - margins.right], 6);
  const y = linear([0, most], [height - margins.bottom, margins.top], 3);
  const total = counts.reduce((a, b) => a + b, 0);
  const says = `Histogram of ${count(total)} values from ${number(span[0])} to ${number(span[1])}; the fullest bin holds ${count(most)}.`;
  const side = (i: number) => (signed ? (edges[i]! + edges[i + 1]! >= 0 ? "plus" : "minus") : "bar");
  return (
    <Frame {...{ width, height, margins, x, y, xLabel, yLabel, says }}>
      {counts.map(
        (n, i) =>
          n > 0 && (
            <rect
              key={i}
              class={side(i)}
              x={x(edges[i]!) + 0.5}
              width={Math.max(1, x(edges[i + 1]!) - x(edges[i]!) - 1)}
              y={y(n)}
              height={y(0) - y(n)}
              data-tip={`${number(edges[i])} to ${number(edges[i + 1])}: ${count(n)}`}
            />
          ),
      )}
      {marker !== null && marker >= span[0] && marker <= span[1] && (
        <line class="marker" x1={x(marker)} x2={x(marker)} y1={margins.top} y2={y(0)} />
      )}
    </Frame>
  );
}
