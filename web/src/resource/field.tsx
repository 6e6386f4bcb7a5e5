import { Input as Line, InputNumber, Select, Switch } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Choice, Field, Value } from './resource';

interface Props<R> {
  field: Field<R>;
  choices: Choice[];
  loading: boolean;
  // What a form gives to what stands in it.
  id?: string;
  value?: Value;
  checked?: boolean;
  onChange?: (value: Value) => void;
}

/** The control of a field. */
export function Input<R>({ field, choices, loading, id, value, checked, onChange }: Props<R>) {
  const { t } = useTranslation();
  const named = { ...(id !== undefined && { id }) };
  switch (field.kind) {
    case 'switch':
      return <Switch {...named} checked={checked === true} onChange={(on) => onChange?.(on)} />;
    case 'number':
      return (
        <InputNumber
          {...named}
          value={value as number | null}
          min={field.min ?? 0}
          {...(field.max !== undefined && { max: field.max })}
          {...(field.unit !== undefined && { suffix: field.unit })}
          precision={0}
          style={{ width: 180 }}
          onChange={(n) => onChange?.(n)}
        />
      );
    case 'choice':
    case 'choices':
      return (
        <Select
          {...named}
          {...(field.kind === 'choices' && { mode: 'multiple' as const })}
          value={value as string}
          options={choices}
          loading={loading}
          showSearch={{ optionFilterProp: 'label' }}
          allowClear={field.required !== true}
          notFoundContent={<span className="muted">{t(loading ? 'loading' : 'resource.noChoice')}</span>}
          onChange={(chosen: Value) => onChange?.(chosen)}
        />
      );
    case 'secret':
      return <Line.Password {...named} value={value as string} autoComplete="new-password" onChange={(event) => onChange?.(event.target.value)} />;
    case 'area':
    case 'lines':
    case 'pairs':
      return <Line.TextArea {...named} value={value as string} rows={3} className="mono" spellCheck={false} onChange={(event) => onChange?.(event.target.value)} />;
    default:
      return <Line {...named} value={value as string} spellCheck={false} onChange={(event) => onChange?.(event.target.value)} />;
  }
}
