import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { App as Ant, ConfigProvider } from 'antd';
import { useTranslation } from 'react-i18next';
import { ApiError } from './api/client';
import { localeOf } from './i18n';
import { router } from './router';
import { ended } from './shell/become';
import { useCalm, useTheme } from './theme';

// A token can end at any moment: it expired, the password was changed, a role
// was taken away. Whatever call notices it first leads back to the sign-in,
// which then returns to the same page.
function notice(error: Error) {
  if (error instanceof ApiError && error.status === 401) {
    ended(queryClient);
  }
}

const queryClient: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: notice }),
  mutationCache: new MutationCache({
    onError: (error, _variables, _context, mutation) => {
      if (mutation.meta?.['answers401'] !== true) {
        notice(error);
      }
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 1_000,
      retry: (count, error) => count < 2 && error instanceof ApiError && (error.status === 0 || error.status >= 500),
    },
  },
});

export function App() {
  const { i18n } = useTranslation();
  const theme = useTheme();
  const calm = useCalm();
  const locale = localeOf(i18n.language);
  return (
    <ConfigProvider theme={theme} button={{ autoInsertSpace: false }} wave={{ disabled: calm }} {...(locale && { locale })}>
      <QueryClientProvider client={queryClient}>
        <Ant>
          <RouterProvider router={router} />
        </Ant>
      </QueryClientProvider>
    </ConfigProvider>
  );
}
