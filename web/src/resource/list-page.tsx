import { useLoaderData } from '@tanstack/react-router';
import { Switch } from 'antd';
import { useTranslation } from 'react-i18next';
import { useHere } from '../shell/here';
import { PageHead } from '../ui/page';
import { useActs } from './acts';
import { Creations, Rows } from './rows';

/** The page of all rows of a kind. */
export default function ListPage() {
  const { t } = useTranslation();
  const { scope } = useHere();
  const resource = useLoaderData({ from: '/signed-in/$kind' });
  const { start, dialog } = useActs(resource);
  return (
    <>
      <PageHead title={t(`thing.${resource.kind}.many`)}>
        {scope.operator && resource.project !== undefined && <AllProjects />}
        <Creations resource={resource} start={start} />
      </PageHead>
      {/* The key forgets filter and selection of another kind. */}
      <Rows key={resource.kind} resource={resource} />
      {dialog}
    </>
  );
}

/** Operators may look at the rows of everybody. */
export function AllProjects() {
  const { t } = useTranslation();
  const { scope, lookAtAll } = useHere();
  return (
    <label className="row">
      <Switch checked={scope.all} onChange={lookAtAll} size="small" />
      {t('resource.allProjects')}
    </label>
  );
}
