// Colours and shapes. The values are the ones of theme.css: what is drawn by the
// component library and what is drawn by us must not be told apart. Text
// colours keep a contrast of at least 4.5 to 1 on every ground they stand on.
import { theme, type ThemeConfig } from 'antd';
import { useMemo, useSyncExternalStore } from 'react';

const shape = { borderRadius: 6, fontSize: 14, controlHeight: 34, motionDurationMid: '0.12s', motionDurationSlow: '0.18s' };

const flat = { primaryShadow: 'none', defaultShadow: 'none', dangerShadow: 'none' };
const plainTable = { headerSplitColor: 'transparent', bodySortBg: 'transparent', cellPaddingInlineMD: 16 };

const light: ThemeConfig = {
  token: {
    ...shape,
    colorPrimary: '#0e6f74',
    colorLink: '#0b6469',
    colorLinkHover: '#084d51',
    colorError: '#b42318',
    colorSuccess: '#1f7a3d',
    colorWarning: '#8a5a00',
    colorInfo: '#1d5fb8',
    colorText: '#1c2430',
    colorTextSecondary: '#4d5866',
    colorTextTertiary: '#596472',
    colorTextQuaternary: '#646f7d',
    colorTextPlaceholder: '#646f7d',
    colorTextDisabled: '#6b7580',
    colorBorder: '#b9c2cc',
    colorBorderSecondary: '#e2e6ec',
    colorBgLayout: '#f4f6f8',
    colorBgContainer: '#ffffff',
    colorPrimaryBg: '#e3f1f1',
    colorPrimaryBgHover: '#d6ebeb',
    controlItemBgActive: '#e3f1f1',
    controlItemBgActiveHover: '#d6ebeb',
    colorErrorBg: '#fdeceb',
    colorErrorBorder: '#f0b8b3',
    colorWarningBg: '#fdf3dc',
    colorWarningBorder: '#e8cf94',
    colorInfoBg: '#e7effb',
    colorInfoBorder: '#b5cdf0',
  },
  components: {
    Button: flat,
    Table: { ...plainTable, headerBg: '#f8f9fb', headerColor: '#4d5866', headerSortActiveBg: '#f0f3f6', headerSortHoverBg: '#f0f3f6', rowSelectedBg: '#eef6f6', rowSelectedHoverBg: '#e3f1f1' },
  },
};

const dark: ThemeConfig = {
  // The algorithm dims what it is given: colours that are text start brighter.
  algorithm: theme.darkAlgorithm,
  token: {
    ...shape,
    colorPrimary: '#178287',
    colorLink: '#62cbd0',
    colorLinkHover: '#8adde1',
    colorError: '#ff8a7a',
    colorSuccess: '#4fb573',
    colorWarning: '#dba63f',
    colorInfo: '#4a90e2',
    colorText: '#e6ebf0',
    colorTextSecondary: '#b0bac5',
    colorTextTertiary: '#a3aeba',
    colorTextQuaternary: '#98a4b0',
    colorTextPlaceholder: '#98a4b0',
    colorTextDisabled: '#8792a0',
    colorBorder: '#46525d',
    colorBorderSecondary: '#2a343d',
    colorBgLayout: '#0f1418',
    colorBgContainer: '#171e24',
    colorBgElevated: '#1d262d',
    colorPrimaryBg: '#15343a',
    colorPrimaryBgHover: '#1a3f46',
    controlItemBgActive: '#15343a',
    controlItemBgActiveHover: '#1a3f46',
    colorErrorBg: '#3d1c19',
    colorErrorBorder: '#73332d',
    colorWarningBg: '#35290f',
    colorWarningBorder: '#66501c',
    colorInfoBg: '#172b45',
    colorInfoBorder: '#2c4f7d',
  },
  components: {
    Button: {
      ...flat,
      dangerColor: '#2b0a07',
      defaultHoverColor: '#62cbd0',
      defaultHoverBorderColor: '#62cbd0',
      defaultActiveColor: '#8adde1',
      defaultActiveBorderColor: '#8adde1',
    },
    Tabs: { itemSelectedColor: '#62cbd0', itemHoverColor: '#8adde1', itemActiveColor: '#8adde1', inkBarColor: '#62cbd0' },
    Table: { ...plainTable, headerBg: '#1b242b', headerColor: '#b0bac5', headerSortActiveBg: '#232d35', headerSortHoverBg: '#232d35', rowSelectedBg: '#152b31', rowSelectedHoverBg: '#15343a' },
  },
};

// The durations of our own would win over what the library does without motion.
const still = { motion: false, motionDurationFast: '0s', motionDurationMid: '0s', motionDurationSlow: '0s' };

const wantsDark = window.matchMedia('(prefers-color-scheme: dark)');
const wantsCalm = window.matchMedia('(prefers-reduced-motion: reduce)');

function useWish(wish: MediaQueryList): boolean {
  return useSyncExternalStore(
    (changed) => {
      wish.addEventListener('change', changed);
      return () => wish.removeEventListener('change', changed);
    },
    () => wish.matches,
  );
}

/** Whether the system asks for as little motion as can be. */
export const useCalm = () => useWish(wantsCalm);

/** The theme that the system asks for, also when it changes its mind. */
export function useTheme(): ThemeConfig {
  const chosen = useWish(wantsDark) ? dark : light;
  const calm = useCalm();
  return useMemo(() => (calm ? { ...chosen, token: { ...chosen.token, ...still } } : chosen), [chosen, calm]);
}
