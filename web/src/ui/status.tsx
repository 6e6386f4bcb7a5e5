import { useQuery } from '@tanstack/react-query';
import type { TFunction } from 'i18next';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { transient, type Server } from '../api/compute';
import { planQuery } from '../api/plans';
import { tone, type Tone } from '../state';
import { Lasting } from './time';
import { CheckCircleFilled, CloseCircleFilled, ExclamationCircleFilled, LoadingOutlined, PoweroffOutlined } from './icons';

const marks: Record<Tone, ReactNode> = {
  ok: <CheckCircleFilled />,
  busy: <LoadingOutlined spin />,
  off: <PoweroffOutlined />,
  warn: <ExclamationCircleFilled />,
  bad: <CloseCircleFilled />,
};

/** A state as mark and word. */
export function Mark({ tone, children, pill, raw }: { tone: Tone; children: ReactNode; pill?: boolean; raw?: string }) {
  return (
    <span className={`status tone-${tone}${pill === true ? ' pill' : ''}`} data-status={raw}>
      <span aria-hidden="true" style={{ display: 'inline-flex' }}>
        {marks[tone]}
      </span>
      {children}
    </span>
  );
}

type Known = Record<string, string>;

/** A word of the API in the user's language; one we don't know stays as it is. */
function word(t: TFunction, group: 'status' | 'task' | 'volumeStatus', key: string): string {
  const words = t(group, { returnObjects: true }) as unknown as Known;
  return words[key] ?? key;
}

export const statusWord = (t: TFunction, status: string) => word(t, 'status', status);
export const volumeWord = (t: TFunction, status: string) => word(t, 'volumeStatus', status);

export function ServerStatus({ server, pill }: { server: Server; pill?: boolean }) {
  const { t } = useTranslation();
  const task = server['OS-EXT-STS:task_state'];
  return (
    <Mark tone={tone(server)} raw={server.status} {...(pill !== undefined && { pill })}>
      {statusWord(t, server.status)}
      {task !== null && <span className="task"> · {word(t, 'task', task)}</span>}
    </Mark>
  );
}

/** Why the server waits, since when; or what went wrong. */
export function Reason({ server }: { server: Server }) {
  const waits = transient(server);
  const { data: plan } = useQuery({ ...planQuery(server.id), enabled: waits });
  if (server.status === 'ERROR' && server.fault !== undefined) {
    return <div className="reason tone-bad">{server.fault.message}</div>;
  }
  if (!waits || plan == null || plan.reason === '') {
    return null;
  }
  return (
    <div className="reason">
      {plan.reason} · <Lasting since={plan.since} />
    </div>
  );
}
