// Colours and shapes. The values are the ones of theme.css: what is drawn by the
// component library and what is drawn by us must not be told apart. Text
// colours keep a contrast of at least 4.5 to 1 on every ground they stand on.
import { theme, type ThemeConfig } from 'antd';
import { useSyncExternalStore } from 'react';

const shape = { borderRadius: 6, fontSize: 14, controlHeight: 34, motionDurationMid: '0.12s', motionDurationSlow: '0.18s' };

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
  },
  components: { Table: { headerBg: '#f8f9fb', headerColor: '#4d5866' } },
};

const dark: ThemeConfig = {
  algorithm: theme.darkAlgorithm,
  token: {
    ...shape,
    colorPrimary: '#178287',
    colorLink: '#62cbd0',
    colorLinkHover: '#8adde1',
    colorError: '#d1493d',
    colorErrorText: '#ff8a7a',
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
  },
  components: { Table: { headerBg: '#1b242b', headerColor: '#b0bac5' } },
};

const wish = window.matchMedia('(prefers-color-scheme: dark)');

/** The theme that the system asks for, also when it changes its mind. */
export function useTheme(): ThemeConfig {
  const isDark = useSyncExternalStore(
    (changed) => {
      wish.addEventListener('change', changed);
      return () => wish.removeEventListener('change', changed);
    },
    () => wish.matches,
  );
  return isDark ? dark : light;
}
