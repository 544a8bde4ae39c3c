// How often and how strongly a feature fires: density, count, greatest activation, and their histogram.
import type { Feature } from "../api";
import { HistogramChart } from "../charts/histogram";
import { count, number, percent } from "../format";

export function Firing({ of: f }: { of: Feature }) {
  return (
    <section>
      <h2>Activations</h2>
      <dl class="numbers">
        <div>
          <dt>density</dt>
          <dd>{percent(f.density)}</dd>
        </div>
        <div>
          <dt>firings</dt>
          <dd>{count(f.count)}</dd>
        </div>
        <div>
          <dt>strongest</dt>
          <dd>{number(f.max)}</dd>
        </div>
      </dl>
      <HistogramChart of={f.histogram} xLabel="activation, where it fires" yLabel="tokens" logarithmic />
    </section>
  );
}
