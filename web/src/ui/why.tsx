import { useQuery } from '@tanstack/react-query';
import { Alert, Button, Modal, Skeleton } from 'antd';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask } from '../api/client';
import { permissionQuery, type Question } from '../api/permission';
import { missingRoles, ways, type Asked, type Given, type Reason } from '../why';
import { Mark } from './status';

const Problem = lazy(() => import('./problem').then((module) => ({ default: module.Problem })));

/** Offers to explain a refusal. */
export function WhyButton({ asked }: { asked: Asked }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button size="small" onClick={() => setOpen(true)}>
        {t('why.button')}
      </Button>
      {open && (
        <Modal open title={t('why.title')} onCancel={() => setOpen(false)} footer={<Button onClick={() => setOpen(false)}>{t('close')}</Button>} width={720}>
          <Explanation question={asked} />
        </Modal>
      )}
    </>
  );
}

/** The answer: what the rule demands, what is missing, and where the roles that are there come from. */
export function Explanation({ question }: { question: Question }) {
  const { t } = useTranslation();
  const answer = useQuery(permissionQuery(question));
  if (answer.error) {
    return (
      <Suspense>
        <Problem error={answer.error} />
      </Suspense>
    );
  }
  if (answer.data === undefined) {
    return <Skeleton active />;
  }
  const { allowed, rule, roles, because } = answer.data;
  const missing = missingRoles(because);
  const demands = missing.length > 0 ? missing.map((names) => names.join(' + ')) : ways(because).map((way) => way.join(' + '));
  return (
    <div className="stack" data-testid="explanation">
      <Alert
        type={allowed ? 'success' : 'warning'}
        showIcon
        title={t(allowed ? 'why.allowed' : 'why.denied')}
        description={
          !allowed && (
            <>
              {roles.length === 0 && <p style={{ margin: 0 }}>{t('why.noRole')}</p>}
              {!because.holds && demands.length > 0 && (
                <>
                  {t(missing.length > 0 ? 'why.missingRole' : 'why.missing')}
                  <ul style={{ margin: 0 }}>
                    {demands.slice(0, 6).map((way) => (
                      <li key={way} className={missing.length > 0 ? '' : 'mono wrap'}>
                        {way}
                      </li>
                    ))}
                  </ul>
                  {missing.length > 0 && t('why.ask')}
                </>
              )}
            </>
          )
        }
      />
      <dl className="facts">
        <dt>{t('why.rule')}</dt>
        <dd className="mono wrap">{rule}</dd>
        <dt>{t('why.roles')}</dt>
        <dd>
          {roles.length === 0 && t('none')}
          <ul className="tree">
            {roles.map(({ name, given }) => (
              <li key={name + JSON.stringify(given)}>
                <strong>{name}</strong> <Source name={name} given={given} />
              </li>
            ))}
          </ul>
        </dd>
      </dl>
      <div>
        <h3 style={{ marginTop: 0 }}>{t('why.demands')}</h3>
        <ul className="tree">
          <Part reason={because} />
        </ul>
      </div>
    </div>
  );
}

function Part({ reason }: { reason: Reason }) {
  const { t } = useTranslation();
  const word = reason.check === 'and' || reason.check === 'or' || reason.check === 'not' ? t(`why.${reason.check}`) : <span className="mono wrap">{reason.check}</span>;
  return (
    <li>
      <Mark tone={reason.holds ? 'ok' : 'bad'}>
        {word} <span className="unseen">{t(reason.holds ? 'why.holds' : 'why.fails')}</span>
      </Mark>
      {reason.because && (
        <ul className="tree">
          {reason.because.map((part, i) => (
            <Part key={i} reason={part} />
          ))}
        </ul>
      )}
    </li>
  );
}

/** The assignment that a role comes from. */
function Source({ name, given }: { name: string; given: Given }) {
  const { t } = useTranslation();
  const kind = given.project_id !== '' ? 'projects' : 'domains';
  const on = useName(kind, given.system ? '' : given.project_id || given.domain_id);
  const group = useName('groups', given.group_id);
  const place = given.system ? t('assignment.system') : t(kind === 'projects' ? 'assignment.project' : 'assignment.domain', { name: on });
  const parts = [
    t('why.given', { role: given.role, who: given.group_id === '' ? t('why.user') : t('assignment.group', { name: group }), what: given.inherited ? t('assignment.inherited', { what: place }) : place }),
    ...(given.role === name ? [] : [t('why.implied', { role: given.role, name })]),
  ];
  return <span className="muted">{parts.join(' ')}</span>;
}

/** The name of something that the user may perhaps not see; then its id. */
function useName(kind: 'projects' | 'domains' | 'groups', id: string): string {
  const { data } = useQuery({
    queryKey: ['name-of', kind, id],
    queryFn: async ({ signal }) => {
      try {
        const reply = await ask<Record<string, { name: string }>>('identity', `/${kind}/${id}`, { signal });
        return Object.values(reply)[0]?.name ?? id;
      } catch {
        return id;
      }
    },
    enabled: id !== '',
    staleTime: 60_000,
  });
  return data ?? id;
}
