// A number with a bar, for lists in which sizes are compared at a glance.

interface Props {
  value: number;
  max: number;
  text: string;
  tone?: "bar" | "plus" | "minus";
}

export function Bar({ value, max, text, tone = "bar" }: Props) {
  const share = Math.min(1, Math.abs(value) / (max || 1));
  return (
    <span class="meter">
      <span class={`fill ${tone}`} style={{ width: `${(100 * share).toFixed(1)}%` }} />
      <span class="num">{text}</span>
    </span>
  );
}
