import { createRootRoute, createRoute, createRouter, lazyRouteComponent, notFound, redirect } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { isKind, resourceOf } from './kinds';
import { tabs } from './pages/instance/tabs';
import { Broken } from './shell/broken';
import { Lost } from './shell/lost';
import { SignedIn } from './shell/signed-in';

const root = createRootRoute({ notFoundComponent: Lost });

// A console's address works for whoever has it, signed in or not.
const screen = createRoute({
  getParentRoute: () => root,
  path: '/vnc',
  component: lazyRouteComponent(() => import('./pages/screen')),
});

const spice = createRoute({
  getParentRoute: () => root,
  path: '/spice',
  component: lazyRouteComponent(() => import('./pages/spice')),
});

const terminal = createRoute({
  getParentRoute: () => root,
  path: '/serial',
  component: lazyRouteComponent(() => import('./pages/terminal')),
});

// Where sign-ins end that don't end at a page.
const notSignedIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  component: lazyRouteComponent(() => import('./pages/sign-in'), 'NotSignedIn'),
});

const signedInElsewhere = createRoute({
  getParentRoute: () => root,
  path: '/sign-in-done',
  component: lazyRouteComponent(() => import('./pages/sign-in'), 'SignedInElsewhere'),
});

const signedIn = createRoute({ getParentRoute: () => root, id: 'signed-in', component: SignedIn });

const overview = createRoute({
  getParentRoute: () => signedIn,
  path: '/',
  component: lazyRouteComponent(() => import('./pages/overview')),
});

const instances = createRoute({
  getParentRoute: () => signedIn,
  path: '/instances',
  component: lazyRouteComponent(() => import('./pages/instances/list')),
});

const launch = createRoute({
  getParentRoute: () => signedIn,
  path: '/launch',
  component: lazyRouteComponent(() => import('./pages/launch/launch')),
});

const instance = createRoute({
  getParentRoute: () => signedIn,
  path: '/instances/$id',
  beforeLoad: ({ params }) => {
    throw redirect({ to: '/instances/$id/$tab', params: { id: params.id, tab: 'overview' }, replace: true });
  },
});

const instanceTab = createRoute({
  getParentRoute: () => signedIn,
  path: '/instances/$id/$tab',
  params: {
    parse: ({ id, tab }) => ({ id, tab: tabs.find((t) => t === tab) ?? 'overview' }),
  },
  component: lazyRouteComponent(() => import('./pages/instance/instance')),
});

const page = <Path extends string>(path: Path, load: () => Promise<{ default: () => ReactNode }>) =>
  createRoute({ getParentRoute: () => signedIn, path, component: lazyRouteComponent(load) });

const topology = page('/topology', () => import('./pages/topology'));
const reach = page('/reach', () => import('./pages/reach'));
const account = page('/account', () => import('./pages/account'));
const why = page('/why', () => import('./pages/why'));

const quotas = createRoute({
  getParentRoute: () => signedIn,
  path: '/quotas',
  validateSearch: ({ project }: Record<string, unknown>): { project?: string } => (typeof project === 'string' && project !== '' ? { project } : {}),
  component: lazyRouteComponent(() => import('./pages/quotas')),
});

const objects = createRoute({
  getParentRoute: () => signedIn,
  path: '/objects/$container',
  validateSearch: ({ folder }: Record<string, unknown>): { folder?: string } => (typeof folder === 'string' && folder !== '' ? { folder } : {}),
  component: lazyRouteComponent(() => import('./pages/objects/browser')),
});

/** The kind that an address names; an address of none leads nowhere. */
function load({ kind }: { kind: string }) {
  if (!isKind(kind)) {
    throw notFound();
  }
  return resourceOf(kind);
}

// Every kind of resource has these two.
const kind = createRoute({
  getParentRoute: () => signedIn,
  path: '/$kind',
  loader: ({ params }) => load(params),
  component: lazyRouteComponent(() => import('./resource/list-page')),
});

const one = createRoute({
  getParentRoute: () => signedIn,
  path: '/$kind/$id',
  loader: ({ params }) => load(params),
  component: lazyRouteComponent(() => import('./resource/detail-page')),
});

export const router = createRouter({
  routeTree: root.addChildren([
    screen,
    spice,
    terminal,
    notSignedIn,
    signedInElsewhere,
    signedIn.addChildren([overview, instances, launch, instance, instanceTab, topology, reach, quotas, account, why, objects, kind, one]),
  ]),
  basepath: '/dashboard',
  defaultErrorComponent: Broken,
  defaultPreload: 'intent',
  defaultPreloadDelay: 50,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
