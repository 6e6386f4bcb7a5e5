import { useQuery } from '@tanstack/react-query';
import { Spin } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { actionQuery, actionsQuery, transient, type ActionEvent, type InstanceAction, type Server } from '../../api/compute';
import { duration, instant, moment } from '../../format';
import type { Tone } from '../../state';
import { Copyable } from '../../ui/copy';
import { Empty } from '../../ui/empty';
import { Problem } from '../../ui/problem';
import { Mark } from '../../ui/status';
import { Ago, Lasting } from '../../ui/time';
import { HistoryOutlined } from '../../ui/icons';

/** What was done with the instance, by whom, and the steps it took. */
export function History({ server }: { server: Server }) {
  const { t } = useTranslation();
  const pace = transient(server) ? 1_500 : 8_000;
  const actions = useQuery({ ...actionsQuery(server.id), refetchInterval: pace });
  if (actions.data === undefined) {
    return actions.error ? <Problem error={actions.error} retry={() => void actions.refetch()} /> : <Spin />;
  }
  if (actions.data.length === 0) {
    return <Empty icon={<HistoryOutlined />} title={t('history.empty')} text={t('history.emptyText')} />;
  }
  return (
    <div className="panel">
      {actions.data.map((action, index) => (
        <Entry key={action.request_id} action={action} pace={pace} first={index === 0} />
      ))}
    </div>
  );
}

/** A word for an action of the API. */
export function useActionWord(): (action: string) => string {
  const { t } = useTranslation();
  const words = t('history.action', { returnObjects: true }) as Record<string, string>;
  return (action) => words[action] ?? action;
}

function Entry({ action, pace, first }: { action: InstanceAction; pace: number; first: boolean }) {
  const { t } = useTranslation();
  const word = useActionWord();
  const [open, setOpen] = useState(first);
  const detail = useQuery({ ...actionQuery(action.instance_uuid, action.request_id), enabled: open, refetchInterval: open ? pace : false });
  const events = detail.data?.events;
  return (
    <details
      open={open}
      onToggle={(event) => setOpen(event.currentTarget.open)}
      style={{ padding: '10px 16px', borderBottom: '1px solid var(--line)' }}
    >
      <summary style={{ cursor: 'pointer' }}>
        <strong>{word(action.action)}</strong> <span className="muted">· <Ago time={action.start_time} /></span>
        {action.message && <span className="tone-bad"> · {action.message}</span>}
      </summary>
      <div style={{ padding: '10px 0 4px 16px' }}>
        {detail.error && <Problem error={detail.error} />}
        {events?.length === 0 && <p className="muted">{t('history.noSteps')}</p>}
        {events && events.length > 0 && (
          <ul className="steps">
            {[...events].sort((a, b) => a.start_time.localeCompare(b.start_time)).map((event, i) => (
              <Step key={`${event.event} ${i}`} event={event} />
            ))}
          </ul>
        )}
        <div className="small muted" style={{ marginTop: 6 }}>
          <Moment time={action.start_time} /> · <Copyable text={action.request_id} />
        </div>
      </div>
    </details>
  );
}

function Moment({ time }: { time: string }) {
  const { i18n } = useTranslation();
  return <>{moment(time, i18n.language)}</>;
}

function toneOfStep(event: ActionEvent): Tone {
  if (event.finish_time === null) {
    return 'busy';
  }
  return event.result === null || /^success$/i.test(event.result) ? 'ok' : 'bad';
}

function Step({ event }: { event: ActionEvent }) {
  const { t, i18n } = useTranslation();
  const tone = toneOfStep(event);
  const said = { ok: 'history.ok', busy: 'history.busy', bad: 'history.bad', off: 'history.ok', warn: 'history.bad' } as const;
  return (
    <li>
      <Mark tone={tone}>
        <span className="unseen">{t(said[tone])}</span>
      </Mark>
      <span>{event.event.replace(/[_-]+/g, ' ')}</span>
      <span className="muted nums small">
        {event.finish_time === null ? (
          <Lasting since={event.start_time} />
        ) : (
          duration(instant(event.finish_time).getTime() - instant(event.start_time).getTime(), i18n.language)
        )}
      </span>
      {event.details && <span className="detail small tone-bad">{event.details}</span>}
    </li>
  );
}
