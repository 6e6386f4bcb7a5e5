import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Outlet } from '@tanstack/react-router';
import { Spin } from 'antd';
import { lazy, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { sessionQuery } from '../api/session';
import { Empty } from '../ui/empty';
import { Problem } from '../ui/problem';
import { endedSession } from './become';
import { Frame } from './frame';
import { Here } from './here';
import { CloudOutlined } from '../ui/icons';

const SignIn = lazy(() => import('../pages/sign-in'));
const SignInAgain = lazy(() => import('../pages/sign-in').then((module) => ({ default: module.SignInAgain })));

/** Everything that needs a session. Without one the address stays, and the sign-in stands in its place. */
export function SignedIn() {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
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
  // When a session ends by itself, the page stays below the sign-in.
  const shown = session.data ?? endedSession(queryClient);
  if (shown === null) {
    return (
      <Suspense fallback={<Waiting />}>
        <SignIn />
      </Suspense>
    );
  }
  const { user, project, roles } = shown;
  return (
    <Frame session={shown}>
      {session.data === null && (
        <Suspense>
          <SignInAgain />
        </Suspense>
      )}
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
