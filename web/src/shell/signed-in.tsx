import { useQuery } from '@tanstack/react-query';
import { Outlet } from '@tanstack/react-router';
import { Spin } from 'antd';
import { lazy, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { sessionQuery } from '../api/session';
import { Empty } from '../ui/empty';
import { Problem } from '../ui/problem';
import { Frame } from './frame';
import { Here } from './here';
import { CloudOutlined } from '../ui/icons';

const SignIn = lazy(() => import('../pages/sign-in'));

/** Everything that needs a session. Without one the address stays, and the sign-in stands in its place. */
export function SignedIn() {
  const { t } = useTranslation();
  const session = useQuery(sessionQuery);
  if (session.data === undefined) {
    return session.error ? (
      <div className="main">
        <Problem error={session.error} retry={() => void session.refetch()} />
      </div>
    ) : (
      <Waiting />
    );
  }
  if (session.data === null) {
    return (
      <Suspense fallback={<Waiting />}>
        <SignIn />
      </Suspense>
    );
  }
  const { user, project, roles } = session.data;
  return (
    <Frame session={session.data}>
      {project === null ? (
        <Empty icon={<CloudOutlined />} title={t('noProject.title')} text={t('noProject.text', { user: user.name })} />
      ) : (
        // The key forgets everything on the page when the project changes.
        <Here key={project.id} value={{ user, project, roles }}>
          <Suspense fallback={<Waiting />}>
            <Outlet />
          </Suspense>
        </Here>
      )}
    </Frame>
  );
}

function Waiting() {
  const { t } = useTranslation();
  return (
    <div style={{ display: 'grid', placeItems: 'center', minHeight: '60vh' }}>
      <Spin aria-label={t('loading')} />
    </div>
  );
}
