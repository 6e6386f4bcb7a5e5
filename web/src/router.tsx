import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from '@tanstack/react-router';
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

const terminal = createRoute({
  getParentRoute: () => root,
  path: '/serial',
  component: lazyRouteComponent(() => import('./pages/terminal')),
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

const images = createRoute({
  getParentRoute: () => signedIn,
  path: '/images',
  component: lazyRouteComponent(() => import('./pages/images')),
});

const volumes = createRoute({
  getParentRoute: () => signedIn,
  path: '/volumes',
  component: lazyRouteComponent(() => import('./pages/volumes')),
});

const networks = createRoute({
  getParentRoute: () => signedIn,
  path: '/networks',
  component: lazyRouteComponent(() => import('./pages/networks')),
});

export const router = createRouter({
  routeTree: root.addChildren([
    screen,
    terminal,
    signedIn.addChildren([overview, instances, launch, instance, instanceTab, images, volumes, networks]),
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
