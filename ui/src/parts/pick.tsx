// One of a list, by a drop-down with its label before it.

/** Shares of rows, as filters offer them. */
export const DENSITIES = [
  ["", "any"],
  ["0.0001", "0.01 %"],
  ["0.001", "0.1 %"],
  ["0.01", "1 %"],
  ["0.05", "5 %"],
  ["0.2", "20 %"],
] as const;

export function Pick({
  label,
  options,
  value,
  onChange,
}: {
  label: string;
  options: readonly (readonly [string, string])[];
  value: string;
  onChange: (event: Event) => void;
}) {
  return (
    <label>
      {label}{" "}
      <select value={value} onChange={onChange}>
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
