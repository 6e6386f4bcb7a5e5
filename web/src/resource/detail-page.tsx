import { useQuery } from '@tanstack/react-query';
import { Link, useLoaderData, useParams } from '@tanstack/react-router';
import { Button, Skeleton } from 'antd';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../api/client';
import { useHere } from '../shell/here';
import { Copyable } from '../ui/copy';
import { Empty } from '../ui/empty';
import { PageHead, Panel } from '../ui/page';
import { Problem } from '../ui/problem';
import { useActs } from './acts';
import { projectNamesQuery, rowQuery } from './query';
import { offered, type AnyResource } from './resource';
import { StateOf } from './state';

/** The page of one row: what it is, what can be done with it, what belongs to it. */
export default function DetailPage() {
  const { t } = useTranslation();
  const resource = useLoaderData({ from: '/signed-in/$kind/$id' });
  const { id } = useParams({ from: '/signed-in/$kind/$id' });
  const { scope } = useHere();
  const row = useQuery(rowQuery(resource, id, scope));
  if (row.data !== undefined && !(row.error instanceof ApiError && row.error.status === 404)) {
    return <Shown key={id} resource={resource} row={row.data} />;
  }
  if (row.error instanceof ApiError && row.error.status === 404) {
    return (
      <Empty icon={resource.icon} title={t('resource.gone')} text={t('resource.goneText')}>
        <Link to="/$kind" params={{ kind: resource.kind }}>
          {t(`thing.${resource.kind}.many`)}
        </Link>
      </Empty>
    );
  }
  return row.error ? <Problem error={row.error} retry={() => void row.refetch()} /> : <Skeleton active />;
}

function Shown({ resource, row }: { resource: AnyResource; row: unknown }) {
  const { t, i18n } = useTranslation();
  const { scope } = useHere();
  const { start, dialog } = useActs(resource);
  const owner = resource.project?.(row);
  const elsewhere = owner !== undefined && owner !== '' && owner !== scope.project.id;
  const { data: projects } = useQuery({ ...projectNamesQuery, enabled: scope.operator && elsewhere });
  const { Below } = resource;
  return (
    <>
      <nav aria-label={t('resource.path')} className="small">
        <Link to="/$kind" params={{ kind: resource.kind }}>
          {t(`thing.${resource.kind}.many`)}
        </Link>
      </nav>
      <PageHead title={resource.name(row)} beside={<StateOf resource={resource} row={row} pill />}>
        {offered(resource.actions, scope).map((action) => (
          <Button key={action.key} danger={action.danger === true} disabled={action.able?.(row, scope) === false} onClick={() => start(action, [row])}>
            {t(action.word)}
          </Button>
        ))}
      </PageHead>
      <Panel title={t('instance.about')}>
        <dl className="facts">
          <dt>{t('field.id')}</dt>
          <dd>
            <Copyable text={resource.id(row)} />
          </dd>
          {elsewhere && (
            <>
              <dt>{t('field.project')}</dt>
              <dd>{projects?.get(owner) ?? <span className="mono">{owner}</span>}</dd>
            </>
          )}
          {[...resource.columns, ...(resource.facts ?? [])].map((fact) => (
            <Fact key={fact.word} name={t(fact.word)}>
              {fact.show(row, { t, language: i18n.language })}
            </Fact>
          ))}
        </dl>
      </Panel>
      {Below && (
        <div className="stack" style={{ marginTop: 16 }}>
          <Below row={row} />
        </div>
      )}
      {dialog}
    </>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  const { t } = useTranslation();
  return (
    <>
      <dt>{name}</dt>
      <dd>{children === null || children === undefined || children === '' || children === false ? <span className="muted">{t('none')}</span> : children}</dd>
    </>
  );
}
