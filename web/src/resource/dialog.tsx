import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Alert, App, Button, Form, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { perform } from '../api/client';
import { useHere } from '../shell/here';
import { CopyButton } from '../ui/copy';
import { DownloadOutlined } from '../ui/icons';
import { Problem, Told } from '../ui/problem';
import { save } from '../ui/save';
import { Mark } from '../ui/status';
import { bodyOf, initial, veiled } from './body';
import { AsCommand } from './as-command';
import { Input } from './field';
import { refresh } from './query';
import { useUndo } from './undo';
import type { Action, Choice, Field, Resource, Scope, Values } from './resource';

type Result = { is: 'busy' } | { is: 'ok' } | { is: 'bad'; error: Error };

const atOnce = 6;

interface Props<R> {
  resource: Resource<R>;
  action: Action<R>;
  /** Empty for a creation. */
  rows: R[];
  preset?: Values;
  close: () => void;
}

/** Asks for what an action needs, shows it as a command, does it, and tells what became of each row. */
export function ActionDialog<R>({ resource, action, rows, preset = {}, close }: Props<R>) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const { scope } = useHere();
  const queryClient = useQueryClient();
  const offerUndo = useUndo();
  const [form] = Form.useForm<Values>();
  const watched = Form.useWatch([], form) as Values | undefined;
  const [results, setResults] = useState<Result[] | null>(null);
  const [secrets, setSecrets] = useState<ReturnType<NonNullable<Action<R>['secret']>> | null>(null);

  const first = rows[0];
  const start = initial(action, first, preset);
  const values = { ...start, ...watched };
  // Of the chosen rows, those whose state does not allow it are left out, and named.
  const able = rows.filter((row) => action.able?.(row, scope) !== false);
  // A creation is one request about no row.
  const targets: (R | undefined)[] = rows.length === 0 ? [undefined] : able;
  const calls = (typed: Values) =>
    targets.map((row) => action.call?.(bodyOf(action, typed, row, scope, preset), row as R, scope)).filter((call) => call !== undefined);
  const busy = results?.some((result) => result.is === 'busy') === true;
  const finished = results !== null && !busy;
  const what = rows.length > 1 ? t('resource.count', { count: rows.length }) : first === undefined ? '' : resource.name(first);
  const title = what === '' ? t(action.word) : t('resource.about', { action: t(action.word), what });

  const run = async (typed: Values) => {
    const outcome: Result[] = targets.map(() => ({ is: 'busy' }));
    setResults([...outcome]);
    const queue = calls(typed).map((call, index) => ({ call, index }));
    let shown: typeof secrets = null;
    const work = async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        try {
          const reply = await perform(next.call);
          shown = action.secret?.(reply) ?? shown;
          outcome[next.index] = { is: 'ok' };
        } catch (error) {
          outcome[next.index] = { is: 'bad', error: error as Error };
        }
        setResults([...outcome]);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
    await refresh(queryClient);
    const { undo } = action;
    if (undo !== undefined) {
      void offerUndo(title, able.filter((_, i) => outcome[i]?.is === 'ok').map(undo));
    }
    if (shown !== null) {
      setSecrets(shown);
    } else if (rows.length <= 1 && outcome[0]?.is === 'ok') {
      message.success(title);
      close();
    }
  };

  const single = rows.length <= 1 ? results?.[0] : undefined;
  if (secrets !== null) {
    return (
      <Modal open title={title} closable={false} keyboard={false} mask={{ closable: false }} footer={<Button type="primary" onClick={close}>{t('resource.kept')}</Button>}>
        <div className="stack">
          <Alert type="warning" showIcon title={t('resource.once')} description={t(action.secretHelp ?? 'resource.onceHelp')} />
          {secrets.map(({ word, text, file }) => (
            <div key={word} className="row" style={{ flexWrap: 'wrap' }}>
              <span className="muted">{t(word)}</span> <code className="mono wrap" style={{ whiteSpace: 'pre-wrap' }}>{text}</code>
              <CopyButton text={text} />
              {file !== undefined && (
                <Button icon={<DownloadOutlined />} onClick={() => save(file, text)}>
                  {t('key.download')}
                </Button>
              )}
            </div>
          ))}
        </div>
      </Modal>
    );
  }
  return (
    <Modal open title={title} onCancel={close} footer={null} destroyOnHidden mask={{ closable: !busy }}>
      <Form<Values>
        form={form}
        name={action.key}
        layout="vertical"
        requiredMark={false}
        initialValues={start}
        disabled={busy}
        onFinish={(typed) => void run({ ...start, ...typed })}
      >
        {action.ask !== undefined && !finished && <p style={{ marginTop: 0 }}>{t(action.ask)}</p>}
        {rows.length > 1 && (
          <ul className="results" aria-live="polite">
            {rows.map((row) => {
              const result = results?.[able.indexOf(row)];
              return <RowResult key={resource.id(row)} name={resource.name(row)} left={!able.includes(row)} {...(result && { result })} />;
            })}
          </ul>
        )}
        {!(finished && rows.length > 1) &&
          action.fields
            ?.filter((field) => !(field.key in preset) && (field.when === undefined || field.when(values, scope)))
            .map((field) => <FieldItem key={field.key} id={`${resource.kind} ${action.key}`} field={field} scope={scope} row={first as R} />)}
        {single?.is === 'bad' && (
          <div style={{ marginBottom: 16 }}>
            <Problem error={single.error} />
          </div>
        )}
        {!(finished && rows.length > 1) && <AsCommand calls={calls(veiled(action, values))} />}
        <div className="row" style={{ justifyContent: 'flex-end', marginTop: 16 }}>
          <Button disabled={false} onClick={close}>
            {t(finished && rows.length > 1 ? 'close' : 'cancel')}
          </Button>
          {!(finished && rows.length > 1) && (
            <Button type="primary" htmlType="submit" id="confirm" danger={action.danger === true} loading={busy}>
              {t(action.word)}
            </Button>
          )}
        </div>
      </Form>
    </Modal>
  );
}

function RowResult({ name, left, result }: { name: string; left: boolean; result?: Result }) {
  const { t } = useTranslation();
  return (
    <li>
      {left ? (
        <span className="muted">{t('resource.leftOut', { name })}</span>
      ) : result === undefined ? (
        name
      ) : (
        <Mark tone={result.is} raw={result.is}>
          {name} <span className="unseen">{t(`resource.result.${result.is}`)}</span>
        </Mark>
      )}
      {result?.is === 'bad' && (
        <div className="reason tone-bad">
          <Told error={result.error} />
        </div>
      )}
    </li>
  );
}

const none: Choice[] = [];

function FieldItem<R>({ id, field, scope, row }: { id: string; field: Field<R>; scope: Scope; row: R }) {
  const { t } = useTranslation();
  const { options } = field;
  const asked = typeof options === 'function';
  const choices = useQuery({
    queryKey: ['options', id, field.key, scope, row],
    queryFn: async () => (asked ? options(scope, row) : none),
    enabled: asked,
  });
  const list = asked ? (choices.data ?? none) : (options ?? none);
  return (
    <>
      <Form.Item
        name={field.key}
        label={t(field.label)}
        {...(field.hint !== undefined && { extra: t(field.hint) })}
        {...(field.kind === 'switch' && { valuePropName: 'checked' })}
        rules={[
          ...(field.required === true && field.kind !== 'switch' ? [{ required: true, message: t('resource.needed') }] : []),
          ...(field.max !== undefined && (field.kind === 'text' || field.kind === 'area') ? [{ max: field.max, message: t('tooLong', { max: field.max }) }] : []),
          ...(field.pattern !== undefined ? [{ pattern: field.pattern.is, message: t(field.pattern.else) }] : []),
        ]}
      >
        <Input
          field={field}
          loading={asked && choices.isPending}
          choices={list.map(({ value, label }) => ({ value, label: field.words?.[value] ? t(field.words[value]) : label }))}
        />
      </Form.Item>
      {choices.error && <Problem error={choices.error} retry={() => void choices.refetch()} />}
    </>
  );
}
