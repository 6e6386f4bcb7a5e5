import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { fitQuery, type Fit, type Wanted } from '../../api/plans';
import { Problem } from '../../ui/problem';
import { useFilterWord } from '../../ui/scores';
import { Mark } from '../../ui/status';

/** Whether what the form asks for finds hosts as they are now, and if not, why. */
export function LiveFit({ wanted }: { wanted: Wanted }) {
  const { t } = useTranslation();
  const fit = useQuery({ ...fitQuery(wanted), enabled: wanted.flavor !== '' && wanted.image !== '' && wanted.count > 0 });
  return (
    <div role="status" data-testid="fit">
      {fit.error ? <Problem error={fit.error} retry={() => void fit.refetch()} /> : fit.data ? <Answer fit={fit.data} count={wanted.count} /> : <span className="muted">{t('fit.looking')}</span>}
    </div>
  );
}

function Answer({ fit: { fits, hosts, explanation }, count }: { fit: Fit; count: number }) {
  const { t } = useTranslation();
  const word = useFilterWord();
  const [best] = hosts; // told to operators alone
  if (fits >= count) {
    return (
      <>
        <Mark tone="ok">{count === 1 ? t('fit.hosts', { count: explanation.passed }) : t('fit.all', { wanted: count })}</Mark>
        {best && <div className="reason">{count === 1 ? t('fit.best', { host: best.host }) : t('fit.shares', { shares: hosts.map((each) => `${each.host}: ${each.servers}`).join(', ') })}</div>}
      </>
    );
  }
  const reasons = Object.entries(explanation.refused).sort(([, a], [, b]) => b - a);
  return (
    <>
      <Mark tone="bad">{fits === 0 ? t('fit.none') : t('fit.some', { fits, wanted: count })}</Mark>
      <ul className="reasons small">
        {explanation.considered === 0 && <li>{t('fit.noHosts')}</li>}
        {reasons.map(([filter, n]) => (
          <li key={filter}>{t('fit.refused', { count: n, why: word(filter) })}</li>
        ))}
      </ul>
    </>
  );
}
