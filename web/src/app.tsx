import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { App as Ant, ConfigProvider } from 'antd';
import type { Locale } from 'antd/es/locale';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from './api/client';
import type { Language } from './i18n';
import { router } from './router';
import { ended } from './shell/become';
import { useTheme } from './theme';

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

const words: Record<Language, () => Promise<{ default: Locale }>> = {
  en: () => import('antd/es/locale/en_US'),
  'zh-CN': () => import('antd/es/locale/zh_CN'),
};

export function App() {
  const { i18n } = useTranslation();
  const theme = useTheme();
  const language = i18n.language as Language;
  const [locale, setLocale] = useState<Locale>();
  useEffect(() => {
    let wanted = true;
    void words[language]().then((loaded) => {
      if (wanted) {
        setLocale(loaded.default);
      }
    });
    return () => {
      wanted = false;
    };
  }, [language]);
  return (
    <ConfigProvider theme={theme} button={{ autoInsertSpace: false }} {...(locale && { locale })}>
      <Ant>
        <QueryClientProvider client={queryClient}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </Ant>
    </ConfigProvider>
  );
}
