import { useTranslation } from 'react-i18next';
import type { Verdict } from '../api/plans';
import { number } from '../format';
import { Mark } from './status';
import { Wide } from './wide';

const factors = [
  ['VCPU', 'quota.cores'],
  ['MEMORY_MB', 'quota.ram'],
  ['DISK_GB', 'host.disk'],
] as const;

/** A filter of the scheduler in words. */
export function useFilterWord(): (filter: string) => string {
  const { t } = useTranslation();
  const words = t('schedule.filters', { returnObjects: true }) as Record<string, string>;
  return (filter) => words[filter] ?? filter;
}

/** What the scheduler thought of hosts: what goes before the score, the score and its three factors, or what refused them. */
export function Scores({ hosts, chosen }: { hosts: Verdict[]; chosen?: string | undefined }) {
  const { t, i18n } = useTranslation();
  const word = useFilterWord();
  const before = hosts[0]?.before ?? []; // the refused ones, which have none, come last
  const beforeWords = t('schedule.before', { returnObjects: true }) as Record<string, string>;
  const shown = (n: number | undefined) => (n === undefined ? '' : number(n, i18n.language, 4));
  const won = (host: Verdict) => chosen !== undefined && chosen !== '' && (host.id === chosen || host.host === chosen);
  return (
    <Wide label={t('schedule.table')}>
      <table className="scores">
        <thead>
          <tr>
            <th scope="col">{t('field.host')}</th>
            {before.map(({ of }) => (
              <th scope="col" key={of}>
                {beforeWords[of] ?? of}
              </th>
            ))}
            <th scope="col">{t('schedule.score')}</th>
            {factors.map(([key, name]) => (
              <th scope="col" key={key}>
                {t(name)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {hosts.map((host) => (
            <tr key={host.id}>
              <th scope="row">
                {won(host) || host.score === null ? <Mark tone={won(host) ? 'ok' : 'bad'}>{host.host}</Mark> : host.host}
                {won(host) && <> <span className="tag">{t('schedule.chosen')}</span></>}
              </th>
              {host.score === null ? (
                <td colSpan={before.length + 4} className="muted small">
                  {t('schedule.refused')}: {word(host.refused_by ?? '')}
                  {host.reason && <div className="small">{host.reason}</div>}
                </td>
              ) : (
                <>
                  {host.before?.map(({ of, n }) => (
                    <td key={of} className="nums">
                      {number(n, i18n.language)}
                    </td>
                  ))}
                  <td className="nums">{shown(host.score)}</td>
                  {factors.map(([key]) => (
                    <td key={key} className="nums muted">
                      {shown(host.factors?.[key])}
                    </td>
                  ))}
                </>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </Wide>
  );
}
