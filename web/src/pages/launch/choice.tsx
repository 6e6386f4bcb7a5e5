import { Input } from 'antd';
import { useId, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

// More than this many are not read one by one: they can be filtered.
const few = 12;

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
  const [shown, filter] = useFilter(options, label);
  return (
    <>
      {filter}
      <div className="choices" role="radiogroup" aria-label={label} id={id}>
        {shown.map((option) => (
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
    </>
  );
}

function useFilter(options: Option[], label: string): [Option[], ReactNode] {
  const { t } = useTranslation();
  const [text, setText] = useState('');
  if (options.length <= few) {
    return [options, null];
  }
  const wanted = text.trim().toLowerCase();
  const shown = options.filter((option) => option.title.toLowerCase().includes(wanted));
  return [
    shown,
    <Input
      key="filter"
      allowClear
      aria-label={t('launch.filter', { what: label })}
      placeholder={t('launch.filter', { what: label })}
      style={{ maxWidth: 360, marginBottom: 12 }}
      value={text}
      onChange={(event) => setText(event.target.value)}
      // Enter would launch.
      onPressEnter={(event) => event.preventDefault()}
    />,
  ];
}

/** Any of a few. The order of choosing is kept. */
export function CardsMany({ label, options, value = [], onChange, id }: Props<string[]>) {
  const [shown, filter] = useFilter(options, label);
  return (
    <>
      {filter}
      <div className="choices" role="group" aria-label={label} id={id}>
        {shown.map((option) => (
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
    </>
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
