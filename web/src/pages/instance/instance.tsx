import { useQuery } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { Button, Dropdown, Spin, Tabs } from 'antd';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { serverQuery, type Action, type Server } from '../../api/compute';
import { allowed } from '../../state';
import { Empty } from '../../ui/empty';
import { PageHead } from '../../ui/page';
import { Problem } from '../../ui/problem';
import { Reason, ServerStatus } from '../../ui/status';
import { useActions } from '../instances/actions';
import { FloatingIPDialog } from '../instances/floating-ip';
import { History } from './history';
import { Log } from './log';
import { Overview } from './overview';
import type { Tab } from './tabs';
import { DesktopOutlined, EllipsisOutlined } from '../../ui/icons';

// noVNC and xterm are loaded by those who open a console.
const Console = lazy(() => import('./console'));
const Serial = lazy(() => import('./serial'));
const route = getRouteApi('/signed-in/instances/$id/$tab');

export default function Instance() {
  const { t } = useTranslation();
  const { id, tab } = route.useParams();
  const navigate = useNavigate();
  const { data: server, error, refetch } = useQuery(serverQuery(id));
  if (error instanceof ApiError && error.status === 404) {
    return (
      <Empty icon={<DesktopOutlined />} title={t('instance.gone')} text={t('instance.goneText')}>
        <Link to="/instances">{t('instance.back')}</Link>
      </Empty>
    );
  }
  if (server === undefined) {
    return error ? <Problem error={error} retry={() => void refetch()} /> : <Spin />;
  }
  return (
    <>
      <Link to="/instances" className="small">
        ← {t('nav.instances')}
      </Link>
      <PageHead title={server.name} beside={<ServerStatus server={server} pill />}>
        <Buttons server={server} />
      </PageHead>
      <div style={{ marginTop: -12, marginBottom: 12 }}>
        <Reason server={server} />
      </div>
      <Tabs
        activeKey={tab}
        onChange={(key) => void navigate({ to: '/instances/$id/$tab', params: { id, tab: key as Tab } })}
        destroyOnHidden
        items={[
          { key: 'overview', label: t('tab.overview'), children: <Overview server={server} /> },
          {
            key: 'console',
            label: t('tab.console'),
            children: (
              <Suspense fallback={<Spin />}>
                <Console server={server} />
              </Suspense>
            ),
          },
          {
            key: 'serial',
            label: t('tab.serial'),
            children: (
              <Suspense fallback={<Spin />}>
                <Serial server={server} />
              </Suspense>
            ),
          },
          { key: 'log', label: t('tab.log'), children: <Log server={server} /> },
          { key: 'history', label: t('tab.history'), children: <History server={server} /> },
        ]}
      />
    </>
  );
}

function Buttons({ server }: { server: Server }) {
  const { t } = useTranslation();
  const run = useActions();
  const [floating, setFloating] = useState(false);
  const button = (action: Action) => (
    <Button disabled={!allowed(server, action)} onClick={() => void run(action, [server])}>
      {t(`action.${action}`)}
    </Button>
  );
  return (
    <>
      {server.status === 'SHUTOFF' ? button('start') : button('stop')}
      {button('reboot')}
      <Button onClick={() => setFloating(true)}>{t('floating.short')}</Button>
      <Dropdown
        autoFocus
        trigger={['click']}
        menu={{
          items: [
            { key: 'hardReboot', label: t('action.hardReboot'), disabled: !allowed(server, 'hardReboot') },
            { type: 'divider' },
            { key: 'delete', danger: true, label: t('action.delete'), disabled: !allowed(server, 'delete') },
          ],
          onClick: ({ key }) => void run(key as Action, [server]),
        }}
      >
        <Button icon={<EllipsisOutlined />} aria-label={t('instances.menu', { name: server.name })} />
      </Dropdown>
      {floating && <FloatingIPDialog server={server} close={() => setFloating(false)} />}
    </>
  );
}
