// The pages speak English and Chinese. A catalogue is loaded when its language
// is chosen; the choice is remembered, and starts as the browser's.
import type { Locale } from 'antd/es/locale';
import i18next from 'i18next';
import { initReactI18next } from 'react-i18next';
import type { Catalog } from './en';

declare module 'i18next' {
  interface CustomTypeOptions {
    resources: { translation: Catalog };
  }
}

export const languages = { en: 'English', 'zh-CN': '简体中文' } as const;
export type Language = keyof typeof languages;

const memory = 'nacre.language';

/** The language to begin with: the remembered one, else the browser's first that we speak. */
export function preferred(remembered: string | null, browser: readonly string[]): Language {
  if (remembered !== null && remembered in languages) {
    return remembered as Language;
  }
  for (const wish of browser) {
    if (wish.toLowerCase().startsWith('zh')) {
      return 'zh-CN';
    }
    if (wish.toLowerCase().startsWith('en')) {
      return 'en';
    }
  }
  return 'en';
}

// What the component library says by itself (dates, pages, empty lists) comes
// along: were it to arrive after the first drawing, everything would be drawn anew.
const load = {
  en: () => Promise.all([import('./en'), import('antd/es/locale/en_US')]),
  'zh-CN': () => Promise.all([import('./zh-CN'), import('antd/es/locale/zh_CN')]),
};

const locales = new Map<string, Locale>();

/** The component library's words for a language that was started or chosen. */
export const localeOf = (language: string) => locales.get(language);

async function catalogue(language: Language): Promise<object> {
  const [own, library] = await load[language]();
  locales.set(language, library.default);
  return own.default;
}

export async function start(): Promise<void> {
  const language = preferred(localStorage.getItem(memory), navigator.languages);
  await i18next.use(initReactI18next).init({
    lng: language,
    fallbackLng: false,
    resources: { [language]: { translation: await catalogue(language) } },
    interpolation: { escapeValue: false }, // React escapes
    returnNull: false,
  });
  document.documentElement.lang = language;
}

/** Changes the language at once and for the next visits. */
export async function choose(language: Language): Promise<void> {
  if (!i18next.hasResourceBundle(language, 'translation')) {
    i18next.addResourceBundle(language, 'translation', await catalogue(language));
  }
  localStorage.setItem(memory, language);
  document.documentElement.lang = language;
  await i18next.changeLanguage(language);
}
