import { useId, type ReactNode } from 'react';

export interface Option {
  value: string;
  title: string;
  text?: ReactNode;
  disabled?: string | undefined; // why
}

interface Props<V> {
  label: string;
  options: Option[];
  value?: V;
  onChange?: (value: V) => void;
  id?: string;
}

/** One of a few, as cards: what matters for the choice is read before it is made. */
export function Cards({ label, options, value, onChange, id }: Props<string>) {
  const name = useId();
  return (
    <div className="choices" role="radiogroup" aria-label={label} id={id}>
      {options.map((option) => (
        <Card key={option.value} option={option}>
          <input
            type="radio"
            name={name}
            value={option.value}
            checked={value === option.value}
            disabled={option.disabled !== undefined}
            onChange={() => onChange?.(option.value)}
          />
        </Card>
      ))}
    </div>
  );
}

/** Any of a few. The order of choosing is kept. */
export function CardsMany({ label, options, value = [], onChange, id }: Props<string[]>) {
  return (
    <div className="choices" role="group" aria-label={label} id={id}>
      {options.map((option) => (
        <Card key={option.value} option={option}>
          <input
            type="checkbox"
            value={option.value}
            checked={value.includes(option.value)}
            disabled={option.disabled !== undefined}
            onChange={(event) =>
              onChange?.(event.target.checked ? [...value, option.value] : value.filter((v) => v !== option.value))
            }
          />
        </Card>
      ))}
    </div>
  );
}

function Card({ option, children }: { option: Option; children: ReactNode }) {
  return (
    <label className="choice">
      {children}
      <strong>{option.title}</strong>
      {option.text !== undefined && <span className="muted small nums">{option.text}</span>}
      {option.disabled !== undefined && <span className="small tone-warn" style={{ display: 'block' }}>{option.disabled}</span>}
    </label>
  );
}
