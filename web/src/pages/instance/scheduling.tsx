import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import type { Server } from '../../api/compute';
import { scheduleQuery } from '../../api/plans';
import { moment } from '../../format';
import { Panel } from '../../ui/page';
import { Scores } from '../../ui/scores';

const most = 12;

/** Which hosts were considered, what each was worth, and why the others were refused. */
export function Scheduling({ server }: { server: Server }) {
  const { t, i18n } = useTranslation();
  const { data } = useQuery(scheduleQuery(server.id));
  if (data === undefined) {
    return null; // nothing was decided yet, or the decision is forgotten
  }
  const { chosen, hosts, considered, passed, decided_at, summary } = data;
  return (
    <Panel title={t('schedule.title')}>
      <p className="muted" style={{ marginTop: 0 }}>
        {t('schedule.counts', { considered, passed })} {t(hosts[0]?.before ? 'schedule.beforeFirst' : 'schedule.scoreFirst')}
      </p>
      {summary && <p className="tone-bad">{summary}</p>}
      <Scores hosts={hosts.slice(0, most)} chosen={chosen} />
      <p className="muted small">{t('schedule.factors')}</p>
      <p className="muted small" style={{ marginBottom: 0 }}>{moment(decided_at, i18n.language)}</p>
      {hosts.length > most && <p className="muted small">{t('schedule.more', { count: hosts.length - most })}</p>}
    </Panel>
  );
}
