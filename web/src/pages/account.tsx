import { Button } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import factors from '../kinds/identity/factors';
import { changePassword } from '../kinds/identity/password';
import { ActionDialog } from '../resource/dialog';
import { Rows } from '../resource/rows';
import { useHere } from '../shell/here';
import { Copyable } from '../ui/copy';
import { UserOutlined } from '../ui/icons';
import { PageHead, Panel } from '../ui/page';

/** The user's own: who it is to the cloud, the password, the second factor. */
export default function Account() {
  const { t } = useTranslation();
  const { user, project, roles, scope } = useHere();
  const [changing, setChanging] = useState(false);
  return (
    <>
      <PageHead title={t('nav.account')}>
        <Button onClick={() => setChanging(true)}>{t('account.change')}</Button>
      </PageHead>
      <div className="stack">
        <Panel title={t('instance.about')}>
          <dl className="facts">
            <dt>{t('field.name')}</dt>
            <dd>{user.name}</dd>
            <dt>{t('account.id')}</dt>
            <dd>
              <Copyable text={user.id} />
            </dd>
            <dt>{t('thing.domains.one')}</dt>
            <dd>{user.domain?.name}</dd>
            <dt>{t('field.project')}</dt>
            <dd>
              {project.name} <Copyable text={project.id} />
            </dd>
            <dt>{t('thing.roles.many')}</dt>
            <dd>{roles.join(', ')}</dd>
          </dl>
        </Panel>
        <p className="muted" style={{ margin: 0 }}>
          {t('factor.help')}
        </p>
        <Rows resource={factors} where={() => true} />
      </div>
      {changing && (
        <ActionDialog
          resource={{ kind: 'users', icon: <UserOutlined />, list: async () => [], id: () => scope.user.id, name: () => scope.user.name, columns: [] }}
          action={changePassword}
          rows={[]}
          close={() => setChanging(false)}
        />
      )}
    </>
  );
}
