import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import type { Server } from '../../api/compute';
import { scheduleQuery, type Verdict } from '../../api/plans';
import { moment, number } from '../../format';
import { Panel } from '../../ui/page';
import { Mark } from '../../ui/status';

const most = 12;

/** Which hosts were considered, what each was worth, and why the others were refused. */
export function Scheduling({ server }: { server: Server }) {
  const { t, i18n } = useTranslation();
  const { data } = useQuery(scheduleQuery(server.id));
  if (data === undefined) {
    return null; // nothing was decided yet, or the decision is forgotten
  }
  const { chosen, hosts, considered, passed, decided_at, summary } = data;
  const won = (host: Verdict) => chosen !== '' && (host.id === chosen || host.host === chosen);
  return (
    <Panel title={t('schedule.title')}>
      <p className="muted" style={{ marginTop: 0 }}>
        {t('schedule.counts', { considered, passed })}
      </p>
      {summary && <p className="tone-bad">{summary}</p>}
      <ul className="steps">
        {hosts.slice(0, most).map((host) => (
          <li key={host.id}>
            <span>
              {(won(host) || host.score === null) && (
                <Mark tone={won(host) ? 'ok' : 'bad'}>
                  <span className="unseen">{t(won(host) ? 'schedule.chosen' : 'schedule.refused')}</span>
                </Mark>
              )}
            </span>
            <span>
              {host.host} {won(host) && <span className="tag">{t('schedule.chosen')}</span>}
            </span>
            <span className="nums muted">{host.score !== null && number(host.score, i18n.language, 4)}</span>
            {host.reason && <span className="detail small muted">{host.reason}</span>}
          </li>
        ))}
      </ul>
      <p className="muted small" style={{ marginBottom: 0 }}>{moment(decided_at, i18n.language)}</p>
      {hosts.length > most && <p className="muted small">{t('schedule.more', { count: hosts.length - most })}</p>}
    </Panel>
  );
}
