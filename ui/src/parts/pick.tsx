// What filters are made of: one of a list, by a drop-down, and a bound, by a field for a number; each after its label.

/** Shares of rows, as filters offer them. */
export const DENSITIES = [
  ["", "any"],
  ["0.0001", "0.01 %"],
  ["0.001", "0.1 %"],
  ["0.01", "1 %"],
  ["0.05", "5 %"],
  ["0.2", "20 %"],
] as const;

interface Props<T extends string> {
  label: string;
  options: readonly (readonly [T, string])[];
  value: T;
  onChange: (value: T) => void;
}

export function Pick<T extends string>({ label, options, value, onChange }: Props<T>) {
  return (
    <label class="inline">
      {label}{" "}
      <select value={value} onChange={(e) => onChange(e.currentTarget.value as T)}>
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** `value` is null, and an empty text is chosen, where nothing is bounded. */
export function Bound({
  label,
  value,
  onChange,
}: {
  label: string;
  value: string | null;
  onChange: (value: string) => void;
}) {
  return (
    <label class="inline">
      {label}{" "}
      <input
        type="number"
        min="0"
        step="any"
        placeholder="any"
        value={value ?? ""}
        onChange={(e) => onChange(e.currentTarget.value)}
      />
    </label>
  );
}
